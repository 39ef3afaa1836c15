"""The kept sessions to the vehicles, one each."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.models import Registration, Vehicle
from fleetsyncd.vehicle.client import VehicleClient


@dataclass(frozen=True, slots=True)
class VehicleSession:
    """A session to one vehicle, and what it was made for."""

    registration: Registration
    timeout_sec: float | None
    client: VehicleClient

    def fits(self, vehicle: Vehicle) -> bool:
        """Tell whether the vehicle is still asked as it was when the session was made."""
        asked = vehicle.registration, vehicle.terms.timeout_sec
        return asked == (self.registration, self.timeout_sec)


class VehicleSessions:
    """Opens a session when a vehicle first needs one; keeps at most `kept` between cycles."""

    def __init__(self, connect: Callable[[Vehicle], VehicleClient], kept: int) -> None:
        self._connect = connect
        self._kept = kept
        self._open: dict[UUID, VehicleSession] = {}

    def __len__(self) -> int:
        return len(self._open)

    def get(self, vehicle: Vehicle) -> VehicleSession:
        """Return the session to `vehicle`, which is not in use.

        A new one after a change of address, key or timeout.
        """
        session = self._open.get(vehicle.id)
        if session is not None and session.fits(vehicle):
            return session
        if session is not None:
            session.client.close()
        opened = VehicleSession(
            vehicle.registration, vehicle.terms.timeout_sec, self._connect(vehicle)
        )
        self._open[vehicle.id] = opened
        return opened

    def release(self, vehicle_id: UUID) -> None:
        """Close the session of a vehicle whose cycle is over, if more are open than are kept."""
        if len(self._open) > self._kept and (session := self._open.pop(vehicle_id, None)):
            session.client.close()

    def retain(self, vehicles: Collection[UUID]) -> None:
        """Close the sessions of all other vehicles."""
        for vehicle_id in self._open.keys() - vehicles:
            self._open.pop(vehicle_id).client.close()

    def close(self) -> None:
        """Close every session."""
        while self._open:
            self._open.popitem()[1].client.close()
