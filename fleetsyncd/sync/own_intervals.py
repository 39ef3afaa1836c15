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
from fleetsyncd.terms import Terms

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
        self._asked: dict[UUID, datetime] = {}
        """When the last cycle of each began, of those that this daemon has asked."""

    def note(self, report: CycleReport) -> None:
        """Take in that a vehicle was asked; one that was stopped is asked again."""
        if not report.stopped and self._is_own(report.vehicle.terms):
            self._asked[report.vehicle.id] = report.started_at

    def waiting(self, fleet: Collection[Vehicle], now: datetime) -> set[UUID]:
        """Return those whose turn it is not; forgets the vehicles that left the fleet."""
        known = {vehicle.id for vehicle in fleet}
        self._asked = {key: at for key, at in self._asked.items() if key in known}
        return {vehicle.id for vehicle in fleet if self._waits(vehicle, now)}

    def end(self, vehicle_ids: Iterable[UUID]) -> None:
        """Forget that these vehicles were asked."""
        for vehicle_id in vehicle_ids:
            self._asked.pop(vehicle_id, None)

    def _is_own(self, terms: Terms) -> bool:
        return terms.interval(self._sync_interval_sec) > self._sync_interval_sec

    def _waits(self, vehicle: Vehicle, now: datetime) -> bool:
        if not self._is_own(vehicle.terms):
            return False
        interval = vehicle.terms.interval(self._sync_interval_sec)
        present = slot(vehicle.id, now, interval)
        had = (self._asked.get(vehicle.id), vehicle.pulled_at)
        return any(at is not None and slot(vehicle.id, at, interval) == present for at in had)
