"""How far the minute aggregates are. Changes nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from fleetsyncd.database.minutes import LAG, UPTO
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.database.views.sql_times import epoch, from_epoch, seconds_between
from fleetsyncd.text import sanitise
from fleetsyncd.times import ZonedTime

LATE = timedelta(hours=1)
"""Minutes that are further behind are told to operators."""
_VEHICLES = f"""
SELECT v.id::text, coalesce(v.name, v.id::text), {epoch("s.minutes_from")}, {epoch("s.minutes_to")},
    greatest(0, {seconds_between("s.minutes_to", UPTO)})::float8, coalesce(d.intervals, 0),
    {epoch("d.from_at")}, {epoch("d.to_at")}
FROM public.vehicles v LEFT JOIN fleetsync.minute_state s ON s.vehicle_id = v.id
LEFT JOIN (
    SELECT vehicle_id, count(*) AS intervals, min(from_at) AS from_at, max(to_at) AS to_at
    FROM fleetsync.minute_due GROUP BY vehicle_id
) d ON d.vehicle_id = v.id
ORDER BY v.name, v.id
"""  # noqa: S608  made of this file's own text
_PROGRESS = f"""
SELECT count(*), coalesce(max(extract(epoch FROM {UPTO} - s.minutes_to)), 0)::float8,
    count(*) FILTER (WHERE EXISTS (
        SELECT FROM fleetsync.minute_due d WHERE d.vehicle_id = s.vehicle_id))
FROM fleetsync.minute_state s JOIN public.vehicles v ON v.id = s.vehicle_id
WHERE isfinite(v.last_sync_at) {{shards}}
"""  # noqa: S608  made of this file's own text
SAMPLED = 10_000
"""So many minutes tell how many measurements one has."""
_ROWS_A_MINUTE = """
SELECT avg(count)::float8 FROM public.measurements_minute TABLESAMPLE SYSTEM (%s)
WHERE minute >= now() - interval '3 months'
"""


@dataclass(frozen=True, slots=True)
class VehicleMinutes:
    """How far one vehicle's minutes are; its times are None if none are kept."""

    id: UUID
    name: str
    minutes_from: ZonedTime | None
    minutes_to: ZonedTime | None
    behind_seconds: float | None
    """Of what could be computed by now, and is not."""
    due: int
    """Intervals before `minutes_to` that are still to be computed."""
    due_from: ZonedTime | None
    due_to: ZonedTime | None


@dataclass(frozen=True, slots=True)
class MinutesProgress:
    """How far the minutes of some vehicles are."""

    vehicles: int = 0
    """Those whose minutes are kept."""
    behind: timedelta = timedelta(0)
    """Of the one that is furthest behind."""
    due_vehicles: int = 0
    """Those with minutes to be computed, of history or because rows came late."""

    @property
    def is_late(self) -> bool:
        """Whether an operator is to know of it."""
        return self.behind > LATE


def minutes_of_fleet(cursor: Cursor) -> list[VehicleMinutes]:
    """Return how far the minutes of each vehicle are, by name."""
    cursor.execute(_VEHICLES, {"lag": LAG})
    return [
        VehicleMinutes(
            id=UUID(key),
            name=sanitise(name, 200),
            minutes_from=from_epoch(start),
            minutes_to=from_epoch(end),
            behind_seconds=None if start is None else behind,
            due=due,
            due_from=from_epoch(due_from),
            due_to=from_epoch(due_to),
        )
        for key, name, start, end, behind, due, due_from, due_to in cursor.fetchall()
    ]


def minutes_progress(cursor: Cursor, shards: Collection[int] | None = None) -> MinutesProgress:
    """Return how far the minutes of the vehicles of these shards are; None: of all."""
    condition, arguments = in_shards("v.id", shards)
    query = _PROGRESS.replace("%(lag)s", "%s").format(shards=condition)
    cursor.execute(query, (LAG, *arguments))
    ((vehicles, behind, due),) = cursor.fetchall()
    return MinutesProgress(vehicles, timedelta(seconds=max(0.0, behind)), due)


def rows_a_minute(cursor: Cursor, stored: int) -> float | None:
    """Return how many measurements a minute of a channel has lately; None if none is found.

    `stored` is about how many minutes there are: some of them are read.
    """
    cursor.execute(_ROWS_A_MINUTE, (min(100.0, 100.0 * SAMPLED / stored),))
    found: float | None = cursor.fetchall()[0][0]
    return found
