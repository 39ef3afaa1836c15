"""The open alarms of each vehicle, counted again and again without weighing on the database.

They are not a part of VehicleOverview, which commands print: there they would have to be counted at
every call.
"""

import operator
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from uuid import UUID

from msgspec.structs import asdict

from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.alarms import open_alarms
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable
from fleetsyncd.severities import OpenAlarms
from fleetsyncd.states import VehicleOverview

DEAR_SEC = 0.1
"""Counting that takes longer, on a slow line or over very many alarms, is done rarely."""
RARELY_SEC = 10.0


class AlarmedVehicle(VehicleOverview, frozen=True, gc=False):
    """A vehicle with open alarms."""

    alarms: OpenAlarms | None = None


@dataclass(frozen=True, slots=True)
class AlarmCounts:
    """The open alarms of the vehicles that have some; `error` says why they may be out of date."""

    by_vehicle: Mapping[UUID, OpenAlarms] = field(default_factory=dict)
    error: str | None = None

    def applied_to(self, vehicles: Sequence[VehicleOverview]) -> tuple[VehicleOverview, ...]:
        """Return the vehicles, those with open alarms as AlarmedVehicle."""
        return tuple(
            AlarmedVehicle(**asdict(vehicle), alarms=self.by_vehicle[vehicle.id])
            if vehicle.id in self.by_vehicle
            else vehicle
            for vehicle in vehicles
        )


def alarms_of(vehicle: VehicleOverview) -> OpenAlarms | None:
    """Return the vehicle's open alarms; None if it has none."""
    return vehicle.alarms if isinstance(vehicle, AlarmedVehicle) else None


def total_of(vehicles: Sequence[VehicleOverview]) -> OpenAlarms | None:
    """Return the open alarms of all vehicles; None if there are none."""
    counts = [alarms for vehicle in vehicles if (alarms := alarms_of(vehicle)) is not None]
    return reduce(operator.add, counts) if counts else None


class AlarmCounter:
    """Counts open alarms at most every RARELY_SEC where that is dear, or was refused."""

    def __init__(self, database: Database, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._next_at = float("-inf")
        self._counts = AlarmCounts()

    def read(self) -> AlarmCounts:
        """Return the counts; raise DatabaseUnavailable, as every other read would then fail too.

        In a transaction of its own: an error here must not hide the fleet.
        """
        began = self._now()
        if began < self._next_at:
            return self._counts
        try:
            counts = AlarmCounts(self._database.run(open_alarms))
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            counts = AlarmCounts(self._counts.by_vehicle, f"open alarms: {error}")
        ended = self._now()
        dear = counts.error is not None or ended - began > DEAR_SEC
        self._counts, self._next_at = counts, ended + RARELY_SEC if dear else ended
        return counts
