"""Which vehicles are left alone for a while, because they asked for it by `Retry-After`.

Kept in memory: a daemon that does not know of a rest asks once, and is told again. A rest is a
vehicle's as it is registered: at another address, or with another key, others answer.
"""

import time
from collections.abc import Callable, Iterable
from uuid import UUID

from fleetsyncd.models import Registration, Vehicle


class Rests:
    """The vehicles that are at rest, on the monotonic clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rests: dict[UUID, tuple[float, Registration]] = {}

    def note(self, vehicle: Vehicle, seconds: float | None) -> None:
        """Leave a vehicle alone for so long from now on; None changes nothing."""
        if seconds is not None:
            self._rests[vehicle.id] = self._monotonic() + seconds, vehicle.registration

    def end(self, vehicle_ids: Iterable[UUID]) -> None:
        """Let these vehicles be asked again, whatever they asked for."""
        for vehicle_id in vehicle_ids:
            self._rests.pop(vehicle_id, None)

    def end_of_changed(self, fleet: Iterable[Vehicle]) -> None:
        """Let vehicles be asked again that are registered otherwise than when they asked for it."""
        for vehicle in fleet:
            rest = self._rests.get(vehicle.id)
            if rest is not None and rest[1] != vehicle.registration:
                del self._rests[vehicle.id]

    def current(self) -> set[UUID]:
        """Return the vehicles that are to be left alone now."""
        now = self._monotonic()
        self._rests = {key: rest for key, rest in self._rests.items() if rest[0] > now}
        return set(self._rests)
