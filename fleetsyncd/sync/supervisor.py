"""The daemon's main loop: one greenlet per vehicle, a cycle every interval, a drain at the end.

Every step (`start_cycle`, `attend`, `drain`) returns; `run` only puts them in order. A vehicle that
is still busy is not started twice and holds nobody up.
"""

import logging
import random
import signal
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from os import _exit
from uuid import UUID

import gevent
from gevent.event import Event

from fleetsyncd.database import replicas, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import Replica
from fleetsyncd.database.shard_locks import ShardLocks
from fleetsyncd.errors import DatabaseError, FleetsyncError
from fleetsyncd.models import CycleReport, Progress, Vehicle
from fleetsyncd.sync.backfills import Backfills
from fleetsyncd.sync.cycle import Tools
from fleetsyncd.sync.ending import FLEETWIDE
from fleetsyncd.sync.lanes import Lanes
from fleetsyncd.sync.shards import Share
from fleetsyncd.sync.summary import Cycle
from fleetsyncd.sync.workers import Workers
from fleetsyncd.vehicle.client import VehicleClient

log = logging.getLogger("sync")

SLOW_AFTER_INTERVALS = 10
"""A vehicle that lags by more counts as catching up."""
WATCH_SEC = 1.0
"""How often operators' requests are looked for."""
GOODBYE_SEC = 1.0
"""What an ended vehicle gets to let go of its connection."""
RETRY_SEC = (1.0, 30.0)
"""First and longest pause while PostgreSQL is lost."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the supervisor is to work; durations in seconds, at least two vehicles at a time."""

    interval: float
    concurrency: int
    sessions: int
    """The most that are kept between cycles."""
    backfills: int
    grace: float


