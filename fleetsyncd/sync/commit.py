"""Commit what a vehicle answered: rows, bad rows and progress in one transaction, or nothing.

Cycles and backfills store through here; they differ in the progress that they record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleetsyncd.database import measurements, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import PartitionMissing
from fleetsyncd.models import BadRow, DataPage
from fleetsyncd.sync.context import SyncContext


@dataclass(slots=True)
class Totals:
    """What an attempt has stored so far."""

    rows_written: int = 0
    bad_rows: int = 0
    quarantine_full: bool = False

    def count_bad(self, bad: Sequence[BadRow], *, quarantined: bool) -> None:
        """Count bad rows whose transaction is committed; `quarantined`: all of them are kept."""
        self.bad_rows += sum(row.count for row in bad)
        self.quarantine_full |= not quarantined


def commit_page(
    context: SyncContext,
    vehicle_id: UUID,
    page: DataPage,
    newest: datetime | None,
    record_progress: Callable[[Cursor, int], None],
    totals: Totals,
) -> None:
    """Commit one window's rows together with its progress, and count them.

    `record_progress` gets the number of rows that this window added; if it raises, nothing is
    stored. `newest` is the time of the newest row that is known to be stored. Raises DatabaseError.
    """
    # One number for each try: a repeated transaction adds nothing if its first commit had arrived.
    added: list[int] = []

    def save(cursor: Cursor) -> bool:
        quarantined = store.quarantine_rows(cursor, vehicle_id, page.bad)
        added.append(measurements.add_measurements(cursor, vehicle_id, page.measurements, newest))
        record_progress(cursor, max(added))
        return quarantined

    _ensure_months(context, page)
    try:
        quarantined = context.database.run(save)
    except PartitionMissing:
        context.partitions.forget()
        _ensure_months(context, page)
        quarantined = context.database.run(save)
    totals.rows_written += max(added)
    totals.count_bad(page.bad, quarantined=quarantined)


def _ensure_months(context: SyncContext, page: DataPage) -> None:
    if times := page.measurements.times:
        context.partitions.ensure(times[0], times[-1])


def commit_answer(
    context: SyncContext,
    vehicle_id: UUID,
    bad: Sequence[BadRow],
    save_good: Callable[[Cursor], object],
    totals: Totals,
) -> None:
    """Commit the good entries of a `/channels` or `/alarms` answer with its bad rows; count these.

    Raises DatabaseError, and VehicleRemoved if the vehicle is gone.
    """

    def save(cursor: Cursor) -> bool:
        store.lock_vehicle(cursor, vehicle_id)
        save_good(cursor)
        return store.quarantine_rows(cursor, vehicle_id, bad)

    totals.count_bad(bad, quarantined=context.database.run(save))
