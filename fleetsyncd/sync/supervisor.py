"""The daemon's main loop: one greenlet per vehicle, a cycle every interval, a drain at the end.

Every step (`start_cycle`, `attend`, `drain`) returns; `run` only puts them in order. A vehicle that
is still busy is not started twice and holds nobody up.
"""

import logging
import random
import signal
import time
from collections.abc import Callable
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
from fleetsyncd.database.retention import Retention
from fleetsyncd.errors import DatabaseError, FleetsyncError
from fleetsyncd.models import CycleReport, Vehicle
from fleetsyncd.monitoring import events
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle_summary import CycleSummary
from fleetsyncd.sync.dispatcher import GOODBYE_SEC, Dispatcher
from fleetsyncd.sync.housekeeping import Housekeeping
from fleetsyncd.sync.outcome import FLEETWIDE
from fleetsyncd.vehicle.client import VehicleClient

log = logging.getLogger("sync")

SLOW_AFTER_INTERVALS = 10
"""A vehicle that lags by more counts as catching up."""
REQUESTS_SEC = 1.0
"""How often operators' requests are looked for."""
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
        tools: SyncContext,
        connect: Callable[[Vehicle], VehicleClient],
        retention: Retention,
        tell: events.Listener = events.ignore_event,
    ) -> None:
        self._plan = plan
        self._tools = tools
        self._tell = tell
        self._replica = Replica(plan.interval)
        self._pullers = Dispatcher(
            tools,
            connect,
            slots=plan.concurrency,
            sessions=plan.sessions,
            backfills=plan.backfills,
            slow_after=timedelta(seconds=plan.interval * SLOW_AFTER_INTERVALS),
            on_report=self._finished,
            on_backfill=lambda row: tell(events.BackfillEnded(row)),
            on_database_fault=self._database_failed,
        )
        self._housekeeping = Housekeeping(retention, tools.now, gevent.spawn, self._database_failed)
        self._cycle = CycleSummary(0)
        self._cycle_sec: float | None = None
        self._last_beat = float("-inf")
        self._lost: DatabaseError | None = None
        self._stopping = Event()

    def run(self, cycles: int | None = None) -> None:
        """Start a cycle every interval until stopped, or until `cycles` are through; then drain."""
        self._until_stopped(partial(self._repeat, cycles))
        if self._pullers.died.is_set():
            raise FleetsyncError(
                "starting vehicles failed, see the log: a fault of fleetsyncd's own"
            )

    def once(self) -> CycleSummary:
        """Run one cycle of the whole fleet and drain; raise DatabaseError if PostgreSQL is lost."""
        self._housekeeping.accepting = False
        self._pullers.work_alone()
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

        self._tell(events.DaemonStarted())
        working = gevent.spawn(guarded)
        working.rawlink(lambda _done: self._stopping.set())
        self._pullers.died.rawlink(lambda _died: self.stop())
        self._stopping.wait()
        working.join(timeout=GOODBYE_SEC)
        working.kill(timeout=GOODBYE_SEC)
        self.drain()
        if faults:
            raise faults[0]

    def _single(self) -> None:
        self.start_cycle()
        self.serve_cycle(None)

    def _repeat(self, cycles: int | None) -> None:
        pause = RETRY_SEC[0]
        done = 0
        tick = time.monotonic()
        while not self._stopping.is_set() and (cycles is None or done < cycles):
            self._tell(events.Alive())
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
            self.serve_cycle(tick if cycles is None or done < cycles else None)

    def stop(self) -> None:
        """Ask for a drain; returns at once."""
        self._pullers.stop("stopped with the daemon")
        self._stopping.set()

    def stop_on_signals(self) -> None:
        """Let SIGTERM and SIGINT ask for a drain, and a second one end the process at once."""

        def on_signal(number: signal.Signals) -> None:
            if self._stopping.is_set():
                _exit(128 + number)
            log.info("%s: stopping, at most %g s", number.name, self._plan.grace)
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, on_signal, number)

    def start_cycle(self) -> CycleSummary:
        """Read the fleet and start every vehicle that is due; raise DatabaseError if that fails."""
        self._pullers.rebalance()
        self._tell(events.Alive())
        shards = self._pullers.shards
        fleet = self._tools.database.run(lambda cursor: store.load_vehicles(cursor, shards=shards))
        self._tell(events.CycleStarted(fleet, len(self._pullers.held)))
        if self._lost is not None:
            log.warning("database is back")
            self._lost = None
            self._tell(events.DatabaseUp())
        due = self._pullers.new_round(fleet)
        self._cycle = CycleSummary(len(due))
        log.info("Starting sync cycle for %d vehicle(s)…", len(due))
        self._tell(events.Alive())
        self._heartbeat()
        self._tell(events.Alive())
        self._make_months()
        return self._cycle

    def _make_months(self) -> None:
        """Make months ahead; one that cannot be made is no reason to stop before it begins."""
        try:
            self._tools.partitions.ensure_ahead(self._tools.now())
        except FLEETWIDE:
            raise
        except DatabaseError as fault:
            log.warning("a month's partition could not be made ahead: %s", fault)

    def serve_cycle(self, until: float | None) -> CycleSummary:
        """Serve requests and heartbeats until the cycle's vehicles are done and `until` has come.

        `until` is on the monotonic clock; None means as soon as every vehicle is done.
        """
        summarised = False
        while not self._stopping.is_set():
            self._tell(events.Alive())
            now = time.monotonic()
            if not summarised and (not self._pullers.busy or (until is not None and now >= until)):
                self._summarise(until)
                summarised = True
            if summarised and (until is None or now >= until):
                break
            self._serve_requests()
            rest = REQUESTS_SEC if until is None else min(REQUESTS_SEC, max(0.0, until - now))
            if self._pullers.busy or summarised:
                self._wait(rest, until_idle=not summarised)
        return self._cycle

    def drain(self) -> None:
        """Give running vehicles the grace to finish their window, then end them; say goodbye."""
        self.stop()
        self._tell(events.DaemonStopping())
        self._housekeeping.accepting = False
        self._pullers.end(self._plan.grace)
        if self._lost is None:
            gevent.with_timeout(GOODBYE_SEC, self._leave, timeout_value=None)
        self._tools.database.close()
        log.info("Sync service stopped")

    def _leave(self) -> None:
        try:
            self._tools.database.run(lambda cursor: replicas.remove_replica(cursor, self._replica))
        except DatabaseError as fault:
            log.warning("could not take this replica off the list: %s", fault)

    def _wait(self, seconds: float, *, until_idle: bool) -> None:
        """Sleep, but wake for a stop and, if asked, when the last vehicle is done."""
        ends = time.monotonic() + seconds
        while (rest := ends - time.monotonic()) > 0 and not self._stopping.wait(min(rest, 0.05)):
            if until_idle and not self._pullers.busy:
                return

    def _finished(self, report: CycleReport) -> None:
        self._cycle.add(report)
        self._tell(events.VehicleCycleEnded(report))

    def _summarise(self, until: float | None) -> None:
        sleep = 0.0 if until is None else max(0.0, until - time.monotonic())
        busy = self._pullers.progress()
        self._cycle.summarise(busy, sleep)
        self._cycle_sec = self._cycle.seconds
        self._tell(
            events.CycleEnded(self._cycle.ok, self._cycle.failed, len(busy), self._cycle_sec)
        )

    def _serve_requests(self) -> None:
        """Serve what operators asked for since the last look, and show that we are alive."""
        if self._lost is not None:
            return
        try:
            paused, wanted = self._tools.database.run(self._requests)
            self._pullers.stop("paused", paused)
            if wanted:
                log.info("sync asked for: %s", ", ".join(vehicle.name for vehicle in wanted))
                self._pullers.start(wanted)
            self._tell(events.Alive())
            self._pullers.start_backfills()
            self._housekeeping.run_if_due(time.monotonic())
            if time.monotonic() - self._last_beat >= replicas.HEARTBEAT_SEC:
                self._pullers.rebalance()
                self._tell(events.Alive())
                self._heartbeat()
        except DatabaseError as fault:
            self._database_failed(fault)

    def _requests(self, cursor: Cursor) -> tuple[set[UUID], list[Vehicle]]:
        """Return the paused vehicles and those that are to be synced now."""
        wanted = store.take_sync_requests(cursor, self._pullers.running, self._pullers.shards)
        return store.paused_vehicles(cursor), store.load_vehicles(cursor, wanted) if wanted else []

    def _heartbeat(self) -> None:
        self._last_beat = time.monotonic()
        vehicles, shards = self._pullers.sessions, self._pullers.held
        self._tools.database.run(
            lambda cursor: replicas.write_heartbeat(
                cursor, self._replica, self._cycle_sec, vehicles, shards
            )
        )

    def _database_failed(self, fault: DatabaseError) -> None:
        """Say once that pulling stops; the vehicles keep their data meanwhile."""
        if self._lost is None:
            log.error("database: %s — pulling stops, the vehicles keep their data", fault)
            self._tell(events.DatabaseDown())
        self._lost = fault
        self._pullers.stop_feeding()
