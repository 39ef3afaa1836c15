"""Changes to the fleet by operators: register, change, pause, request a sync."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import psycopg2

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import DATED, IS_OVER, IS_PAUSED, if_dated
from fleetsyncd.database.vehicle_tags import change_tags, change_tags_of
from fleetsyncd.database.vehicle_terms import change_terms, change_terms_of
from fleetsyncd.errors import CommandError
from fleetsyncd.states import Pause
from fleetsyncd.terms import NO_TERMS, UNCHANGED, Terms, TermsChange
from fleetsyncd.text import is_storable, sanitise

_REGISTERED = """
SELECT id::text, coalesce(name, id::text), coalesce(host(vpn_ip), ''), coalesce(api_port, 8001),
    api_key
FROM public.vehicles
"""
_FIND = f"{_REGISTERED} WHERE name = %(text)s OR id::text = %(text)s ORDER BY created_at"
_SOME = f"{_REGISTERED} WHERE id = ANY (%s::uuid[]) ORDER BY id {{lock}}"
_EVERYONE = f"{_REGISTERED} ORDER BY name, id"
_ADD = """
INSERT INTO public.vehicles (name, vpn_ip, api_port, api_key)
VALUES (%s, %s::inet, %s, %s) RETURNING id::text
"""
_TAKEN = """
SELECT a.host, a.port FROM unnest(%s::text[], %s::int[]) a(host, port)
WHERE EXISTS (SELECT FROM public.vehicles v
              WHERE host(v.vpn_ip)::inet = a.host::inet AND coalesce(v.api_port, 8001) = a.port)
"""
_TAKEN_NAMES = """
SELECT DISTINCT name FROM public.vehicles WHERE name = ANY(%s::text[])
"""
_NAMES = "SELECT name FROM public.vehicles WHERE id = ANY (%s::uuid[])"
_CHANGE = """
UPDATE public.vehicles SET name = coalesce(%(name)s, name),
    vpn_ip = coalesce(%(host)s::inet, vpn_ip), api_port = coalesce(%(port)s, api_port),
    api_key = CASE WHEN %(drop_key)s THEN NULL ELSE coalesce(%(key)s, api_key) END
WHERE id = ANY (%(ids)s::uuid[])
"""
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
"""  # noqa: S608  made of this file's own text
PLAIN = Pause()
"""Until somebody resumes it, without a reason."""
_REMOVED = "the vehicle was removed meanwhile"
_REQUEST = f"""
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, sync_requested_at)
SELECT id, now() FROM public.vehicles WHERE id = %s::uuid FOR KEY SHARE
ON CONFLICT (vehicle_id) DO UPDATE SET sync_requested_at = now(), updated_at = now(),
    dated_at = CASE WHEN {DATED} THEN now() END
"""  # noqa: S608  made of this file's own text


@dataclass(frozen=True, slots=True)
class RegisteredVehicle:
    """A vehicle as it is registered; `key` is never shown."""

    id: UUID
    name: str
    host: str
    port: int
    key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class VehicleChange:
    """New values for a vehicle; None leaves a value as it is."""

    name: str | None = None
    host: str | None = None
    port: int | None = None
    key: str | None = field(default=None, repr=False)
    drop_key: bool = False
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    terms: TermsChange = UNCHANGED

    def applied_to(self, vehicle: RegisteredVehicle) -> RegisteredVehicle:
        """Return a vehicle's registration after this change."""
        return RegisteredVehicle(
            vehicle.id,
            self.name or vehicle.name,
            self.host or vehicle.host,
            self.port or vehicle.port,
            None if self.drop_key else self.key or vehicle.key,
        )


def find_vehicle(cursor: Cursor, text: str) -> RegisteredVehicle:
    """Return the vehicle with this name or id; raise CommandError if there is none or several."""
    matches = []
    if is_storable(text):
        cursor.execute(_FIND, {"text": text})
        matches = _registered(cursor)
    if not matches:
        raise CommandError(f"no vehicle is called {sanitise(text)}: see `fleetsyncd vehicle list`")
    if len(matches) > 1:
        ids = ", ".join(str(vehicle.id) for vehicle in matches)
        raise CommandError(
            f"{len(matches)} vehicles are called {sanitise(text)}, name one by its id: {ids}"
        )
    return matches[0]


