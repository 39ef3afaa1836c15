"""Repairs: the audits that the daemon itself requests, where rows may have been missed.

A vehicle has one at a time. One that needs many in a row waits ever longer before the next.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.audits import IS_FIT
from fleetsyncd.database.lateness import MILLISECOND
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.lateness import LONGEST_OVERLAP
from fleetsyncd.models import Window
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.times import floor_ms, utc_now

FREE_REPAIRS = 4
"""Repairs in a row that begin at once, of those that find rows; each hour without one forgives
one."""
_REST = "interval '5 min'"
"""Of the vehicle's time, how much comes after a repair that found nothing before a suspicion is
followed up again: a vehicle at the edge of the longest overlap is suspected in every cycle."""
# What joins an open repair is no other one, and must not let it wait for longer.
_IS_JOINED = "(a.finished_at IS NULL OR a.to_at = excluded.to_at)"
_REPAIRS = f"""CASE WHEN {_IS_JOINED} THEN a.repairs WHEN a.missing = 0 THEN 1
        ELSE 1 + greatest(0, a.repairs
            - floor(extract(epoch FROM now() - a.finished_at) / 3600)::integer) END"""
_REQUEST_REPAIR = f"""
INSERT INTO fleetsync.audit AS a (vehicle_id, is_repair, from_at, to_at, reached_at, repairs)
VALUES (%(id)s::uuid, true, %(start)s, %(end)s, %(start)s, 1)
ON CONFLICT (vehicle_id, is_repair) DO UPDATE SET
    from_at = CASE WHEN a.finished_at IS NULL THEN least(a.from_at, excluded.from_at)
                   ELSE excluded.from_at END,
    to_at = CASE WHEN a.finished_at IS NULL THEN greatest(a.to_at, excluded.to_at)
                 ELSE excluded.to_at END,
    reached_at = CASE WHEN a.finished_at IS NULL THEN least(a.reached_at, excluded.from_at)
                      ELSE excluded.from_at END,
    repairs = {_REPAIRS},
    not_before = CASE WHEN {_IS_JOINED} THEN a.not_before
        WHEN {_REPAIRS} > {FREE_REPAIRS} THEN now() + least(interval '1 day',
            interval '10 minutes' * power(2, least({_REPAIRS}, 20) - {FREE_REPAIRS})) END,
    checked = 0, missing = 0, different = 0, gone = 0, gone_sec = 0, busy_sec = 0,
    asked_at = clock_timestamp(), finished_at = NULL, last_error = NULL
RETURNING not_before
"""  # noqa: S608  made of this file's own text
# What the next cycle asks for again is not missed yet.
_SETTLED = f"""(v.last_sync_at
    - coalesce(s.overlap_ms, {LONGEST_OVERLAP / MILLISECOND:.0f}) * interval '1 ms')"""
_SUSPECTS = f"""
SELECT s.vehicle_id::text, s.suspect_from, {_SETTLED}
FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
WHERE s.suspect_from < {_SETTLED} AND {IS_FIT} {{shards}} AND NOT EXISTS (
    SELECT FROM fleetsync.audit a
    WHERE a.vehicle_id = s.vehicle_id AND a.is_repair AND a.finished_at IS NOT NULL
      AND a.missing = 0 AND a.to_at > {_SETTLED} - {_REST})
LIMIT %s FOR NO KEY UPDATE OF s SKIP LOCKED
"""  # noqa: S608  made of this file's own text
_TRUST = """
UPDATE fleetsync.vehicle_state SET suspect_from = NULL WHERE vehicle_id = ANY (%s::uuid[])
"""


def request_repair(cursor: Cursor, vehicle_id: UUID, window: Window) -> datetime | None:
    """Have the daemon compare `window` by itself; return before when it does not, if it waits.

    It is joined to the vehicle's open repair.
    """
    start, end = floor_ms(window.start), floor_ms(window.end)
    values = {"id": str(vehicle_id), "start": start, "end": end}
    cursor.execute(_REQUEST_REPAIR, values)
    row = cursor.fetchone()
    return row[0] if row else None


def repair_suspects(
    cursor: Cursor,
    excluded: Collection[UUID],
    limit: int,
    shards: Collection[int] | None = None,
) -> None:
    """Request a repair of vehicles of which late rows may have been missed."""
    condition, arguments = in_shards("s.vehicle_id", shards)
    keys = [str(vehicle_id) for vehicle_id in excluded]
    cursor.execute(_SUSPECTS.format(shards=condition), (keys, *arguments, limit))
    suspects = cursor.fetchall()
    for key, start, end in suspects:
        first = max(floor_ms(start), accepted_interval(utc_now()).start)
        if first < floor_ms(end):
            request_repair(cursor, UUID(key), Window(first, floor_ms(end)))
    if suspects:
        cursor.execute(_TRUST, ([row[0] for row in suspects],))
