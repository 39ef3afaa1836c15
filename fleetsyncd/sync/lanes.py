"""Two lanes of greenlets: vehicles that fail or lag cannot use up the slots of the rest."""

import logging
import time
from collections.abc import Callable, Collection
from uuid import UUID

from gevent import Greenlet
from gevent.event import Event
from gevent.pool import Pool

from fleetsyncd.models import Vehicle

log = logging.getLogger("sync")


class Lanes:
    """Runs `work(vehicle)` in at most `slots` greenlets at once, half of them for slow vehicles."""

    def __init__(self, slots: int, work: Callable[[Vehicle], None]) -> None:
        slow = slots // 2
        self._lanes = Pool(slots - slow), Pool(slow)
        self._feeders = Pool()
        self._work = work
        self._running: set[UUID] = set()
        self._attempted: dict[UUID, float] = {}
        self._round = 0
        self.waiting: dict[UUID, str] = {}
        """Names of the vehicles that no slot was free for yet."""
        self.died = Event()
        """Set if starting vehicles failed, which is a fault of fleetsyncd's own."""

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles that have a greenlet now."""
        return self._running

    @property
    def busy(self) -> bool:
        """Whether something runs or waits to be started."""
        return bool(self._running) or len(self._feeders) > 0

    def new_round(self, fleet: Collection[UUID]) -> None:
        """Forget who waits for a slot, and vehicles that are no longer in the fleet."""
        self._round += 1
        self.waiting.clear()
        self._attempted = {key: at for key, at in self._attempted.items() if key in fleet}

    def start(self, prompt: list[Vehicle], slow: list[Vehicle]) -> None:
        """Start vehicles as slots come free, until a new round begins; returns at once."""
        for lane, queue in zip(self._lanes, (prompt, slow), strict=True):
            # The one that has waited longest first, or those behind a full lane wait for ever.
            queue.sort(key=lambda vehicle: self._attempted.get(vehicle.id, 0.0))
            self.waiting |= {vehicle.id: vehicle.name for vehicle in queue}
            if queue:
                feeder = self._feeders.spawn(self._feed, lane, queue, self._round)
                feeder.link_exception(self._feeder_died)

    def _feeder_died(self, _feeder: "Greenlet[..., None]") -> None:
        log.critical("starting vehicles failed: this is a fault of fleetsyncd's own, stopping")
        self.died.set()

    def _feed(self, lane: Pool, queue: list[Vehicle], asked_in: int) -> None:
        for vehicle in queue:
            lane.wait_available()
            if asked_in != self._round:
                return
            self.waiting.pop(vehicle.id, None)
            if vehicle.id not in self._running:
                self._attempted[vehicle.id] = time.monotonic()
                self._running.add(vehicle.id)
                lane.spawn(self._run, vehicle)

    def _run(self, vehicle: Vehicle) -> None:
        try:
            self._work(vehicle)
        finally:
            self._running.discard(vehicle.id)

    def stop_feeding(self) -> None:
        """Start nothing more of what was asked for."""
        self._round += 1
        self._feeders.kill(block=False)

    def end(self, grace: float, goodbye: float) -> None:
        """Let running vehicles go on for `grace` seconds, then end them; at most `goodbye` more."""
        self.stop_feeding()
        ends = time.monotonic() + grace
        for lane in self._lanes:
            lane.join(timeout=max(0.0, ends - time.monotonic()))
        for lane in self._lanes:
            lane.kill(block=False)
        for lane in self._lanes:
            lane.join(timeout=goodbye)