def find_vehicles(
    cursor: Cursor, names: Sequence[str], *, all_vehicles: bool
) -> list[RegisteredVehicle]:
    """Return the vehicles with these names or ids, or all; raise CommandError as `find_vehicle`.

    Either some names or all vehicles must be asked for. A vehicle that is named twice comes once.
    """
    if all_vehicles == bool(names):
        raise CommandError("name the vehicles, or give --all")
    if all_vehicles:
        return list_vehicles(cursor)
    found = [find_vehicle(cursor, name) for name in names]
    return list({vehicle.id: vehicle for vehicle in found}.values())


def list_vehicles(cursor: Cursor) -> list[RegisteredVehicle]:
    """Return all vehicles, ordered by name."""
    cursor.execute(_EVERYONE)
    return _registered(cursor)


def _registered(cursor: Cursor) -> list[RegisteredVehicle]:
    return [
        RegisteredVehicle(UUID(key), sanitise(name), host, port, secret)
        for key, name, host, port, secret in cursor.fetchall()
    ]


def add_vehicle(
    cursor: Cursor,
    name: str,
    host: str,
    port: int,
    key: str | None,
    tags: Collection[str] = (),
    terms: Terms = NO_TERMS,
    *,
    default_sync_interval_sec: float = 0.0,
) -> UUID:
    """Register a vehicle; raise CommandError if its name or its address is taken.

    Raises it too for terms that cannot go together, as `change_terms` does.
    """
    if taken_names(cursor, [name]):
        raise CommandError(name_taken(name))
    try:
        cursor.execute(_ADD, (name, host, port, key))
    except psycopg2.errors.UniqueViolation:
        raise CommandError(f"a vehicle at {host} port {port} is registered already") from None
    row = cursor.fetchone()
    vehicle_id = UUID(str(row and row[0]))
    if tags:
        change_tags(cursor, vehicle_id, tags, ())
    if terms != NO_TERMS:
        change_terms(cursor, vehicle_id, TermsChange.to(terms), default_sync_interval_sec)
    return vehicle_id


def read_registered(
    cursor: Cursor, ids: Sequence[UUID], *, lock: bool = False
) -> list[RegisteredVehicle]:
    """Return vehicles as they are registered, in the order of their ids; removed ones are left out.

    `lock` keeps others from changing them until commit.
    """
    statement = _SOME.format(lock="FOR UPDATE" if lock else "")
    cursor.execute(statement, ([str(vehicle_id) for vehicle_id in ids],))
    return _registered(cursor)


def require_unchanged(stored: RegisteredVehicle | None, seen: RegisteredVehicle) -> None:
    """Raise CommandError unless a vehicle is registered as somebody has `seen` it."""
    if stored is None:
        raise CommandError(_REMOVED)
    differences = [
        f"{label} {getattr(stored, field)}"
        for label, field in (("name", "name"), ("address", "host"), ("port", "port"))
        if getattr(stored, field) != getattr(seen, field)
    ]
    if stored.key != seen.key:
        differences.append("another API key")
    if differences:
        what = ", ".join(differences)
        raise CommandError(f"{seen.name} was changed meanwhile by somebody ({what}): look again")


