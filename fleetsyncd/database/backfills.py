"""Backfills: past intervals that operators want pulled again; one at a time for each vehicle.

`asked_at` is the version of a backfill: a daemon writes only to the version that it has read.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from fleetsyncd.database import vehicle_state
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.errors import BackfillTaken, CommandError, PullStopped
from fleetsyncd.jobs import Backfill
from fleetsyncd.models import Address, Window
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.times import floor_ms, utc_day, utc_now

# An unfinished one grows to contain both intervals; a part that is pulled twice adds nothing twice.
_REQUEST = """
WITH vehicle AS (SELECT id FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE)
INSERT INTO fleetsync.backfill AS b (vehicle_id, from_at, to_at, reached_at)
SELECT id, %(start)s, %(end)s, %(start)s FROM vehicle
ON CONFLICT (vehicle_id) DO UPDATE SET
    from_at = CASE WHEN b.finished_at IS NULL THEN least(b.from_at, excluded.from_at)
                   ELSE excluded.from_at END,
    to_at = CASE WHEN b.finished_at IS NULL THEN greatest(b.to_at, excluded.to_at)
                 ELSE excluded.to_at END,
    reached_at = CASE WHEN b.finished_at IS NULL THEN least(b.from_at, excluded.from_at)
                      ELSE excluded.from_at END,
    alarms_reached_at = NULL, rows_added = 0, busy_sec = 0, gone_sec = 0, lacks_alarms = false,
    asked_at = clock_timestamp(), finished_at = NULL, last_error = NULL
RETURNING from_at, to_at
"""
_CANCEL = """
DELETE FROM fleetsync.backfill WHERE vehicle_id = %(id)s::uuid AND finished_at IS NULL
    AND (%(asked_at)s::timestamptz IS NULL OR asked_at = %(asked_at)s)
"""
# What a cycle has been told since: another machine may answer by now, and the next attempt asks it.
_SAME_MACHINE = """NOT EXISTS (
        SELECT FROM fleetsync.vehicle_state s
        WHERE s.vehicle_id = backfill.vehicle_id AND s.other_hint <> coalesce(%(hint)s, ''))"""
# Only from the progress that the attempt knows: a restore of the database may have taken its rows.
# A row that has reached the new progress already was advanced by the first try of this transaction.
_ADVANCE = f"""
UPDATE fleetsync.backfill SET reached_at = %(reached)s,
    rows_added = rows_added + CASE reached_at WHEN %(reached)s THEN 0 ELSE %(rows)s END,
    busy_sec = busy_sec + CASE reached_at WHEN %(reached)s THEN 0 ELSE %(seconds)s END,
    gone_sec = gone_sec + CASE reached_at WHEN %(reached)s THEN 0 ELSE %(gone)s END,
    lacks_alarms = %(lacks_alarms)s, last_error = NULL,
    finished_at = CASE WHEN %(reached)s >= to_at AND %(may_finish)s THEN now() ELSE finished_at END
WHERE vehicle_id = %(id)s::uuid AND asked_at = %(asked_at)s
    AND alarms_reached_at IS NOT DISTINCT FROM %(alarms_reached)s
    AND (reached_at = %(reached)s OR (reached_at = %(known)s AND finished_at IS NULL))
    AND EXISTS (SELECT FROM public.vehicles WHERE id = vehicle_id AND {vehicle_state.AT_ADDRESS})
    AND {_SAME_MACHINE}
"""  # noqa: S608  made of this project's own text
_ADVANCE_ALARMS = f"""
UPDATE fleetsync.backfill SET alarms_reached_at = %(reached)s
WHERE vehicle_id = %(id)s::uuid AND asked_at = %(asked_at)s AND finished_at IS NULL
    AND (alarms_reached_at = %(reached)s OR alarms_reached_at IS NOT DISTINCT FROM %(known)s)
    AND {_SAME_MACHINE}
"""  # noqa: S608  made of this file's own text
_FAIL = """
UPDATE fleetsync.backfill SET last_error = %(error)s
WHERE vehicle_id = %(id)s::uuid AND asked_at = %(asked_at)s AND finished_at IS NULL
"""
_OPEN = f"""
SELECT b.vehicle_id::text, b.from_at, b.to_at, b.reached_at, b.asked_at, b.alarms_reached_at
FROM fleetsync.backfill b LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = b.vehicle_id
WHERE b.finished_at IS NULL AND b.vehicle_id <> ALL (%s::uuid[]) AND NOT {vehicle_state.IS_PAUSED}
    AND NOT EXISTS (SELECT FROM unnest(%s::uuid[], %s::timestamptz[]) k(id, asked_at)
                    WHERE k.id = b.vehicle_id AND k.asked_at = b.asked_at)
    {{shards}}
