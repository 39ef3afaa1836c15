"""Minutes that are due: history, and those before `minutes_to` to which rows were added.

They are worked off from the newest to the oldest. Intervals of a vehicle may overlap.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from fleetsyncd.database.cluster import value_of
from fleetsyncd.database.minutes import (
    LONGEST_BITE,
    MINUTE,
    PARTS,
    STORED,
    Kept,
    lock_vehicles,
    whole_minutes,
)
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.models import Window

MOST_DUE = 100
"""Due intervals of one vehicle from which on they are merged."""
MOST_PARTS = 50
"""Months or chunks that one step looks through for a vehicle's newest row."""
_DUE_VEHICLES = """
SELECT d.vehicle_id::text FROM fleetsync.minute_due d
JOIN fleetsync.minute_state v ON v.vehicle_id = d.vehicle_id WHERE true {conditions}
GROUP BY d.vehicle_id ORDER BY max(d.to_at) DESC LIMIT %s
"""
# A default partition, which may have rows of all times, comes first. Bounds may be infinite, for
# which Python has no times.
_NEWEST_DUE = f"""
WITH due AS MATERIALIZED (
    SELECT d.from_at, greatest(d.from_at, s.minutes_from) AS start,
        greatest(d.to_at, s.minutes_from) AS stop
    FROM fleetsync.minute_due d JOIN fleetsync.minute_state s ON s.vehicle_id = d.vehicle_id
    WHERE d.vehicle_id = %s::uuid ORDER BY d.to_at DESC, d.from_at LIMIT 1
), part AS MATERIALIZED ({PARTS})
SELECT due.from_at, due.start, greatest(part.begins, due.start), least(part.ends, due.stop),
    coalesce(part.begins, due.start)::text, coalesce(part.ends, due.stop)::text
FROM due LEFT JOIN part ON part.begins < due.stop AND part.ends > due.start
ORDER BY part.ends DESC NULLS LAST, part.begins LIMIT %s
"""  # noqa: S608  made of this project's own text
# By the part's own bounds: where most of its rows are before or after the times, each step to the
# next channel would read them all.
_CHANNELS = """
SELECT coalesce(array_agg(DISTINCT channel), '{}')::text
FROM fleetsync.measured_channels(%(id)s::uuid, %(part_from)s, %(part_to)s) channel
"""
_NEWEST_ROW = """
SELECT max(n.time) FROM unnest({channels}::int[]) channel
CROSS JOIN LATERAL (
    SELECT m.time FROM public.measurements m
    WHERE m.vehicle_id = %(id)s::uuid AND m.channel_id = channel
      AND m.time >= %(from)s AND m.time < %(to)s
    ORDER BY m.time DESC LIMIT 1) n
"""
_COMPUTE = f"""
WITH work AS MATERIALIZED (
    SELECT %(id)s::uuid AS vehicle_id, %(from)s::timestamptz AS from_at,
        %(to)s::timestamptz AS to_at
), {STORED}
SELECT coalesce(sum(count), 0) FROM stored
"""  # noqa: S608  made of this file's own text
_MONTHS = """
SELECT fleetsync.make_minute_month(month) FROM (
    SELECT DISTINCT date_trunc('month', at)::date AS month
    FROM unnest(ARRAY[%(from)s::timestamptz, %(to)s::timestamptz - interval '1 microsecond']) at
) months
"""
_IS_REBUILD = """
SELECT coalesce(bool_or(rebuild_to IS NOT NULL), false) FROM fleetsync.minute_due
WHERE vehicle_id = %(id)s::uuid AND to_at > %(from)s AND from_at < %(to)s
"""
# Nothing of this vehicle that is due is newer than what was just computed.
_CUT = """
DELETE FROM fleetsync.minute_due WHERE vehicle_id = %(id)s::uuid AND from_at >= %(from)s;
UPDATE fleetsync.minute_due SET to_at = %(from)s
WHERE vehicle_id = %(id)s::uuid AND to_at > %(from)s
"""
# What is before minutes_from becomes trusted, so all up to there is computed.
_REBUILD = """
WITH asked AS (
    SELECT s.vehicle_id, s.minutes_from, %(start)s::timestamptz AS from_at,
        least(s.minutes_to, greatest(%(end)s::timestamptz,
            CASE WHEN %(start)s < s.minutes_from THEN s.minutes_from END)) AS to_at
    FROM fleetsync.minute_state s WHERE s.vehicle_id = ANY (%(ids)s::uuid[])
), trusted AS (
    UPDATE fleetsync.minute_state s SET minutes_from = asked.from_at FROM asked
    WHERE s.vehicle_id = asked.vehicle_id AND asked.from_at < asked.minutes_from
), replaced AS (
    DELETE FROM fleetsync.minute_due d USING asked
    WHERE d.vehicle_id = asked.vehicle_id
      AND d.from_at >= asked.from_at AND d.to_at <= asked.to_at
)
INSERT INTO fleetsync.minute_due (vehicle_id, from_at, to_at, rebuild_to)
SELECT vehicle_id, from_at, to_at, %(end)s::timestamptz FROM asked WHERE from_at < to_at
"""
_CROWDED = """
SELECT d.vehicle_id::text FROM fleetsync.minute_due d WHERE true {conditions}
GROUP BY d.vehicle_id HAVING count(*) > %s
"""
# Those that touch become one; if there still are too many, all of a month become one.
_MERGE = """
WITH gone AS (
    DELETE FROM fleetsync.minute_due WHERE vehicle_id = %(id)s::uuid
    RETURNING from_at, to_at, rebuild_to
), exact AS (
    SELECT unnest(range_agg(tstzrange(from_at, to_at))) AS part, rebuild_to
    FROM gone GROUP BY rebuild_to
), monthly AS (
    SELECT unnest(range_agg(tstzrange(
        date_trunc('month', lower(part)),
        date_trunc('month', upper(part) - interval '1 microsecond') + interval '1 month'
    ))) AS part, rebuild_to
    FROM exact GROUP BY rebuild_to
)
INSERT INTO fleetsync.minute_due (vehicle_id, from_at, to_at, rebuild_to)
SELECT %(id)s::uuid, lower(part), upper(part), rebuild_to FROM exact
WHERE (SELECT count(*) FROM exact) <= %(most)s
UNION ALL
SELECT %(id)s::uuid, lower(part), upper(part), rebuild_to FROM monthly
WHERE (SELECT count(*) FROM exact) > %(most)s
"""


