"""What the cycles and backfills of a daemon work with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.models import Window
from fleetsyncd.sync.pull import LazyPage, Prefetch, VehicleSource
from fleetsyncd.sync.sessions import VehicleCache
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.vehicle.client import VehicleClient


@dataclass(frozen=True, slots=True)
class SyncContext:
    """The same for all vehicles."""

    database: Database
    partitions: Partitions
    first: timedelta
    """The first window of a vehicle that has no watermark."""
    overlap: timedelta
    now: Callable[[], datetime]
    keep_months: int | None = None
    """Whole months of measurements that retention keeps beside the present one; None for all."""
    begin: Prefetch = LazyPage
    """How a vehicle is asked for the next window while this one is being stored."""

    def storable(self) -> Window:
        """Return the interval that a measurement's time must lie in to be stored."""
        return accepted_interval(self.now(), self.keep_months)

    def source(
        self, client: VehicleClient, memory: VehicleCache, stopped: Callable[[], str | None]
    ) -> VehicleSource:
        """Return a vehicle to pull from."""
        return VehicleSource(client, memory, self.storable, stopped, self.begin)
