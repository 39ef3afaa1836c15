"""When a vehicle is paused: the SQL for it, and the end of pauses whose time is over.

A pause ends at its time whether or not a daemon runs: every statement asks `IS_PAUSED`. The daemon
then tidies the row up, so that the log has its end.
"""

from collections.abc import Collection
from uuid import UUID

from fleetsyncd.actions import Action, daemon_actor
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.database.vehicle_state import IS_OVER, if_dated

_END = f"""
UPDATE fleetsync.vehicle_state s SET paused = false, paused_at = NULL, resumed_at = paused_until,
    paused_until = NULL, pause_reason = NULL, paused_by = NULL,
    status_since = {if_dated("status_since")}, dated_at = now(), updated_at = now()
FROM public.vehicles v
WHERE v.id = s.vehicle_id AND {IS_OVER} {{shards}}
RETURNING s.vehicle_id::text, coalesce(v.name, v.id::text)
"""  # noqa: S608  made of this project's own text


def end_pauses(cursor: Cursor, shards: Collection[int] | None) -> dict[UUID, str]:
    """Resume the vehicles whose pause is over; return their names by id."""
    condition, arguments = in_shards("s.vehicle_id", shards)
    cursor.execute(_END.format(shards=condition), arguments)
    ended = {UUID(key): str(name) for key, name in cursor.fetchall()}
    action = Action("vehicle resume: the time of its pause is over", daemon_actor())
    record(cursor, action, [Change(key, {"paused": True}, {"paused": False}) for key in ended])
    return ended