class _Part(NamedTuple):
    """A part of the newest due interval, between two times, and the bounds of the table's part."""

    from_at: datetime
    start: datetime
    begins: datetime
    ends: datetime
    part_begins: str
    part_ends: str


def due_vehicles(
    cursor: Cursor,
    most: int,
    shards: Collection[int] | None = None,
    only: Collection[UUID] | None = None,
) -> list[UUID]:
    """Return vehicles with minutes that are due, the newest first."""
    condition, arguments = in_shards("d.vehicle_id", shards)
    if only is not None:
        condition += " AND d.vehicle_id = ANY (%s::uuid[])"
        arguments.append([str(key) for key in only])
    cursor.execute(_DUE_VEHICLES.format(conditions=condition), (*arguments, most))
    return [UUID(key) for (key,) in cursor.fetchall()]


def next_due(cursor: Cursor, vehicle_id: UUID, bite: timedelta = LONGEST_BITE) -> Window | None:
    """Return the newest part of what is due of a vehicle, whole minutes; None: nothing is.

    It ends with the newest row, since what is after that needs no computing. Without any row in the
    newest MOST_PARTS parts of the table it is empty, and begins where these do. They are looked at
    one by one: a vehicle's channels are dear to find over all compressed chunks of a hypertable.
    """
    cursor.execute(_NEWEST_DUE, (str(vehicle_id), MOST_PARTS))
    parts = [_Part(*row) for row in cursor.fetchall()]
    if not parts:
        return None
    for part in parts:
        newest = _newest_row(cursor, vehicle_id, part)
        if newest is not None:
            end = newest.replace(second=0, microsecond=0) + MINUTE
            return Window(max(part.start, end - whole_minutes(bite)), end)
    looked_from = parts[-1].begins if len(parts) == MOST_PARTS else parts[0].from_at
    return Window(looked_from, looked_from)


def _newest_row(cursor: Cursor, vehicle_id: UUID, part: _Part) -> datetime | None:
    """Return the time of a vehicle's newest row in a part of an interval; None: it has none."""
    values = {
        "id": str(vehicle_id),
        "from": part.begins,
        "to": part.ends,
        "part_from": part.part_begins,
        "part_to": part.part_ends,
    }
    channels = value_of(cursor, _CHANNELS, values)
    cursor.execute(_NEWEST_ROW.format(channels=channels), values)
    newest: datetime | None = cursor.fetchall()[0][0]
    return newest


def work_off(cursor: Cursor, vehicle_id: UUID, bite: timedelta = LONGEST_BITE) -> Kept | None:
    """Compute the newest part of what is due of a vehicle.

    Returns None if nothing is due, or somebody is writing to the vehicle just now.
    """
    if not lock_vehicles(cursor, [vehicle_id]):
        return None
    window = next_due(cursor, vehicle_id, bite)
    if window is None:
        return None
    values = {"id": str(vehicle_id), "from": window.start, "to": window.end}
    rows = 0
    if window.length:
        cursor.execute(_IS_REBUILD, values)
        ((is_rebuild,),) = cursor.fetchall()
        cursor.execute(_MONTHS, values)
        cursor.execute(_COMPUTE.format(compared=">=" if is_rebuild else ">"), values)
        ((rows,),) = cursor.fetchall()
    cursor.execute(_CUT, values)
    return Kept(1, int(rows))


def request_rebuild(
    cursor: Cursor, ids: Collection[UUID], start: datetime, end: datetime | None
) -> None:
    """Make all minutes due that are kept of these vehicles, whatever is stored.

    `end`: None for the present. What an interrupted rebuild has computed is computed again: other
    programs may have added rows to it since.
    """
    values = {
        "ids": [str(key) for key in ids],
        "start": start.replace(second=0, microsecond=0),
        "end": "infinity" if end is None else end.replace(second=0, microsecond=0) + MINUTE,
    }
    cursor.execute(_REBUILD, values)


def crowded_vehicles(cursor: Cursor, shards: Collection[int] | None = None) -> list[UUID]:
    """Return the vehicles with so many due intervals that they are to be merged."""
    condition, arguments = in_shards("d.vehicle_id", shards)
    cursor.execute(_CROWDED.format(conditions=condition), (*arguments, MOST_DUE))
    return [UUID(key) for (key,) in cursor.fetchall()]


def merge_due(cursor: Cursor, vehicle_id: UUID) -> None:
    """Merge a vehicle's due intervals, unless somebody is writing to it just now.

    They never grow without end, also while no minutes are kept.
    """
    if lock_vehicles(cursor, [vehicle_id]):
        cursor.execute(_MERGE, {"id": str(vehicle_id), "most": MOST_DUE})
