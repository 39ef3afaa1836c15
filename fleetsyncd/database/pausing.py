"""Pause and resume a vehicle; the end of pauses whose time is over.

A pause ends at its time whether or not a daemon runs: every statement asks `IS_PAUSED`. The daemon
then tidies the row up, so that the log has its end.
"""

from collections.abc import Collection
from uuid import UUID

import msgspec

from fleetsyncd.actions import Action, daemon_actor
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.database.vehicle_state import DATED, IS_OVER, IS_PAUSED, if_dated
from fleetsyncd.database.vehicles import require_vehicles
from fleetsyncd.states import Pause

PLAIN = Pause()
"""Until somebody resumes it, without a reason."""
_PAUSE = f"""
INSERT INTO fleetsync.vehicle_state AS s
    (vehicle_id, paused, paused_at, paused_until, pause_reason, paused_by)
SELECT id, %(paused)s, CASE WHEN %(paused)s THEN now() END, %(until)s::timestamptz,
    %(reason)s, %(by)s
FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE
ON CONFLICT (vehicle_id) DO UPDATE SET paused = excluded.paused, updated_at = now(),
    paused_at = CASE WHEN NOT excluded.paused THEN NULL WHEN NOT {IS_PAUSED} THEN now()
                     WHEN {DATED} THEN s.paused_at END,
    resumed_at = CASE WHEN {IS_PAUSED} AND NOT excluded.paused THEN now()
                      WHEN {IS_OVER} THEN s.paused_until WHEN {DATED} THEN s.resumed_at END,
    paused_until = excluded.paused_until, pause_reason = excluded.pause_reason,
    paused_by = excluded.paused_by,
    status_since = {if_dated("status_since")}, dated_at = now()
"""  # noqa: S608  made of this project's own text
_END = f"""
UPDATE fleetsync.vehicle_state s SET paused = false, paused_at = NULL, resumed_at = paused_until,
    paused_until = NULL, pause_reason = NULL, paused_by = NULL,
    status_since = {if_dated("status_since")}, dated_at = now(), updated_at = now()
FROM public.vehicles v
WHERE v.id = s.vehicle_id AND {IS_OVER} {{shards}}
RETURNING s.vehicle_id::text, coalesce(v.name, v.id::text)
"""  # noqa: S608  made of this project's own text


def set_paused(cursor: Cursor, vehicle_id: UUID, paused: bool, pause: Pause = PLAIN) -> None:
    """Pause or resume a vehicle; a daemon acts on it within two seconds.

    `pause` says until when, why and by whom it is paused; it replaces what was said before.
    Raises CommandError if the vehicle was removed meanwhile.
    """
    why = pause if paused else PLAIN
    values = {"id": str(vehicle_id), "paused": paused, **msgspec.structs.asdict(why)}
    cursor.execute(_PAUSE, values)
    require_vehicles(cursor)


def end_pauses(cursor: Cursor, shards: Collection[int] | None) -> dict[UUID, str]:
    """Resume the vehicles whose pause is over; return their names by id."""
    condition, arguments = in_shards("s.vehicle_id", shards)
    cursor.execute(_END.format(shards=condition), arguments)
    ended = {UUID(key): str(name) for key, name in cursor.fetchall()}
    action = Action("vehicle resume: the time of its pause is over", daemon_actor())
    record(cursor, action, [Change(key, {"paused": True}, {"paused": False}) for key in ended])
    return ended