class Supervisor:
    """Keeps the fleet's cycles going until it is stopped."""

    def __init__(
        self,
        plan: Plan,
        tools: Tools,
        connect: Callable[[Vehicle], VehicleClient],
        on_report: Callable[[CycleReport], None] = lambda _report: None,
    ) -> None:
        self._plan = plan
        self._tools = tools
        self._on_report = on_report
        self._replica = Replica(plan.interval)
        self._workers = Workers(
            tools, connect, self._finished, self._database_failed, sessions=plan.sessions
        )
        self._lanes = Lanes(plan.concurrency, self._workers.sync)
        self._share = Share(ShardLocks(tools.database))
        self._backfills = Backfills(plan.backfills, tools, connect, self._database_failed)
        self._cycle = Cycle(0)
        self._cycle_sec: float | None = None
        self._last_beat = float("-inf")
        self._lost: DatabaseError | None = None
        self._stopping = Event()

    def run(self, cycles: int | None = None) -> None:
        """Start a cycle every interval until stopped, or until `cycles` are through; then drain."""
        self._until_stopped(partial(self._repeat, cycles))
        if self._lanes.died.is_set():
            raise FleetsyncError(
                "starting vehicles failed, see the log: a fault of fleetsyncd's own"
            )

    def once(self) -> Cycle:
        """Run one cycle of the whole fleet and drain; raise DatabaseError if PostgreSQL is lost."""
        self._backfills.accepting = False
        self._share = Share(None)
        self._until_stopped(self._single)
        if self._lost is not None:
            raise self._lost
        return self._cycle

    def _until_stopped(self, work: Callable[[], None]) -> None:
        """Run `work` to its end or until we are stopped, whatever it waits for; then drain."""
        faults: list[Exception] = []

        def guarded() -> None:
            try:
                work()
            except Exception as fault:
                faults.append(fault)

        working = gevent.spawn(guarded)
        working.rawlink(lambda _done: self._stopping.set())
        self._lanes.died.rawlink(lambda _died: self.stop())
        self._stopping.wait()
        working.join(timeout=GOODBYE_SEC)
        working.kill(timeout=GOODBYE_SEC)
        self.drain()
        if faults:
            raise faults[0]

    def _single(self) -> None:
        self.start_cycle()
        self.attend(None)

    def _repeat(self, cycles: int | None) -> None:
        pause = RETRY_SEC[0]
        done = 0
        tick = time.monotonic()
        while not self._stopping.is_set() and (cycles is None or done < cycles):
            try:
                self.start_cycle()
            except DatabaseError as fault:
                self._database_failed(fault)
                self._stopping.wait(pause * random.uniform(0.5, 1))  # noqa: S311  jitter, no secret
                pause = min(pause * 2, RETRY_SEC[1])
                tick = time.monotonic()
                continue
            pause = RETRY_SEC[0]
            done += 1
            tick = max(tick + self._plan.interval, time.monotonic())
            self.attend(tick if cycles is None or done < cycles else None)

    def stop(self) -> None:
        """Ask for a drain; returns at once."""
        self._stop_work("stopped with the daemon")
        self._stopping.set()

    def _stop_work(self, reason: str, only: Collection[UUID] | None = None) -> None:
        self._workers.stop(reason, only)
        self._backfills.stop(reason, only)

    def stop_on_signals(self) -> None:
        """Let SIGTERM and SIGINT ask for a drain, and a second one end the process at once."""

        def on_signal(number: signal.Signals) -> None:
            if self._stopping.is_set():
                _exit(128 + number)
            log.info("%s: stopping, at most %g s", number.name, self._plan.grace)
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, on_signal, number)

    def start_cycle(self) -> Cycle:
        """Read the fleet and start every vehicle that is due; raise DatabaseError if that fails."""
        self._rebalance()
        shards = self._share.shards
        fleet = self._tools.database.run(lambda cursor: store.vehicles(cursor, shards=shards))
        self._reconcile(fleet)
        if self._lost is not None:
            log.warning("database is back")
            self._lost = None
        due = [v for v in fleet if not v.paused and v.id not in self._lanes.running]
        self._cycle = Cycle(len(due))
        log.info("Starting sync cycle for %d vehicle(s)…", len(due))
        self._feed(due)
        self._beat()
        self._make_months()
        return self._cycle

    def _rebalance(self) -> None:
        """Take our share of the fleet; let go of gaps that are somebody else's now."""
        at_work = {*self._lanes.running, *self._lanes.waiting, *self._backfills.running}
        self._share.rebalance(at_work)
        long = self._workers.catching_up.union(self._backfills.running)
        gone = {vehicle_id for vehicle_id in long if not self._share.has(vehicle_id)}
        self._stop_work("another replica takes over", gone)

    def _make_months(self) -> None:
        """Make months ahead; one that cannot be made is no reason to stop before it begins."""
        try:
            self._tools.partitions.ensure_ahead(self._tools.now())
        except FLEETWIDE:
            raise
        except DatabaseError as fault:
            log.warning("a month's partition could not be made ahead: %s", fault)

    def attend(self, until: float | None) -> Cycle:
        """Serve requests and heartbeats until the cycle's vehicles are done and `until` has come.

        `until` is on the monotonic clock; None means as soon as every vehicle is done.
        """
        summarised = False
        while not self._stopping.is_set():
            now = time.monotonic()
            if not summarised and (not self._lanes.busy or (until is not None and now >= until)):
                self._summarise(until)
                summarised = True
            if summarised and (until is None or now >= until):
                break
            self._watch()
            rest = WATCH_SEC if until is None else min(WATCH_SEC, max(0.0, until - now))
            if self._lanes.busy or summarised:
                self._wait(rest, until_idle=not summarised)
        return self._cycle

    def drain(self) -> None:
        """Give running vehicles the grace to finish their window, then end them; say goodbye."""
        self.stop()
        ends = time.monotonic() + self._plan.grace
        self._backfills.accepting = False
        self._lanes.end(self._plan.grace, GOODBYE_SEC)
        self._backfills.end(max(0.0, ends - time.monotonic()), GOODBYE_SEC)
        self._workers.close()
        self._share.close()
        if self._lost is None:
            gevent.with_timeout(GOODBYE_SEC, self._leave, timeout_value=None)
        self._tools.database.close()
        log.info("Sync service stopped")

    def _leave(self) -> None:
        try:
            self._tools.database.run(lambda cursor: replicas.leave(cursor, self._replica))
        except DatabaseError as fault:
            log.warning("could not take this replica off the list: %s", fault)

    def _wait(self, seconds: float, *, until_idle: bool) -> None:
        """Sleep, but wake for a stop and, if asked, when the last vehicle is done."""
        ends = time.monotonic() + seconds
        while (rest := ends - time.monotonic()) > 0 and not self._stopping.wait(min(rest, 0.05)):
            if until_idle and not self._lanes.busy:
                return

    def _reconcile(self, fleet: list[Vehicle]) -> None:
        """Let go of vehicles that were removed, or are another replica's and not at work here."""
        known = {vehicle.id for vehicle in fleet}
        known |= {key for key in self._lanes.running if not self._share.has(key)}
        self._workers.keep(known, "the vehicle was removed")
        self._lanes.new_round(known)
        self._backfills.new_round()

    def _feed(self, due: Iterable[Vehicle]) -> None:
        late = self._tools.now() - timedelta(seconds=self._plan.interval * SLOW_AFTER_INTERVALS)
        prompt: list[Vehicle] = []
        slow: list[Vehicle] = []
        for vehicle in due:
            lags = vehicle.watermark is not None and vehicle.watermark < late
            (slow if vehicle.failures or lags else prompt).append(vehicle)
        self._lanes.start(prompt, slow)

    def _finished(self, report: CycleReport) -> None:
        self._cycle.add(report)
        self._on_report(report)

    def _summarise(self, until: float | None) -> None:
        sleep = 0.0 if until is None else max(0.0, until - time.monotonic())
        waiting: list[tuple[str, Progress | None]] = [
            (f"{name} (not started)", None) for name in self._lanes.waiting.values()
        ]
        self._cycle.summarise(self._workers.progress() + waiting, sleep)
        self._cycle_sec = self._cycle.seconds

    def _watch(self) -> None:
        """Serve what operators asked for since the last look, and show that we are alive."""
        if self._lost is not None:
            return
        try:
            paused, wanted = self._tools.database.run(self._requests)
            self._stop_work("paused", paused)
            if wanted:
                log.info("sync asked for: %s", ", ".join(vehicle.name for vehicle in wanted))
                self._feed(wanted)
            self._backfills.look(self._share.shards)
            if time.monotonic() - self._last_beat >= replicas.BEAT_SEC:
                self._rebalance()
                self._beat()
        except DatabaseError as fault:
            self._database_failed(fault)

    def _requests(self, cursor: Cursor) -> tuple[set[UUID], list[Vehicle]]:
        """Return the paused vehicles and those that are to be synced now."""
        wanted = store.take_requests(cursor, self._lanes.running, self._share.shards)
        return store.paused(cursor), store.vehicles(cursor, wanted) if wanted else []

    def _beat(self) -> None:
        self._last_beat = time.monotonic()
        vehicles, shards = self._workers.vehicles, self._share.held
        self._tools.database.run(
            lambda cursor: replicas.beat(cursor, self._replica, self._cycle_sec, vehicles, shards)
        )

    def _database_failed(self, fault: DatabaseError) -> None:
        """Say once that pulling stops; the vehicles keep their data meanwhile."""
        if self._lost is None:
            log.error("database: %s — pulling stops, the vehicles keep their data", fault)
        self._lost = fault
        self._lanes.stop_feeding()