ORDER BY coalesce(s.failures, 0) > 0, b.asked_at LIMIT %s
"""  # noqa: S608  made of this project's own text
_PROGRESS = """
SELECT b.asked_at, b.reached_at, b.alarms_reached_at, b.finished_at IS NOT NULL, s.other_hint
FROM fleetsync.backfill b LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = b.vehicle_id
WHERE b.vehicle_id = %s::uuid
"""
_SET_BACK = (
    "its progress was set back: the database was restored, or another daemon goes on with it"
)


def request_backfill(cursor: Cursor, vehicle_id: UUID, window: Window) -> Window:
    """Request that `window` be pulled again; raise CommandError if nothing of it can be stored.

    Returns what is requested: the window, cut to the accepted interval and to whole milliseconds,
    the resolution of the vehicle API, and joined to the vehicle's open backfill, if it has one. The
    backfill of a paused vehicle waits until the vehicle is resumed.
    """
    now = utc_now()
    start = floor_ms(max(window.start, accepted_interval(now).start))
    end = floor_ms(min(window.end, now))
    if start >= end:
        oldest = utc_day(accepted_interval(now).start)
        raise CommandError(f"the interval must begin before it ends, after {oldest} and before now")
    cursor.execute(_REQUEST, {"id": str(vehicle_id), "start": start, "end": end})
    row = cursor.fetchone()
    if row is None:
        raise CommandError("the vehicle was removed meanwhile")
    return Window(*row)


def cancel_backfill(cursor: Cursor, vehicle_id: UUID, asked_at: datetime | None = None) -> bool:
    """Cancel the rest of a backfill and return whether there was one; stored rows stay.

    With `asked_at` only that version is cancelled, not one that was requested since.
    """
    cursor.execute(_CANCEL, {"id": str(vehicle_id), "asked_at": asked_at})
    return cursor.rowcount == 1


def open_backfills(
    cursor: Cursor,
    excluded: Collection[UUID],
    limit: int,
    shards: Collection[int] | None = None,
    resting: Mapping[UUID, datetime] = MappingProxyType({}),
) -> dict[UUID, Backfill]:
    """Return at most `limit` unfinished backfills by vehicle, of some shards or (None) of all.

    The oldest request comes first, failing vehicles come last. Those of `resting` vehicles are left
    out if they are still of the version that is given for each.
    """
    condition, arguments = in_shards("b.vehicle_id", shards)
    values = (
        [str(vehicle_id) for vehicle_id in excluded],
        [str(vehicle_id) for vehicle_id in resting],
        list(resting.values()),
        *arguments,
        limit,
    )
    cursor.execute(_OPEN.format(shards=condition), values)
    return {
        UUID(key): Backfill(Window(start, end), reached, asked_at, alarms_reached)
        for key, start, end, reached, asked_at, alarms_reached in cursor.fetchall()
    }


def advance_backfill(
    cursor: Cursor,
    vehicle_id: UUID,
    backfill: Backfill,
    *,
    reached: datetime,
    rows: int,
    seconds: float,
    gone_sec: float = 0.0,
    address: Address | None = None,
    hint: str | None = None,
    may_finish: bool = True,
    lacks_alarms: bool = False,
) -> bool:
    """Record that everything before `reached` is stored; False if its progress is another one.

    `rows` were added, which took so many `seconds`; `gone_sec` of that time could not be pulled.
    Unless it `may_finish` it stays open also at its end: alarms are missing. `lacks_alarms`: the
    vehicle has none to give.

    `backfill` carries the progress that the caller has read or written last. It is another one if
    the backfill was cancelled or replaced, if another daemon goes on with it, or if the database
    was restored. False also if the vehicle is not registered at `address` any more, where the rows
    came from, or if a cycle was told that the machine calls itself neither as before nor `hint`.
    """
    host, port = address or (None, None)
    values = {
        "id": str(vehicle_id),
        "asked_at": backfill.asked_at,
        "known": backfill.reached,
        "alarms_reached": backfill.alarms_reached,
        "reached": min(reached, backfill.window.end),
        "rows": rows,
        "seconds": seconds,
        "gone": gone_sec,
        "host": host,
        "port": port,
        "hint": hint,
        "may_finish": may_finish,
        "lacks_alarms": lacks_alarms,
    }
    cursor.execute(_ADVANCE, values)
    return cursor.rowcount == 1


def advance_alarms(
    cursor: Cursor,
    vehicle_id: UUID,
    backfill: Backfill,
    reached: datetime,
    hint: str | None = None,
) -> bool:
    """Record that the alarms before `reached` are stored; False as for `advance_backfill`."""
    values = {
        "id": str(vehicle_id),
        "asked_at": backfill.asked_at,
        "known": backfill.alarms_reached,
        "reached": reached,
        "hint": hint,
    }
    cursor.execute(_ADVANCE_ALARMS, values)
    return cursor.rowcount == 1


def moved_error(
    cursor: Cursor, vehicle_id: UUID, backfill: Backfill, hint: str | None = None
) -> PullStopped:
    """Return the error that says why an attempt, which knows `hint`, must not store any more."""
    cursor.execute(_PROGRESS, (str(vehicle_id),))
    row = cursor.fetchone()
    if row is None:
        return BackfillTaken("cancelled by an operator")
    asked_at, reached, alarms_reached, finished, other_hint = row
    if asked_at != backfill.asked_at:
        return BackfillTaken("replaced by a newer request")
    if other_hint is not None and other_hint != hint:
        told = sanitise(other_hint)
        return PullStopped(
            f"the vehicle calls itself {told} meanwhile: the next attempt asks again"
        )
    known = backfill.alarms_reached
    behind = reached < backfill.reached or (
        known is not None and (alarms_reached is None or alarms_reached < known)
    )
    if behind and not finished:
        return PullStopped(_SET_BACK)
    return BackfillTaken("another daemon goes on with it")


def fail_backfill(cursor: Cursor, vehicle_id: UUID, backfill: Backfill, error: str) -> None:
    """Record why a backfill makes no progress."""
    values = {"id": str(vehicle_id), "asked_at": backfill.asked_at, "error": error}
    cursor.execute(_FAIL, values)
