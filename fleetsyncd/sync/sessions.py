"""The kept sessions to the vehicles, one each, and what their cycles remember within a process."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from uuid import UUID

from fleetsyncd.models import Vehicle
from fleetsyncd.vehicle.client import VehicleClient


@dataclass(slots=True)
class VehicleCache:
    """What one vehicle's cycles pass on to the next; all of it may be lost at any time."""

    channels_seen: int | None = None
    """Hash of the last `/channels` answer that is stored."""
    alarms_seen: int | None = None
    """Hash of the last `/alarms` answer that is stored."""
    channel_ids: tuple[int, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class VehicleSession:
    """A session to one vehicle; `address` is what it was made for."""

    address: tuple[str, int, str | None]
    client: VehicleClient
    memory: VehicleCache


class VehicleSessions:
    """Opens a session when a vehicle first needs it, and closes those nobody needs any more."""

    def __init__(self, connect: Callable[[Vehicle], VehicleClient], most: int) -> None:
        self._connect = connect
        self._most = most
        self._open: dict[UUID, VehicleSession] = {}

    def __len__(self) -> int:
        return len(self._open)

    def get(self, vehicle: Vehicle) -> VehicleSession:
        """Return the session to `vehicle`, which is not busy; a new one if it has moved."""
        address = (vehicle.host, vehicle.port, vehicle.api_key)
        link = self._open.get(vehicle.id)
        if link is not None and link.address == address:
            return link
        if link is not None:
            link.client.close()
        made = self._open[vehicle.id] = VehicleSession(
            address, self._connect(vehicle), VehicleCache()
        )
        return made

    def release(self, vehicle_id: UUID) -> None:
        """Close the session to a vehicle whose cycle is over, if more are open than may be kept."""
        if len(self._open) > self._most and (link := self._open.pop(vehicle_id, None)):
            link.client.close()

    def retain(self, vehicles: Collection[UUID]) -> None:
        """Close the sessions of all other vehicles."""
        for vehicle_id in self._open.keys() - vehicles:
            self._open.pop(vehicle_id).client.close()

    def close(self) -> None:
        """Close every session."""
        while self._open:
            self._open.popitem()[1].client.close()
