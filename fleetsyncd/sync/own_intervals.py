"""Which vehicles with an interval of their own are asked in a cycle of the fleet.

A vehicle's time is cut into slots as long as its interval, which begin at a moment that its id
decides: those that got the same interval together are not asked together. It is asked in the first
cycle of each slot in which it was neither asked nor pulled yet. Nothing of that is stored, so a
daemon that was just started, or has just taken over, asks it when its turn comes, or at once if it
has missed one.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID
from zlib import crc32

from fleetsyncd.models import Vehicle
from fleetsyncd.reports import CycleReport

_CRC_RANGE = 1 << 32


def slot(vehicle_id: UUID, at: datetime, interval_sec: float) -> int:
    """Return the number of the vehicle's slot that a moment lies in."""
    # The bits of an id are no dice: those of a time and a network card are alike.
    phase = crc32(vehicle_id.bytes) / _CRC_RANGE
    return int(at.timestamp() / interval_sec + phase)


class OwnIntervals:
    """The turns of vehicles whose own interval is longer than the fleet's."""

    def __init__(self, sync_interval: timedelta) -> None:
        self._sync_interval_sec = sync_interval.total_seconds()
        self._due_at: dict[UUID, datetime] = {}
        """The fleet's cycle in which the turn came of those that were not asked yet."""
        self._asked: dict[UUID, datetime] = {}
        """The cycle whose turn each was asked in last, of those that this daemon has asked."""
        self._unstored: set[UUID] = set()
        """Those of which PostgreSQL refused something: they are asked again at once."""

    def note(self, report: CycleReport) -> None:
        """Take in that a vehicle was asked; one that was stopped is asked again."""
        vehicle = report.vehicle
        if report.stopped or not self.has_own(vehicle):
            return
        # A turn counts as the one in which it came, however late the vehicle was started.
        self._asked[vehicle.id] = self._due_at.pop(vehicle.id, report.started_at)
        if report.unstored:
            self._unstored.add(vehicle.id)
        else:
            self._unstored.discard(vehicle.id)

    def waiting(self, fleet: Collection[Vehicle], now: datetime) -> set[UUID]:
        """Return those whose turn it is not; forgets the vehicles that left the fleet."""
        own = [vehicle for vehicle in fleet if self.has_own(vehicle)]
        known = {vehicle.id for vehicle in own}
        self._asked = {key: at for key, at in self._asked.items() if key in known}
        self._unstored &= known
        waiting = {vehicle.id for vehicle in own if self._waits(vehicle, now)}
        self._due_at = {key: self._due_at.get(key, now) for key in known - waiting}
        return waiting

    def end(self, vehicle_ids: Iterable[UUID]) -> None:
        """Forget that these vehicles were asked."""
        for vehicle_id in vehicle_ids:
            self._asked.pop(vehicle_id, None)
            self._due_at.pop(vehicle_id, None)

    def has_own(self, vehicle: Vehicle) -> bool:
        """Whether a vehicle's interval is longer than the fleet's."""
        return vehicle.terms.interval(self._sync_interval_sec) > self._sync_interval_sec

    def _waits(self, vehicle: Vehicle, now: datetime) -> bool:
        if vehicle.id in self._unstored:
            return False
        # What was pulled is later than the turn that it was pulled in, perhaps of the next one.
        had = self._asked.get(vehicle.id, vehicle.pulled_at)
        interval = vehicle.terms.interval(self._sync_interval_sec)
        return had is not None and slot(vehicle.id, had, interval) == slot(
            vehicle.id, now, interval
        )
