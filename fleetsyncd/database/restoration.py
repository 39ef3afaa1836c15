"""The way back of a removed vehicle into the fleet."""

from dataclasses import dataclass, field, replace
from uuid import UUID

import psycopg2

from fleetsyncd.database import losses, removed_vehicles, vehicles
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.removed_vehicles import RemovedVehicle
from fleetsyncd.database.vehicle_state import IS_PAUSED
from fleetsyncd.database.vehicle_terms import TERMS
from fleetsyncd.errors import CommandError
from fleetsyncd.validation import DEFAULT_PORT

_REGISTER = """
INSERT INTO public.vehicles (id, name, vpn_ip, api_port, api_key, last_sync_at, created_at)
SELECT vehicle_id, coalesce(%(name)s, name), coalesce(%(host)s::inet, vpn_ip),
    coalesce(%(port)s, api_port, 8001), %(key)s, last_sync_at, coalesce(created_at, now())
FROM fleetsync.removed_vehicle WHERE vehicle_id = %(id)s::uuid
"""
# Its state begins with its return. Another machine at its address is noticed by what the vehicle
# called itself and measured last.
_REMEMBER = f"""
INSERT INTO fleetsync.vehicle_state
    (vehicle_id, paused, id_hint, newest_measurement_at, tags, paused_at, resumed_at, paused_until,
    pause_reason, paused_by, covered_from)
SELECT vehicle_id, {IS_PAUSED}, id_hint, newest_measurement_at, tags,
    CASE WHEN {IS_PAUSED} THEN now() END, CASE WHEN NOT {IS_PAUSED} THEN now() END,
    paused_until, pause_reason, paused_by, covered_from
FROM fleetsync.removed_vehicle s WHERE vehicle_id = %(id)s::uuid
ON CONFLICT (vehicle_id) DO UPDATE SET paused = excluded.paused, id_hint = excluded.id_hint,
    newest_measurement_at = excluded.newest_measurement_at, tags = excluded.tags,
    updated_at = now(), covered_from = excluded.covered_from,
    paused_until = excluded.paused_until, pause_reason = excluded.pause_reason,
    paused_by = excluded.paused_by, paused_at = excluded.paused_at,
    resumed_at = excluded.resumed_at, status_since = NULL, dated_at = now()
"""  # noqa: S608  made of this project's own text
_GIVE_TERMS = f"""
INSERT INTO fleetsync.vehicle_terms (vehicle_id, interval_sec, timeout_sec, window_sec, gap_kbit)
SELECT vehicle_id, {TERMS} FROM fleetsync.removed_vehicle t
WHERE vehicle_id = %(id)s::uuid AND num_nonnulls({TERMS}) > 0
"""  # noqa: S608  made of this project's own text
_LOSE = f"""
INSERT INTO fleetsync.lost_interval (vehicle_id, kind, from_at, to_at)
SELECT vehicle_id, lost.kind, lower(span), upper(span) FROM fleetsync.removed_vehicle,
    LATERAL (VALUES ('{losses.GONE}', gone), ('{losses.MISSING}', missing)) lost(kind, parts),
    unnest(lost.parts) span
WHERE vehicle_id = %(id)s::uuid
"""  # noqa: S608  made of this project's own text
_STILL_GRANTED = "SELECT user_id::text FROM public.vehicle_access WHERE vehicle_id = %s::uuid"


@dataclass(frozen=True, slots=True)
class NewRegistration:
    """What is to differ from before; None: as it was, and the default key."""

    name: str | None = None
    host: str | None = None
    port: int | None = None
    key: str | None = field(default=None, repr=False)


def restore(cursor: Cursor, vehicle: RemovedVehicle, new: NewRegistration) -> RemovedVehicle:
    """Register a removed vehicle again, with its id and watermark; return it as it now is.

    `users` are then those whose access was lost. Raises CommandError if its name or address is
    taken, or not known, or if somebody else has settled it meanwhile.
    """
    name, host = new.name or vehicle.name, new.host or vehicle.host
    if vehicle.removed_at is None and (name is None or host is None):
        raise CommandError(
            f"name and address of {vehicle.id} were not kept by the version that removed it: give"
            " --name and --address"
        )
    if name is not None and vehicles.taken_names(cursor, [name]):
        raise CommandError(vehicles.name_taken(name))
    removed_vehicles.ensure_record(cursor, vehicle)
    port = new.port or vehicle.port or DEFAULT_PORT
    _register(cursor, vehicle, new, f"{host} port {port}")
    removed_vehicles.forget(cursor, vehicle.id)
    cursor.execute(_STILL_GRANTED, (str(vehicle.id),))
    granted = {UUID(user) for (user,) in cursor.fetchall()}
    lost = tuple(user for user in vehicle.users if user not in granted)
    return replace(vehicle, name=name, host=host, port=port, users=lost)


def _register(cursor: Cursor, vehicle: RemovedVehicle, new: NewRegistration, address: str) -> None:
    values = {
        "id": str(vehicle.id),
        "name": new.name,
        "host": new.host,
        "port": new.port,
        "key": new.key,
    }
    try:
        cursor.execute(_REGISTER, values)
    except psycopg2.errors.UniqueViolation:
        raise CommandError(f"a vehicle at {address} is registered already") from None
    cursor.execute(_REMEMBER, values)
    cursor.execute(_GIVE_TERMS, values)
    cursor.execute(_LOSE, values)