def taken_addresses(cursor: Cursor, addresses: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return those of these addresses (host, port) at which a vehicle is registered."""
    cursor.execute(_TAKEN, ([host for host, _ in addresses], [port for _, port in addresses]))
    return {(host, port) for host, port in cursor.fetchall()}


def taken_names(cursor: Cursor, names: Sequence[str]) -> set[str]:
    """Return those of these names that a vehicle has.

    No new name is taken twice, because commands name vehicles by it. Other services may do so, and
    an adopted installation may have done it: such vehicles keep their names.
    """
    cursor.execute(_TAKEN_NAMES, (list(names),))
    return {str(name) for (name,) in cursor.fetchall()}


def name_taken(name: str) -> str:
    """Return the text of the error."""
    return f"a vehicle called {name} is registered already: choose another name"


def change_seen(
    cursor: Cursor,
    seen: Sequence[RegisteredVehicle],
    new: VehicleChange,
    default_sync_interval_sec: float = 0.0,
) -> None:
    """Change vehicles as `change_vehicle` does, if they are registered as they were `seen`.

    Raises CommandError too if somebody has changed one meanwhile, in whatever field: name, address,
    port and key are judged together.
    """
    require_seen(cursor, seen, new, lock=True)
    names = {each.id: each.name if len(seen) > 1 else "" for each in seen}
    _change_vehicles(cursor, names, new, default_sync_interval_sec)


def require_seen(
    cursor: Cursor,
    seen: Sequence[RegisteredVehicle],
    new: VehicleChange,
    *,
    lock: bool = False,
) -> None:
    """Raise CommandError unless vehicles are registered as they were `seen`, or are to be.

    `lock` keeps others from changing them until commit.
    """
    known = read_registered(cursor, [each.id for each in seen], lock=lock)
    stored = {vehicle.id: vehicle for vehicle in known}
    for each in seen:
        # As it is to be: by the first try of this transaction, whose answer was lost.
        if stored.get(each.id) != new.applied_to(each):
            require_unchanged(stored.get(each.id), each)


def change_vehicle(
    cursor: Cursor, vehicle_id: UUID, new: VehicleChange, default_sync_interval_sec: float = 0.0
) -> None:
    """Change a vehicle's registration; raise CommandError if its new name or address is taken.

    Raises it too for terms that cannot go together, as `change_terms` does. Every function here
    that changes a vehicle raises it too if the vehicle was removed meanwhile.
    """
    _change_vehicles(cursor, {vehicle_id: ""}, new, default_sync_interval_sec)


def _change_vehicles(
    cursor: Cursor,
    names: Mapping[UUID, str],
    new: VehicleChange,
    default_sync_interval_sec: float,
) -> None:
    """Change vehicles (names by id, for errors) as `change_vehicle` one."""
    ids = [str(key) for key in names]
    values = {
        "ids": ids,
        "name": new.name,
        "host": new.host,
        "port": new.port,
        "key": new.key,
        "drop_key": new.drop_key,
    }
    if new.name is not None:
        cursor.execute(_NAMES, (ids,))
        if cursor.fetchone() != (new.name,) and taken_names(cursor, [new.name]):
            raise CommandError(name_taken(new.name))
    try:
        cursor.execute(_CHANGE, values)
    except psycopg2.errors.UniqueViolation:
        raise CommandError(
            "another vehicle is registered at that address already:"
            " `fleetsyncd vehicle swap` exchanges the addresses of two"
        ) from None
    _require_vehicles(cursor, len(ids))
    if new.add_tags or new.remove_tags:
        change_tags_of(cursor, names, new.add_tags, new.remove_tags)
    if new.terms != UNCHANGED:
        change_terms_of(cursor, names, new.terms, default_sync_interval_sec)


def set_paused(cursor: Cursor, vehicle_id: UUID, paused: bool, pause: Pause = PLAIN) -> None:
    """Pause or resume a vehicle; a daemon acts on it within two seconds.

    `pause` says until when, why and by whom it is paused; it replaces what was said before.
    """
    why = pause if paused else PLAIN
    values = {"id": str(vehicle_id), "paused": paused, **msgspec.structs.asdict(why)}
    cursor.execute(_PAUSE, values)
    _require_vehicles(cursor)


def request_sync(cursor: Cursor, vehicle_id: UUID) -> None:
    """Ask the daemon to sync a vehicle now; raise CommandError if it is paused."""
    cursor.execute(
        f"SELECT FROM fleetsync.vehicle_state s WHERE vehicle_id = %s::uuid AND {IS_PAUSED}",
        (str(vehicle_id),),
    )
    if cursor.fetchone() is not None:
        raise CommandError("the vehicle is paused: resume it first")
    cursor.execute(_REQUEST, (str(vehicle_id),))
    _require_vehicles(cursor)


def _require_vehicles(cursor: Cursor, count: int = 1) -> None:
    if cursor.rowcount != count:
        raise CommandError(_REMOVED)


def count_without_key(cursor: Cursor) -> int:
    """Return how many vehicles have no API key of their own."""
    cursor.execute("SELECT count(*) FROM public.vehicles WHERE coalesce(api_key, '') = ''")
    row = cursor.fetchone()
    return 0 if row is None else int(row[0])
