"""Estimates before an action: the rows of vehicles to be removed, the work of a backfill."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor

EXACT_UP_TO = 1_000_000
"""Measurements are counted up to here; above it the planner's estimate is used."""
_COUNTED = """
SELECT (SELECT count(*) FROM public.sync_journal WHERE vehicle_id = ANY (%(ids)s::uuid[])),
    (SELECT count(*) FROM public.alarms_log WHERE vehicle_id = ANY (%(ids)s::uuid[])),
    (SELECT count(*) FROM public.channel_config WHERE vehicle_id = ANY (%(ids)s::uuid[])),
    (SELECT count(*) FROM (SELECT FROM public.measurements
        WHERE vehicle_id = ANY (%(ids)s::uuid[]) LIMIT %(exact)s) counted)
"""
_ESTIMATED = """
EXPLAIN (FORMAT JSON) SELECT FROM public.measurements WHERE vehicle_id = ANY (%s::uuid[])
"""
_RATE = """
SELECT sum(rows_written) FILTER (WHERE status = 'ok') / 3600.0 / %(vehicles)s
FROM public.sync_journal
WHERE vehicle_id = ANY (%(ids)s::uuid[]) AND started_at > now() - interval '1 hour'
"""
_SPEED = """
SELECT avg(speed)::float8 FROM (
    SELECT extract(epoch FROM reached_at - from_at) / busy_sec AS speed
    FROM fleetsync.backfill WHERE busy_sec > 0 AND reached_at > from_at
    UNION ALL
    SELECT extract(epoch FROM v.last_sync_at - s.catching_up_from) / s.catching_up_sec
    FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
    WHERE s.catching_up_sec > 0 AND v.last_sync_at > s.catching_up_from
      AND isfinite(v.last_sync_at)
) known
"""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows belong to some vehicles; `exact` is about the measurements."""

    journal: int
    alarms: int
    channels: int
    measurements: int
    exact: bool

    @property
    def measurements_text(self) -> str:
        """The number of measurements as text."""
        return f"{self.measurements:,}" if self.exact else f"about {self.measurements:,}"


@dataclass(frozen=True, slots=True)
class PullRate:
    """Rows that a vehicle measures a second, and seconds of a gap that are pulled a second."""

    rows_per_second: float | None
    speed: float | None


def count_rows(cursor: Cursor, ids: Sequence[UUID]) -> RowCounts:
    """Count the vehicles' rows; a large number of measurements is estimated."""
    keys = [str(vehicle_id) for vehicle_id in ids]
    cursor.execute(_COUNTED, {"ids": keys, "exact": EXACT_UP_TO})
    journal, alarms, channels, measurements = cursor.fetchall()[0]
    exact = measurements < EXACT_UP_TO
    if not exact:
        cursor.execute(_ESTIMATED, (keys,))
        plan: Any = cursor.fetchall()[0][0]
        measurements = max(EXACT_UP_TO, int(plan[0]["Plan"]["Plan Rows"]))
    return RowCounts(journal, alarms, channels, measurements, exact)


def pull_rate(cursor: Cursor, ids: Sequence[UUID]) -> PullRate:
    """Return the vehicles' average rate of rows, and the average speed at which gaps are pulled."""
    keys = [str(vehicle_id) for vehicle_id in ids]
    cursor.execute(_RATE, {"ids": keys, "vehicles": max(1, len(keys))})
    rate = cursor.fetchall()[0][0]
    cursor.execute(_SPEED)
    speed = cursor.fetchall()[0][0]
    return PullRate(None if rate is None else float(rate), speed)
