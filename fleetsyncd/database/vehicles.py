"""The registered vehicles: find them, register another one, see whether one is as it was."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import psycopg2

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import name_of
from fleetsyncd.database.vehicle_tags import change_tags
from fleetsyncd.database.vehicle_terms import change_terms
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import NO_TERMS, Terms, TermsChange
from fleetsyncd.text import is_storable, sanitise

_REGISTERED = f"""
SELECT id::text, {name_of(vehicle="", key="id")}, coalesce(host(vpn_ip), ''),
    coalesce(api_port, 8001), api_key
FROM public.vehicles
"""  # noqa: S608  made of this project's own text
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
_REMOVED = "the vehicle was removed meanwhile"


@dataclass(frozen=True, slots=True)
class RegisteredVehicle:
    """A vehicle as it is registered; `key` is never shown."""

    id: UUID
    name: str
    host: str
    port: int
    key: str | None = field(repr=False)


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


def require_vehicles(cursor: Cursor, count: int = 1) -> None:
    """Raise CommandError unless the last statement has found so many vehicles."""
    if cursor.rowcount != count:
        raise CommandError(_REMOVED)


def count_without_key(cursor: Cursor) -> int:
    """Return how many vehicles have no API key of their own."""
    cursor.execute("SELECT count(*) FROM public.vehicles WHERE coalesce(api_key, '') = ''")
    row = cursor.fetchone()
    return 0 if row is None else int(row[0])
