"""Changes to how vehicles are registered: name, address, key, with their tags and terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import psycopg2

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_tags import change_tags_of
from fleetsyncd.database.vehicle_terms import change_terms_of
from fleetsyncd.database.vehicles import (
    RegisteredVehicle,
    name_taken,
    read_registered,
    require_unchanged,
    require_vehicles,
    taken_names,
)
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import UNCHANGED, TermsChange

_NAMES = "SELECT name FROM public.vehicles WHERE id = ANY (%s::uuid[])"
_CHANGE = """
UPDATE public.vehicles SET name = coalesce(%(name)s, name),
    vpn_ip = coalesce(%(host)s::inet, vpn_ip), api_port = coalesce(%(port)s, api_port),
    api_key = CASE WHEN %(drop_key)s THEN NULL ELSE coalesce(%(key)s, api_key) END
WHERE id = ANY (%(ids)s::uuid[])
"""


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
    require_vehicles(cursor, len(ids))
    if new.add_tags or new.remove_tags:
        change_tags_of(cursor, names, new.add_tags, new.remove_tags)
    if new.terms != UNCHANGED:
        change_terms_of(cursor, names, new.terms, default_sync_interval_sec)
