"""The end of a cycle, written down: its journal entry, the vehicle's state, the vehicle's row."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from fleetsyncd.database import (
    outcomes,
    vehicle_memory,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import DatabaseError
from fleetsyncd.models import LearnedWindows, Vehicle
from fleetsyncd.remarks import ERROR_LIMIT, join_remarks
from fleetsyncd.reports import CycleReport, Failure, JournalEntry, Outcome
from fleetsyncd.sync.outcome import RERAISED, StepResult
from fleetsyncd.text import sanitise

SHORT_REASON = "database: the cycle could not be stored, see the daemon's log"
"""For a page that has no room for more."""


def write_report(report: CycleReport, database: Database) -> CycleReport:
    """Write the journal entry, then a failure's outcome into the vehicle's own row.

    In two transactions: another session may hold the vehicle's row, which must not cost the
    journal its entry. If either cannot be written, the cycle has failed, and the returned report
    says so; on a full disk there is often room for that in the pages of state and vehicle. A
    vehicle that stays silent has nothing new in its row. Raises DatabaseUnavailable and
    VehicleRemoved.
    """
    if (error := _refusal(database, partial(outcomes.add_cycle_report, report=report))) is not None:
        report = _unwritten(report, "journal entry", error)
        if _refusal(database, partial(vehicle_memory.save_failure, report=report)) is not None:
            short = replace(report, reason=SHORT_REASON, notes=())
            _refusal(database, partial(vehicle_memory.save_failure, report=short))
    if report.outcome is Outcome.OK or report.stopped or not report.is_news_of_vehicle:
        return report
    if (error := _refusal(database, partial(outcomes.mark_failed, report=report))) is not None:
        return _unwritten(report, "state", error)
    return report


def _refusal(database: Database, write: Callable[[Cursor], None]) -> DatabaseError | None:
    """Write in a transaction; return the error that refused it."""
    try:
        database.run(write)
    except RERAISED:
        raise
    except DatabaseError as error:
        return error
    return None


def _unwritten(report: CycleReport, what: str, error: DatabaseError) -> CycleReport:
    """Return the report of a cycle of which something could not be written."""
    if report.failure is Failure.DATABASE:
        reason = f"{report.reason}; its {what} cannot be written either"
    else:
        reason = "; ".join(
            filter(None, (report.reason, f"database: its {what} cannot be written: {error}"))
        )
    return replace(
        report,
        outcome=Outcome.ERROR,
        reason=reason,
        failure=Failure.DATABASE,
        unstored=reason,
        stopped=False,
    )


def attempt_entry(
    vehicle: Vehicle,
    lasted: tuple[datetime, datetime],
    result: StepResult,
    rows_written: int,
    *remarks: str | None,
) -> JournalEntry:
    """Return the journal entry of an attempt beside the cycles, from its beginning to its end."""
    return JournalEntry(
        vehicle_id=vehicle.id,
        started_at=lasted[0],
        finished_at=lasted[1],
        status=result.outcome,
        rows_written=rows_written,
        vehicle_name=vehicle.name,
        error_msg=join_remarks(*remarks),
    )


def write_attempt_entry(
    entry: JournalEntry,
    result: StepResult,
    learned: LearnedWindows,
    database: Database,
    fail: Callable[[Cursor, str], None],
) -> JournalEntry:
    """Write the journal entry of an attempt beside the cycles, at a backfill or a gap.

    `fail` records with that why it makes no progress; also alone, if the entry is refused. Raises
    DatabaseError if neither can be written.
    """

    def add(cursor: Cursor) -> None:
        outcomes.add_journal_entry(cursor, entry)
        vehicle_memory.save_learned(cursor, entry.vehicle_id, learned)
        if result.outcome is not Outcome.OK and not result.stopped:
            fail(cursor, sanitise(str(result.reason), ERROR_LIMIT))

    try:
        database.run(add)
    except RERAISED:
        raise
    except DatabaseError as error:
        refused = f"database: its journal entry cannot be written: {error}"
        reason = sanitise(result.reason or refused, ERROR_LIMIT)
        database.run(lambda cursor: fail(cursor, reason))
        text = join_remarks(entry.error_msg, refused)
        return replace(entry, status=Outcome.ERROR, error_msg=text)
    return entry
