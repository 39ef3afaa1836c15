"""Minute aggregates of measurements: computed after their rows are committed, and never wrong.

Of each vehicle, the minutes between `minutes_from` and `minutes_to` of `fleetsync.minute_state` are
complete, but for the intervals in `fleetsync.minute_due`. The function that stores rows adds those
that lie before `minutes_to` to them. It runs with the vehicle's row locked FOR KEY SHARE; whoever
computes minutes locks it FOR UPDATE before he reads any row, so none can come in between.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.times import months_before

MINUTE = timedelta(minutes=1)
LAG = timedelta(minutes=5)
"""The newest minutes wait: most rows that a vehicle commits late have come by then."""
EVERY = timedelta(minutes=10)
"""So much of a vehicle's time is computed at once."""
LONGEST_BITE = timedelta(hours=1)
"""What one transaction computes of a vehicle, at most."""
SKIPPED = timedelta(days=1)
"""A vehicle whose minutes are so far behind goes on at the present; the rest is due as history."""
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No month before is made."""
# Who is never heard of again has no newer minutes that would let the last ones be computed. A
# vehicle that catches up is none of these: it is seen.
IS_SILENT = """
coalesce(greatest(v.last_sync_at::timestamptz, v.last_seen_at::timestamptz)
    < now() - interval '1 hour', false)
"""
"""SQL for whether nothing came from a vehicle `v` for so long that nothing is to be waited for."""
# What was pulled ahead of a gap is computed only then: while a vehicle answers, the gap's rows come
# and are computed in order. Other services may write infinity, which cannot be subtracted.
UPTO = f"""
CASE WHEN {IS_SILENT}
    THEN date_trunc('minute', greatest(v.last_sync_at::timestamptz,
        (SELECT upper(i.islands) FROM fleetsync.vehicle_state i WHERE i.vehicle_id = v.id))
        + interval '59.999999 s')
    ELSE date_trunc('minute', CASE WHEN v.last_sync_at IS NOT NULL
        THEN least(v.last_sync_at::timestamptz, now()) END - %(lag)s::interval) END
"""  # noqa: S608  made of this file's own text
"""SQL for how far the minutes of a vehicle `v` can be computed by now."""
_STATES = "fleetsync.minute_state s JOIN public.vehicles v ON v.id = s.vehicle_id"
# No row of a vehicle can be missed here: what is skipped is due, and computed under the lock.
_BEGIN = f"""
WITH fresh AS (
    INSERT INTO fleetsync.minute_state AS s (vehicle_id, minutes_from, minutes_to)
    SELECT v.id, %(limit)s::timestamptz, {UPTO} FROM public.vehicles v
    WHERE {UPTO} > %(limit)s::timestamptz
      AND NOT EXISTS (SELECT FROM fleetsync.minute_state k WHERE k.vehicle_id = v.id) {{shards}}
    ON CONFLICT (vehicle_id) DO NOTHING
    RETURNING s.vehicle_id, s.minutes_from, s.minutes_to
)
INSERT INTO fleetsync.minute_due (vehicle_id, from_at, to_at) SELECT * FROM fresh
"""  # noqa: S608  made of this file's own text
_SKIP = f"""
WITH late AS (
    SELECT s.vehicle_id, s.minutes_to, {UPTO} AS upto FROM {_STATES}
    WHERE {UPTO} > s.minutes_to + %(skipped)s::interval {{shards}}
    FOR UPDATE OF s SKIP LOCKED
), moved AS (
    UPDATE fleetsync.minute_state s SET minutes_to = late.upto FROM late
    WHERE s.vehicle_id = late.vehicle_id AND s.minutes_to = late.minutes_to
    RETURNING s.vehicle_id, late.minutes_to, late.upto
)
INSERT INTO fleetsync.minute_due (vehicle_id, from_at, to_at) SELECT * FROM moved
"""  # noqa: S608  made of this file's own text
_WAITING = f"""
SELECT s.vehicle_id::text FROM {_STATES}
WHERE ({UPTO} >= s.minutes_to + %(every)s::interval
       OR {IS_SILENT} AND {UPTO} > s.minutes_to) {{shards}}
