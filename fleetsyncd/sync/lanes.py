"""Two lanes of greenlets, so that vehicles that fail cannot use up the slots of the rest."""

import logging
import time
from collections.abc import Callable, Collection
from uuid import UUID

from gevent import Greenlet, getcurrent, sleep
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.pool import Group, Pool

from fleetsyncd.errors import INTERNAL_ERROR
from fleetsyncd.models import Vehicle

log = logging.getLogger("sync")

SLOW_SEC = 1.0
"""A vehicle that takes longer is moved to the slow lane when others wait for a slot. On a slow link
a healthy vehicle takes longer too; the move costs it nothing while the slow lane has slots."""
CHECK_SEC = 0.1
MADE_UP_SEC = 0.2
"""So much of a delay is made up for by starting vehicles closer together."""


class Lanes:
    """Runs `work(vehicle)` in at most `sync_concurrency` greenlets, half of them for slow vehicles.

    Which vehicle falls silent in this cycle is not known beforehand. So a vehicle that takes long
    is moved to the slow lane, if that has a free slot, as soon as others wait. While `is_crowded`
    says so, none is started: those that run already wait for the database.
    """

    def __init__(
        self,
        sync_concurrency: int,
        work: Callable[[Vehicle], None],
        is_crowded: Callable[[], bool] = lambda: False,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        slow = sync_concurrency // 2
        self._prompt, self._slow = Semaphore(sync_concurrency - slow), Semaphore(slow)
        self._greenlets = Group()
        self._feeders = Pool()
        self._work = work
        self._held: dict[UUID, Semaphore] = {}
        """The lane in which each running vehicle has its slot, in the order of their starts."""
        self._started_at: dict[UUID, float] = {}
        """The last start of each vehicle, on the monotonic clock."""
        self._cycle_number = 0
        self._is_crowded = is_crowded
        self._on_started = on_started
        self._held_back = False
        """Whether vehicles were started later because of the database, and it was said."""
        self._held_back_in = 0
        """The last cycle of the fleet in which that happened."""
        self.waiting: dict[UUID, str] = {}
        """Names of the vehicles that wait for a slot."""
        self.failed = Event()
        """Set if starting vehicles failed, which is an internal error."""

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles that have a greenlet now."""
        return self._held.keys()

    @property
    def is_caller(self) -> bool:
        """Whether a vehicle's cycle is what asks."""
        current = getcurrent()
        return isinstance(current, Greenlet) and current in self._greenlets

    @property
    def busy(self) -> bool:
        """Whether a vehicle runs or waits for a slot."""
        return bool(self._held) or len(self._feeders) > 0

    def new_fleet_cycle(self, fleet: Collection[UUID]) -> None:
        """Forget the vehicles that wait for a slot, and those that left the fleet."""
        self._cycle_number += 1
        self._say_caught_up()
        self.waiting.clear()
        self._started_at = {key: at for key, at in self._started_at.items() if key in fleet}

    def start(self, prompt: list[Vehicle], slow: list[Vehicle], *, gap_sec: float = 0.0) -> None:
        """Start vehicles as slots come free, until the fleet's next cycle; return at once.

        Those of the prompt lane are started `gap_sec` apart.
        """
        for lane, queue in ((self._prompt, prompt), (self._slow, slow)):
            # The longest waiting first: otherwise the last of the queue might never get a slot.
            queue.sort(key=lambda vehicle: self._started_at.get(vehicle.id, 0.0))
            self.waiting |= {vehicle.id: vehicle.name for vehicle in queue}
            if queue:
                gap = gap_sec if lane is self._prompt else 0.0
                feeder = self._feeders.spawn(self._feed, lane, queue, self._cycle_number, gap)
                feeder.link_exception(self._feeder_failed)

    def _feeder_failed(self, _feeder: "Greenlet[..., None]") -> None:
        log.critical("%s: vehicles cannot be started, stopping", INTERNAL_ERROR)
        self.failed.set()

    def _feed(self, lane: Semaphore, queue: list[Vehicle], in_cycle: int, gap_sec: float) -> None:
        next_at = time.monotonic()
        for vehicle in queue:
            now = time.monotonic()
            if next_at > now:
                sleep(next_at - now)
            next_at = max(next_at, now - MADE_UP_SEC) + gap_sec
            if not self._acquire(lane, in_cycle):
                return
            still_wanted = self.waiting.pop(vehicle.id, None) is not None
            if not still_wanted or vehicle.id in self._held:
                lane.release()
                continue
            if lane is self._prompt:
                self._on_started()
            self._started_at[vehicle.id] = time.monotonic()
            self._held[vehicle.id] = lane
            self._greenlets.spawn(self._run, vehicle)

    def _acquire(self, lane: Semaphore, in_cycle: int) -> bool:
        """Wait for a slot of the lane; return False if the fleet's next cycle began first."""
        while not self._acquire_now(lane):
            if lane is self._prompt:
                self._free_prompt_slots()
            if in_cycle != self._cycle_number:
                return False
        if in_cycle != self._cycle_number:
            lane.release()
            return False
        return True

    def _acquire_now(self, lane: Semaphore) -> bool:
        """Wait shortly for a slot of the lane; for longer if the database does not keep up."""
        if self._is_crowded():
            self._say_held_back()
            sleep(CHECK_SEC)
            return False
        return bool(lane.acquire(timeout=CHECK_SEC))

    def _say_held_back(self) -> None:
        self._held_back_in = self._cycle_number
        if not self._held_back:
            self._held_back = True
            log.warning(
                "the database does not keep up: fewer vehicles are pulled at a time;"
                " raise DB_POOL_SIZE, or lower SYNC_CONCURRENCY"
            )

    def _say_caught_up(self) -> None:
        if self._held_back and self._cycle_number - self._held_back_in > 1:
            self._held_back = False
            log.info("the database keeps up again")

    def _free_prompt_slots(self) -> None:
        """Move vehicles that take long to the slow lane, as far as that has free slots."""
        slow_since = time.monotonic() - SLOW_SEC
        for key, lane in self._held.items():
            if self._started_at.get(key, 0.0) > slow_since:
                return
            if lane is self._prompt:
                if not self._slow.acquire(blocking=False):
                    return
                self._held[key] = self._slow
                self._prompt.release()

    def _run(self, vehicle: Vehicle) -> None:
        try:
            self._work(vehicle)
        finally:
            self._held.pop(vehicle.id).release()

    def withdraw(self, vehicles: Collection[UUID]) -> None:
        """Start none of these vehicles that still waits."""
        for vehicle_id in vehicles:
            self.waiting.pop(vehicle_id, None)

    def cancel_waiting(self) -> None:
        """Start no vehicle that still waits."""
        self._cycle_number += 1
        self._feeders.kill(block=False)

    def end(self, shutdown_grace_sec: float, kill_sec: float) -> None:
        """Give vehicles `shutdown_grace_sec`, then kill them; wait at most `kill_sec` more."""
        self.cancel_waiting()
        self._greenlets.join(timeout=shutdown_grace_sec)
        self._greenlets.kill(block=False)
        self._greenlets.join(timeout=kill_sec)
