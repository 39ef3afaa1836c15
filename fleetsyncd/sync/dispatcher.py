"""All that pulls: this replica's share of the fleet, its cycles and its backfills."""

import time
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from uuid import UUID

from gevent.event import Event

from fleetsyncd.database.shard_locks import ShardLocks
from fleetsyncd.errors import DatabaseError
from fleetsyncd.models import CycleReport, JournalRow, Progress, Vehicle
from fleetsyncd.sync.backfill_runner import BackfillRunner
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle_runner import CycleRunner
from fleetsyncd.sync.lanes import Lanes
from fleetsyncd.sync.shards import ShardAssignment
from fleetsyncd.vehicle.client import VehicleClient

GOODBYE_SEC = 1.0
"""What an ended vehicle gets to let go of its connection."""


class Dispatcher:
    """Starts and stops what pulls; nothing here waits for a vehicle."""

    def __init__(
        self,
        tools: SyncContext,
        connect: Callable[[Vehicle], VehicleClient],
        *,
        slots: int,
        sessions: int,
        backfills: int,
        slow_after: timedelta,
        on_report: Callable[[CycleReport], None],
        on_backfill: Callable[[JournalRow], None],
        on_database_fault: Callable[[DatabaseError], None],
    ) -> None:
        self._now = tools.now
        self._slow_after = slow_after
        self._workers = CycleRunner(tools, connect, on_report, on_database_fault, sessions=sessions)
        self._lanes = Lanes(slots, self._workers.sync)
        self._backfills = BackfillRunner(backfills, tools, connect, on_backfill, on_database_fault)
        self._share = ShardAssignment(ShardLocks(tools.database))

    @property
    def busy(self) -> bool:
        """Whether a cycle runs or waits to be started."""
        return self._lanes.busy

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles whose cycle runs."""
        return self._lanes.running

    @property
    def died(self) -> Event:
        """Set if starting vehicles failed, which is a fault of fleetsyncd's own."""
        return self._lanes.died

    @property
    def sessions(self) -> int:
        """How many vehicles a session is kept to."""
        return self._workers.vehicles

    @property
    def shards(self) -> frozenset[int] | None:
        """The shards that this replica pulls; None for all."""
        return self._share.shards

    @property
    def held(self) -> list[int]:
        """The same as numbers, in order."""
        return self._share.held

    def work_alone(self) -> None:
        """Pull the whole fleet once, whoever else does, and leave backfills to the daemons."""
        self._backfills.accepting = False
        self._share = ShardAssignment(None)

    def progress(self) -> list[tuple[str, Progress | None]]:
        """Name the vehicles whose cycle runs, with how far their gap is pulled, or waits."""
        waiting = [(f"{name} (not started)", None) for name in self._lanes.waiting.values()]
        return [*self._workers.progress(), *waiting]

    def rebalance(self) -> None:
        """Take our share of the fleet; let go of gaps that are somebody else's now.

        Raises DatabaseError.
        """
        at_work = {*self._lanes.running, *self._lanes.waiting, *self._backfills.running}
        self._share.rebalance(at_work)
        long = self._workers.catching_up.union(self._backfills.running)
        gone = {vehicle_id for vehicle_id in long if not self._share.has(vehicle_id)}
        self.stop("another replica takes over", gone)

    def new_round(self, fleet: Iterable[Vehicle]) -> list[Vehicle]:
        """Let go of who was removed, or is another replica's and not at work; start who is due.

        Returns those that are started, paused and running ones being left out.
        """
        vehicles = list(fleet)
        known = {vehicle.id for vehicle in vehicles}
        known |= {key for key in self._lanes.running if not self._share.has(key)}
        self._workers.keep(known, "the vehicle was removed")
        self._lanes.new_round(known)
        self._backfills.new_round()
        due = [v for v in vehicles if not v.paused and v.id not in self._lanes.running]
        self.start(due)
        return due

    def start(self, due: Iterable[Vehicle]) -> None:
        """Start cycles as slots come free; vehicles that fail or lag have a lane of their own."""
        late = self._now() - self._slow_after
        prompt: list[Vehicle] = []
        slow: list[Vehicle] = []
        for vehicle in due:
            lags = vehicle.watermark is not None and vehicle.watermark < late
            (slow if vehicle.failures or lags else prompt).append(vehicle)
        self._lanes.start(prompt, slow)

    def start_backfills(self) -> None:
        """Start what operators want pulled again, as far as slots are free; raise DatabaseError."""
        self._backfills.start_due(self._share.shards)

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let what pulls, or some vehicles' part of it, end between two windows."""
        self._workers.stop(reason, only)
        self._backfills.stop(reason, only)

    def stop_feeding(self) -> None:
        """Start no cycle more of what was asked for."""
        self._lanes.stop_feeding()

    def end(self, grace: float) -> None:
        """Give what pulls so many seconds to finish its window, then end it; leave the fleet."""
        ends = time.monotonic() + grace
        self._backfills.accepting = False
        self._lanes.end(grace, GOODBYE_SEC)
        self._backfills.end(max(0.0, ends - time.monotonic()), GOODBYE_SEC)
        self._workers.close()
        self._share.close()
