"""Requests of operators to sync a vehicle now, and the daemon that takes them."""

from collections.abc import Collection
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.database.vehicle_state import DATED, IS_PAUSED
from fleetsyncd.database.vehicles import require_vehicles
from fleetsyncd.errors import CommandError

_REQUEST = f"""
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, sync_requested_at)
SELECT id, now() FROM public.vehicles WHERE id = %s::uuid FOR KEY SHARE
ON CONFLICT (vehicle_id) DO UPDATE SET sync_requested_at = now(), updated_at = now(),
    dated_at = CASE WHEN {DATED} THEN now() END
"""  # noqa: S608  made of this project's own text
_TAKE = f"""
UPDATE fleetsync.vehicle_state s SET sync_requested_at = NULL
WHERE sync_requested_at IS NOT NULL AND NOT {IS_PAUSED}
    AND vehicle_id <> ALL (%s::uuid[]) {{conditions}}
RETURNING vehicle_id::text
"""  # noqa: S608  made of this project's own text


def request_sync(cursor: Cursor, vehicle_id: UUID) -> None:
    """Ask the daemon to sync a vehicle now; raise CommandError if it is paused or gone."""
    cursor.execute(
        f"SELECT FROM fleetsync.vehicle_state s WHERE vehicle_id = %s::uuid AND {IS_PAUSED}",
        (str(vehicle_id),),
    )
    if cursor.fetchone() is not None:
        raise CommandError("the vehicle is paused: resume it first")
    cursor.execute(_REQUEST, (str(vehicle_id),))
    require_vehicles(cursor)


def take_sync_requests(
    cursor: Cursor, busy: Collection[UUID], shards: Collection[int] | None = None
) -> set[UUID]:
    """Return the vehicles that an operator wants synced now, and mark their requests as taken.

    A request for a `busy` vehicle stays: its present pull may have begun before the request.
    """
    conditions, arguments = in_shards("vehicle_id", shards)
    cursor.execute(
        _TAKE.format(conditions=conditions),
        ([str(vehicle_id) for vehicle_id in busy], *arguments),
    )
    return {UUID(row[0]) for row in cursor.fetchall()}
