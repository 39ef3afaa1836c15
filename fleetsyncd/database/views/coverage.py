"""What of a vehicle's time is stored, and what is not: read-only, from fleetsync.coverage."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.times import ZonedTime

MOST_INTERVALS = 5_000
"""The newest ones are read."""
_COVERAGE = f"""
SELECT {epoch("from_at")}, {epoch("to_at")}, kind FROM fleetsync.coverage
WHERE vehicle_id = %s::uuid ORDER BY from_at DESC NULLS LAST LIMIT {MOST_INTERVALS}
"""  # noqa: S608  constants

# A role that only looks may be older than these relations.
_MAY_READ = """
SELECT has_table_privilege(to_regclass('fleetsync.coverage'), 'SELECT')
    AND has_table_privilege(to_regclass('fleetsync.lost_interval'), 'SELECT')
"""


class Coverage(StrEnum):
    """What is known of an interval."""

    COMPLETE = "complete"
    LIVE = "live island"
    GAP = "gap"
    GONE = "gone for good"
    MISSING = "missing by audit"


@dataclass(frozen=True, slots=True)
class CoveredInterval:
    """An interval of a vehicle's own time, and what of it is stored."""

    from_at: ZonedTime | None
    """None: from a time that is not known."""
    to_at: ZonedTime | None
    kind: Coverage


def vehicle_coverage(cursor: Cursor, vehicle_id: UUID) -> list[CoveredInterval]:
    """Return a vehicle's intervals in order; none if it was never pulled, or may not be read."""
    cursor.execute(_MAY_READ)
    if cursor.fetchall()[0][0] is not True:
        return []
    cursor.execute(_COVERAGE, (str(vehicle_id),))
    rows = cursor.fetchall()
    return [
        CoveredInterval(from_epoch(start), from_epoch(end), Coverage(kind))
        for start, end, kind in reversed(rows)
    ]
