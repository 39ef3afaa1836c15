"""What all cycles and backfills of a daemon work with."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.conditions.chatter import Chatter
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention_kinds import Kind
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.severities import Severity
from fleetsyncd.states import LATE_AFTER_INTERVALS
from fleetsyncd.sync.pace import Pace
from fleetsyncd.sync.prefetch import LazyPage, Prefetch
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.sync.sizing import QuestionSize
from fleetsyncd.sync.traffic import TrafficCounts
from fleetsyncd.sync.window import LIVE_INTERVALS
from fleetsyncd.time_limits import OLDEST_ALARM, accepted_interval
from fleetsyncd.times import utc_now
from fleetsyncd.vehicle.client import VehicleClient


@dataclass(frozen=True, slots=True)
class SyncContext:
    """The same for all vehicles.

    Fields named as a setting hold it; those that are a timedelta have no unit in their name.
    """

    database: Database
    partitions: Partitions
    connect: Callable[[Vehicle], VehicleClient]
    """Makes a client for a vehicle."""
    pull_window: timedelta
    pull_overlap: timedelta
    now: Callable[[], datetime]
    measurements_keep_months: int | None = None
    alarms_keep: timedelta | None = None
    told_alarms: Severity | None = None
    """From which severity on operators are told of alarms; None: of none."""
    chatter: Chatter = field(default_factory=Chatter)
    """Which alarms were told already, and come and go."""
    is_in_force: Callable[[Kind], bool] = lambda _kind: True
    """Whether retention may have deleted by the kind's setting already."""
    budget: VehicleBudget = field(default_factory=VehicleBudget)
    late_after: timedelta | None = None
    """The lag from which operators see a vehicle as late."""
    live_window: timedelta | None = None
    """How much a cycle pulls ahead of a gap, which is left to the catch-up; None: cycles pull gaps
    to their end."""
    prefetch: Prefetch = LazyPage
    """How the next page is asked for while this one is being stored."""
    received: Counter[UUID] = field(default_factory=Counter)
    """Bytes of all answers so far, by vehicle, as `connect`'s clients count them."""
    pace: Pace | None = None
    """How fast this job may fill the vehicle's link; None: as fast as it carries."""
    traffic: TrafficCounts = field(default_factory=lambda: TrafficCounts(utc_now))
    """What the links have carried since it was stored last, as the same clients count it."""

    def accepted_interval(self) -> Window:
        """Return the interval in which a measurement's time must lie to be stored."""
        months = self.measurements_keep_months
        if months is not None and not self.is_in_force(Kind.MEASUREMENTS):
            months = None
        return accepted_interval(self.now(), months)

    def oldest_alarm(self) -> datetime:
        """Return the time before which alarms are not asked for: retention has deleted them."""
        if self.alarms_keep is None or not self.is_in_force(Kind.ALARMS):
            return OLDEST_ALARM
        return self.now() - self.alarms_keep

    def own_late_after(self, vehicle: Vehicle) -> timedelta | None:
        """Return the lag from which operators see this vehicle as late."""
        if self.late_after is None:
            return None
        return max(self.late_after, LATE_AFTER_INTERVALS * _own_interval(vehicle))

    def own_live_window(self, vehicle: Vehicle) -> timedelta | None:
        """Return how much a cycle pulls of this vehicle ahead of a gap, as `live_window`."""
        if self.live_window is None:
            return None
        return max(self.live_window, LIVE_INTERVALS * _own_interval(vehicle))

    def own_pull_window(self, vehicle: Vehicle) -> timedelta:
        """Return how much the first pull of this vehicle asks for."""
        own = vehicle.terms.window_sec
        return self.pull_window if own is None else timedelta(seconds=own)

    def source(
        self, vehicle: Vehicle, client: VehicleClient, stop_reason: Callable[[], str | None]
    ) -> VehicleSource:
        """Return a vehicle to pull from."""
        return VehicleSource(
            client=client,
            accepted_interval=self.accepted_interval,
            stop_reason=stop_reason,
            data_size=QuestionSize(
                vehicle.learned.data, client.pull_timeout_sec, vehicle.terms.window_sec
            ),
            alarms_size=QuestionSize(vehicle.learned.alarms, client.pull_timeout_sec),
            prefetch=self.prefetch if self.pace is None else LazyPage,
            pace=self.pace,
        )


def _own_interval(vehicle: Vehicle) -> timedelta:
    return timedelta(seconds=vehicle.terms.interval_sec or 0.0)