ORDER BY s.minutes_to
"""  # noqa: S608  made of this file's own text
_MONTHS = f"""
SELECT fleetsync.make_minute_month(month) FROM (
    SELECT DISTINCT date_trunc('month', ends.at)::date AS month
    FROM {_STATES}, LATERAL (VALUES (s.minutes_to),
        (least({UPTO}, s.minutes_to + %(bite)s::interval) - interval '1 microsecond')) ends(at)
    WHERE s.vehicle_id = ANY (%(ids)s::uuid[])
) months
"""  # noqa: S608  made of this file's own text
# A statement of its own: the next one then sees all that was committed before the lock. Compiling
# those would take longer than running them.
_LOCK = """
SELECT set_config('jit', 'off', true);
SELECT id::text FROM public.vehicles WHERE id = ANY (%s::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED
"""
# The key of measurements begins with vehicle and channel, so channels are looked up by partition.
PARTITIONS = """
SELECT begins, ends FROM fleetsync.partition_ranges()
UNION ALL
SELECT '-infinity', 'infinity' WHERE NOT EXISTS (SELECT FROM fleetsync.partition_ranges())
"""
PARTS = f"""
{PARTITIONS} AND NOT EXISTS (SELECT FROM fleetsync.hidden_ranges())
UNION ALL
SELECT begins, ends FROM fleetsync.hidden_ranges()
"""  # noqa: S608  made of this file's own text
"""Between which times the rows of each part are: a month, a chunk of a hypertable."""
# Rows are only ever added: where fewer are left than were counted, a month of them was dropped.
STORED = f"""
partition AS MATERIALIZED ({PARTS}),
stored AS (
    INSERT INTO public.measurements_minute AS m
        (vehicle_id, channel_id, minute, count, min, max, sum, first, last)
    SELECT w.vehicle_id, c.id, r.minute, r.count, r.min, r.max, r.sum, r.first, r.last
    FROM work w
    CROSS JOIN LATERAL (
        SELECT DISTINCT id FROM partition p, fleetsync.measured_channels(
            w.vehicle_id, p.begins, p.ends) id
        WHERE p.begins < w.to_at AND p.ends > w.from_at
    ) c
    CROSS JOIN LATERAL fleetsync.measured_minutes(w.vehicle_id, c.id, w.from_at, w.to_at) r
    ON CONFLICT (vehicle_id, channel_id, minute) DO UPDATE SET count = excluded.count,
        min = excluded.min, max = excluded.max, sum = excluded.sum,
        first = excluded.first, last = excluded.last
    WHERE excluded.count {{compared}} m.count
    RETURNING m.count
)"""  # noqa: S608  made of this file's own text
_KEEP = f"""
WITH work AS MATERIALIZED (
    SELECT s.vehicle_id, s.minutes_to AS from_at,
        least({UPTO}, s.minutes_to + %(bite)s::interval) AS to_at
    FROM {_STATES} WHERE s.vehicle_id = ANY (%(ids)s::uuid[]) AND {UPTO} > s.minutes_to
), {STORED.format(compared=">")},
moved AS (
    UPDATE fleetsync.minute_state s SET minutes_to = work.to_at FROM work
    WHERE s.vehicle_id = work.vehicle_id
    RETURNING s.vehicle_id
)
SELECT (SELECT count(*) FROM moved), (SELECT coalesce(sum(count), 0) FROM stored)
"""  # noqa: S608  made of this file's own text


@dataclass(frozen=True, slots=True)
class Kept:
    """What a transaction has computed: of how many vehicles, from how many rows."""

    vehicles: int = 0
    rows: int = 0


def oldest_kept(now: datetime, keep_months: int) -> datetime:
    """Return where minutes begin of which so many months are kept beside the present one.

    0 months: for ever.
    """
    return max(OLDEST, months_before(now, keep_months)) if keep_months else OLDEST


def begin(cursor: Cursor, limit: datetime = OLDEST, shards: Collection[int] | None = None) -> int:
    """Begin to keep the minutes of vehicles that have none, and let late ones go on at the present.

    All before the present, from `limit` on, becomes due. Returns how many vehicles that were.
    """
    condition, arguments = _in_shards("v.id", shards)
    values = {"lag": LAG, "limit": limit, "skipped": SKIPPED, **arguments}
    cursor.execute(_BEGIN.format(shards=condition), values)
    begun = cursor.rowcount
    cursor.execute(_SKIP.format(shards=condition), values)
    return begun + cursor.rowcount


def _in_shards(column: str, shards: Collection[int] | None) -> tuple[str, dict[str, Any]]:
    """Return the condition of `in_shards`, its argument with a name."""
    condition, arguments = in_shards(column, shards)
    return condition.replace("%s", "%(shards)s"), dict(zip(["shards"], arguments, strict=False))


def waiting(
    cursor: Cursor, shards: Collection[int] | None = None, every: timedelta = EVERY
) -> list[UUID]:
    """Return the vehicles with `every` of time to compute, the latest one first."""
    condition, arguments = _in_shards("v.id", shards)
    values = {"lag": LAG, "every": every, **arguments}
    cursor.execute(_WAITING.format(shards=condition), values)
    return [UUID(key) for (key,) in cursor.fetchall()]


def whole_minutes(length: timedelta) -> timedelta:
    """Return a length without the part of a minute, but one minute at least."""
    return max(MINUTE, length - length % MINUTE)


def lock_vehicles(cursor: Cursor, ids: Sequence[UUID]) -> list[UUID]:
    """Lock the rows of vehicles to which nobody is writing now; return those."""
    cursor.execute(_LOCK, ([str(key) for key in ids],))
    return [UUID(key) for (key,) in cursor.fetchall()]


def keep(cursor: Cursor, ids: Sequence[UUID], bite: timedelta = LONGEST_BITE) -> Kept:
    """Compute the next minutes of vehicles, at most the whole minutes of a `bite` of each.

    Vehicles to which somebody is writing just now are left for the next time.
    """
    locked = lock_vehicles(cursor, ids)
    if not locked:
        return Kept()
    values = {"lag": LAG, "bite": whole_minutes(bite), "ids": [str(key) for key in locked]}
    cursor.execute(_MONTHS, values)
    cursor.execute(_KEEP, values)
    ((vehicles, rows),) = cursor.fetchall()
    return Kept(vehicles, int(rows))
