"""Two lanes of greenlets: vehicles that fail or lag cannot use up the slots of the rest."""

import logging
import time
from collections.abc import Callable, Collection
from uuid import UUID

from gevent import Greenlet
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.pool import Group, Pool

from fleetsyncd.models import Vehicle

log = logging.getLogger("sync")

PATIENCE_SEC = 1.0
"""How long a vehicle may keep others waiting for its slot. On a slow link more is honest: being
moved costs a vehicle nothing as long as the slow lane has slots."""
LOOK_SEC = 0.1


class Lanes:
    """Runs `work(vehicle)` in at most `slots` greenlets at once, half of them for slow vehicles.

    Nobody knows beforehand who falls silent today. So whoever takes long is moved to the slow half,
    while that has slots, as soon as others wait.
    """

    def __init__(self, slots: int, work: Callable[[Vehicle], None]) -> None:
        slow = slots // 2
        self._prompt, self._slow = Semaphore(slots - slow), Semaphore(slow)
        self._greenlets = Group()
        self._feeders = Pool()
        self._work = work
        self._held: dict[UUID, Semaphore] = {}
        """The lane in which each running vehicle has its slot, in the order in which they began."""
        self._attempted: dict[UUID, float] = {}
        self._round = 0
        self.waiting: dict[UUID, str] = {}
        """Names of the vehicles that no slot was free for yet."""
        self.died = Event()
        """Set if starting vehicles failed, which is a fault of fleetsyncd's own."""

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles that have a greenlet now."""
        return self._held.keys()

    @property
    def busy(self) -> bool:
        """Whether something runs or waits to be started."""
        return bool(self._held) or len(self._feeders) > 0

    def new_round(self, fleet: Collection[UUID]) -> None:
        """Forget who waits for a slot, and vehicles that are no longer in the fleet."""
        self._round += 1
        self.waiting.clear()
        self._attempted = {key: at for key, at in self._attempted.items() if key in fleet}

    def start(self, prompt: list[Vehicle], slow: list[Vehicle]) -> None:
        """Start vehicles as slots come free, until a new round begins; returns at once."""
        for lane, queue in ((self._prompt, prompt), (self._slow, slow)):
            # The one that has waited longest first, or those behind a full lane wait for ever.
            queue.sort(key=lambda vehicle: self._attempted.get(vehicle.id, 0.0))
            self.waiting |= {vehicle.id: vehicle.name for vehicle in queue}
            if queue:
                feeder = self._feeders.spawn(self._feed, lane, queue, self._round)
                feeder.link_exception(self._feeder_died)

    def _feeder_died(self, _feeder: "Greenlet[..., None]") -> None:
        log.critical("starting vehicles failed: this is a fault of fleetsyncd's own, stopping")
        self.died.set()

    def _feed(self, lane: Semaphore, queue: list[Vehicle], asked_in: int) -> None:
        for vehicle in queue:
            if not self._slot(lane, asked_in):
                return
            self.waiting.pop(vehicle.id, None)
            if vehicle.id in self._held:
                lane.release()
                continue
            self._attempted[vehicle.id] = time.monotonic()
            self._held[vehicle.id] = lane
            self._greenlets.spawn(self._run, vehicle)

    def _slot(self, lane: Semaphore, asked_in: int) -> bool:
        """Wait for a slot of the lane; False, without one, if another round began meanwhile."""
        while not lane.acquire(timeout=LOOK_SEC):
            if lane is self._prompt:
                self._make_room()
            if asked_in != self._round:
                return False
        if asked_in != self._round:
            lane.release()
            return False
        return True

    def _make_room(self) -> None:
        """Move those that take long out of the prompt lane, as far as the slow one has slots."""
        since = time.monotonic() - PATIENCE_SEC
        for key, lane in self._held.items():
            if self._attempted.get(key, 0.0) > since:
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

    def stop_feeding(self) -> None:
        """Start nothing more of what was asked for."""
        self._round += 1
        self._feeders.kill(block=False)

    def end(self, grace: float, goodbye: float) -> None:
        """Let running vehicles go on for `grace` seconds, then end them; at most `goodbye` more."""
        self.stop_feeding()
        self._greenlets.join(timeout=grace)
        self._greenlets.kill(block=False)
        self._greenlets.join(timeout=goodbye)
