"""A cycle's end, stored in one transaction of the test's."""

from fleetsyncd.database import (
    outcomes,
)
from fleetsyncd.database.pool import Cursor
from fleetsyncd.reports import CycleReport, Outcome


def record(cursor: Cursor, report: CycleReport) -> None:
    """Write the journal entry and what a failure means for the vehicle."""
    outcomes.add_cycle_report(cursor, report)
    if report.outcome is not Outcome.OK and not report.stopped:
        outcomes.mark_failed(cursor, report)
