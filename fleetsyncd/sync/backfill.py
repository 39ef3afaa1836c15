"""One vehicle's backfill: a past interval pulled again, beside the vehicle's own cycles.

Rows and how far they reach are committed together, window by window, so a backfill goes on where
it was interrupted. The vehicle's watermark and state are left alone: they tell of the present.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial

from fleetsyncd.database import backfills as wishes
from fleetsyncd.database import measurements, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import DatabaseError, PullStopped, VehicleError
from fleetsyncd.models import (
    BACKFILL_PREFIX,
    ERROR_LIMIT,
    Alarm,
    Backfill,
    BadRow,
    DataPage,
    JournalRow,
    Outcome,
    Vehicle,
    Window,
)
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.outcome import RERAISED, StepResult, run_step
from fleetsyncd.sync.pull import VehicleSource, lost_history
from fleetsyncd.sync.sessions import VehicleCache
from fleetsyncd.text import sanitise
from fleetsyncd.vehicle.client import VehicleClient


def run_backfill(
    vehicle: Vehicle,
    wish: Backfill,
    client: VehicleClient,
    tools: SyncContext,
    stopped: Callable[[], str | None] = lambda: None,
) -> JournalRow:
    """Pull what is left of the backfill, commit it, write a journal row and return it.

    `stopped` is asked between windows and names the reason to end early. Raises DatabaseLost,
    DatabaseBusy, SchemaOutdated and VehicleGone, for which no journal row can be written.
    """
    work = _BackfillAttempt(vehicle, wish, tools.source(client, VehicleCache(), stopped), tools)
    ending = run_step(work.run)
    if ending.database:
        tools.partitions.forget()
    row = work.journal_row(ending)
    tools.database.run(partial(_record, row, wish, ending))
    return row


def _record(row: JournalRow, wish: Backfill, ending: StepResult, cursor: Cursor) -> None:
    store.journal_row(cursor, row)
    if ending.outcome is not Outcome.OK and not ending.stopped:
        wishes.fail_backfill(
            cursor, row.vehicle_id, wish, sanitise(str(ending.reason), ERROR_LIMIT)
        )


class _BackfillAttempt:
    """The steps of one attempt and what they have come to so far."""

    def __init__(
        self, vehicle: Vehicle, wish: Backfill, source: VehicleSource, tools: SyncContext
    ) -> None:
        self.vehicle = vehicle
        self.wish = wish
        self.source = source
        self.tools = tools
        self.started_at = self.step_began = tools.now()
        self.rows = 0
        self.bad_rows = 0
        self.notes: list[str] = []

    def run(self) -> None:
        """Pull what is left: first its alarms, then its measurements."""
        oldest = self.tools.storable().start
        rest = Window(max(self.wish.rest.start, oldest), self.wish.window.end)
        if self.wish.window.start < oldest:
            self.notes.append(f"before {oldest:%Y-%m-%d} nothing is kept")
        if rest.start >= rest.end:
            self._commit(DataPage.merged([]), rest.end)
            return
        if lost := lost_history(self.source, rest):
            self.notes.append(lost)
        self._pull_alarms(rest)
        with closing(self.source.measurements(rest)) as pieces:
            for piece, page in pieces:
                self._commit(page, piece.end)

    def _pull_alarms(self, rest: Window) -> None:
        """Store the interval's alarms; without them the measurements are still worth having."""
        try:
            for _piece, found in self.source.alarms(rest):
                if found is not None:
                    self.tools.database.run(partial(self._save_alarms, *found))
        except RERAISED:
            raise
        except (VehicleError, DatabaseError) as fault:
            self.notes.append(f"without alarms ({fault})")

    def _save_alarms(self, alarms: Sequence[Alarm], bad: Sequence[BadRow], cursor: Cursor) -> None:
        store.lock_vehicle(cursor, self.vehicle.id)
        store.save_alarms(cursor, self.vehicle.id, alarms)
        self._set_aside(cursor, bad)

    def _commit(self, page: DataPage, reached: datetime) -> None:
        """Commit one window's rows together with how far they reach, or nothing of either."""
        times = page.measurements.times
        if times:
            self.tools.partitions.ensure(times[0], times[-1])
        seconds = (self.tools.now() - self.step_began).total_seconds()
        added: list[int] = []
        self.tools.database.run(partial(self._save, page, reached, seconds, added))
        self.rows += max(added)
        self.bad_rows += len(page.bad)
        self.step_began = self.tools.now()

    def _save(
        self, page: DataPage, reached: datetime, seconds: float, added: list[int], cursor: Cursor
    ) -> None:
        self._set_aside(cursor, page.bad)
        added.append(measurements.add_measurements(cursor, self.vehicle.id, page.measurements))
        if not wishes.advance_backfill(
            cursor, self.vehicle.id, self.wish, reached=reached, rows=max(added), seconds=seconds
        ):
            store.lock_vehicle(cursor, self.vehicle.id)
            raise PullStopped("called off")

    def _set_aside(self, cursor: Cursor, bad: Sequence[BadRow]) -> None:
        if bad:
            store.quarantine_rows(cursor, self.vehicle.id, bad)

    def journal_row(self, ending: StepResult) -> JournalRow:
        """Return what the journal is to say of this attempt."""
        window = self.wish.window
        said = [f"{BACKFILL_PREFIX}{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}"]
        said += [ending.reason or "complete", *self.notes]
        if self.bad_rows:
            said.append(f"{self.bad_rows} bad row(s) in quarantine")
        return JournalRow(
            vehicle_id=self.vehicle.id,
            started_at=self.started_at,
            finished_at=self.tools.now(),
            outcome=ending.outcome,
            rows_written=self.rows,
            error_msg=sanitise("; ".join(said), ERROR_LIMIT),
            bad_rows=self.bad_rows,
        )
