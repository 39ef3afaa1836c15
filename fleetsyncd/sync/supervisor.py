"""The daemon's main loop: a cycle every interval, one greenlet a vehicle, and a drain at the end.

Every step (`start_cycle`, `serve_cycle`, `drain`) returns; `run` only puts them in order. A vehicle
that is still busy is not started twice and delays no other.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import gevent
from gevent.event import Event

from fleetsyncd.database import loading
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.tidying import Tidying
from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseUnavailable, FleetsyncError
from fleetsyncd.monitoring import events
from fleetsyncd.reports import AttemptReport, CycleReport
from fleetsyncd.sync import stopping
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle_summary import CycleSummary
from fleetsyncd.sync.dispatcher import KILL_SEC, Dispatcher
from fleetsyncd.sync.heartbeat import HeartbeatSender
from fleetsyncd.sync.housekeeping import Chore
from fleetsyncd.sync.keepers import Keepers, Wanted
from fleetsyncd.sync.notifier import Notices
from fleetsyncd.sync.outage import Outage
from fleetsyncd.sync.own_intervals import OwnIntervals
from fleetsyncd.sync.plan import Plan
from fleetsyncd.sync.requests import RequestReader
from fleetsyncd.sync.setback import SetbackWatch
from fleetsyncd.sync.silence import Silences
from fleetsyncd.sync.unstored import UnstoredCycles
from fleetsyncd.sync.vehicle_log import VehicleLog

log = logging.getLogger("sync")

REQUESTS_SEC = 1.0
"""How often operators' requests are looked for."""
FIRST_RETRY_SEC, LONGEST_RETRY_SEC = 1.0, 30.0
"""Pauses while the database is lost."""


class Supervisor:
    """Runs the fleet's cycles until it is stopped."""

    def __init__(
        self,
        plan: Plan,
        context: SyncContext,
        retention: Retention,
        emit: events.Listener = events.ignore_event,
        vehicle_log: VehicleLog | None = None,
        tidying: Tidying | None = None,
        chores: Sequence[Chore] = (),
        notices: Notices | None = None,
    ) -> None:
        self._plan = plan
        self._context = context
        self._heartbeat = HeartbeatSender(
            context.database, plan.sync_interval_sec, plan.daemon_name
        )
        self._keepers = Keepers(
            context,
            Wanted(retention, tidying, chores, notices),
            sync_interval_sec=plan.sync_interval_sec,
            minutes_keep_months=plan.minutes_keep_months,
            replica_id=self._heartbeat.replica_id,
            shards=lambda: self._dispatcher.shards,
            fills_past=lambda: self._dispatcher.fills_past,
            emit=emit,
            on_database_error=self._on_database_error,
        )
        self._emit = self._keepers.emit
        self._dispatcher = Dispatcher(
            context,
            sync_interval_sec=plan.sync_interval_sec,
            sync_concurrency=plan.sync_concurrency,
            kept_sessions=plan.kept_sessions,
            catch_up_concurrency=plan.catch_up_concurrency,
            audit_percent=plan.audit_percent,
            silences=Silences(
                timedelta(seconds=plan.sync_interval_sec),
                timedelta(seconds=plan.silent_interval_sec),
            ),
            own_intervals=OwnIntervals(timedelta(seconds=plan.sync_interval_sec)),
            on_report=self._on_report,
            on_attempt=self._on_attempt,
            on_database_error=self._on_database_error,
        )
        self._vehicle_log = vehicle_log or VehicleLog()
        self._summary = CycleSummary(0)
        self._setbacks = SetbackWatch()
        self._unstored = UnstoredCycles()
        self._requests = RequestReader(context.database)
        self._cycle_sec: float | None = None
        self._outage = Outage(self._emit)
        self._stopping = Event()

    def run(self, cycles: int | None = None) -> None:
        """Start a cycle every interval until stopped, or until `cycles` are through; then drain."""
        self._run_until_stopped(partial(self._repeat, cycles))
        if self._dispatcher.failed.is_set():
            raise FleetsyncError(f"{INTERNAL_ERROR}: vehicles could not be started, see the log")

    def once(self) -> CycleSummary:
        """Run one cycle of the whole fleet and drain; raise DatabaseError if PostgreSQL is lost."""
        self._keepers.begin_nothing()
        self._dispatcher.pull_every_shard_once()
        self._run_until_stopped(self._run_single)
        if error := self._outage.lost or self._outage.busy:
            raise error
        return self._summary

    def _run_until_stopped(self, work: Callable[[], None]) -> None:
        """Run `work` until it ends or the daemon is stopped, whatever it waits for; then drain."""
        self._emit(events.DaemonStarted())
        self._dispatcher.failed.rawlink(lambda _event: self.stop())
        error = stopping.run_until(self._stopping, work, KILL_SEC)
        self.drain()
        if error is not None:
            raise error

    def _run_single(self) -> None:
        self.start_cycle()
        self.serve_cycle(None)

    def _repeat(self, cycles: int | None) -> None:
        pause = FIRST_RETRY_SEC
        done = 0
        next_start = time.monotonic()
        while not self._stopping.is_set() and (cycles is None or done < cycles):
            self._emit(events.Alive())
            try:
                self.start_cycle()
            except DatabaseError as error:
                self._on_database_error(error)
                self._stopping.wait(pause * random.uniform(0.5, 1))  # noqa: S311  jitter, no secret
                pause = min(pause * 2, LONGEST_RETRY_SEC)
                next_start = time.monotonic()
                continue
            pause = FIRST_RETRY_SEC
            done += 1
            next_start = max(next_start + self._plan.sync_interval_sec, time.monotonic())
            self.serve_cycle(next_start if cycles is None or done < cycles else None)

    def stop(self) -> None:
        """Ask for a drain; returns at once."""
        self._dispatcher.stop("stopped with the daemon")
        self._stopping.set()

    def stop_on_signals(self) -> None:
        """Let a signal ask for a drain, and a second one end the process at once.

        Under nohup a closed terminal is ignored.
        """
        stopping.on_signals(self._stopping, self.stop, self._plan.shutdown_grace_sec)

    def start_cycle(self) -> CycleSummary:
        """Read the vehicles of this replica and start those that are due; raise DatabaseError."""
        self._dispatcher.rebalance()
        self._emit(events.Alive())
        shards, committed = self._dispatcher.shards, self._setbacks.committed()
        fleet = self._context.database.run(
            lambda cursor: loading.load_vehicles(cursor, shards=shards)
        )
        self._setbacks.check(fleet, committed)
        self._unstored.retain({vehicle.id for vehicle in fleet if not vehicle.paused})
        # What cannot be written is found out here, before a vehicle is asked for it in vain.
        self._send_heartbeat()
        self._emit(events.CycleStarted(fleet, len(self._dispatcher.shard_numbers)))
        self._outage.end()
        due = self._dispatcher.start_fleet_cycle(fleet)
        self._vehicle_log.retain({vehicle.id for vehicle in fleet})
        self._summary = CycleSummary(
            len(due),
            self._dispatcher.resting,
            self._vehicle_log,
            silent_resting=self._dispatcher.silent_resting,
            own_interval=self._dispatcher.have_own_interval(due),
        )
        log.info("Starting sync cycle for %d vehicle(s)…", len(due))
        self._emit(events.Alive())
        self._make_months()
        return self._summary

    def _make_months(self) -> None:
        """Make partitions ahead; a failure is only logged: they are not needed yet."""
        try:
            self._context.partitions.ensure_ahead(self._context.now())
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            log.warning("a month's partition could not be made ahead: %s", error)

    def serve_cycle(self, until: float | None) -> CycleSummary:
        """Serve requests and heartbeats until the cycle's vehicles are done and `until` has come.

        `until` is on the monotonic clock; None means as soon as every vehicle is done.
        """
        summarised = False
        while not self._stopping.is_set():
            self._emit(events.Alive())
            now = time.monotonic()
            time_is_up = until is not None and now >= until
            if not summarised and (not self._dispatcher.busy or time_is_up):
                self._summarise(until)
                summarised = True
            if summarised and (time_is_up or (until is None and not self._has_gaps)):
                break
            self._do_periodic_work()
            rest = REQUESTS_SEC if until is None else min(REQUESTS_SEC, max(0.0, until - now))
            if self._dispatcher.busy or summarised:
                is_over = partial(self._has_ended, summarised)
                stopping.wait(self._stopping, rest, is_over)
        return self._summary

    def _has_ended(self, summarised: bool) -> bool:
        """Tell whether the cycle's last vehicle is done, which is not `summarised` yet."""
        return not summarised and not self._dispatcher.busy

    @property
    def _has_gaps(self) -> bool:
        """Whether gaps are still to be pulled, and can be stored."""
        return self._dispatcher.has_gaps and self._outage.lost is None

    def drain(self) -> None:
        """Let running vehicles finish their window, then kill them; delete the heartbeat."""
        self.stop()
        self._emit(events.DaemonStopping())
        self._keepers.interrupt(self._outage.lost)
        self._dispatcher.end(self._plan.shutdown_grace_sec)
        self._keepers.end(self._outage.lost)
        if self._outage.lost is None:
            gevent.with_timeout(KILL_SEC, self._heartbeat.remove, timeout_value=None)
        self._context.database.close()
        log.info("Sync service stopped")

    def _on_report(self, report: CycleReport) -> None:
        self._summary.add(report)
        self._setbacks.note(report)
        self._unstored.note(report)
        if report.goes_on:
            self._requests.add_unfinished(report.vehicle.id)
        self._emit(events.VehicleCycleEnded(report))

    def _on_attempt(self, report: AttemptReport) -> None:
        self._vehicle_log.add_attempt(report)
        self._emit(events.AttemptEnded(report))

    def _summarise(self, until: float | None) -> None:
        sleep = 0.0 if until is None else max(0.0, until - time.monotonic())
        busy = self._dispatcher.progress()
        summary = self._summary
        summary.summarise(busy, sleep, self._dispatcher.waiting)
        self._cycle_sec = summary.seconds
        counts = summary.ok, summary.failed, len(busy)
        unstored = self._unstored.present.vehicles
        self._emit(events.CycleEnded(*counts, summary.seconds, summary.resting, unstored))

    def _do_periodic_work(self) -> None:
        """Serve operators' requests; start backfills and the keepers; send the heartbeat."""
        if self._outage.lost is not None:
            return
        try:
            requests = self._requests.read(self._dispatcher.running, self._dispatcher.shards)
            self._dispatcher.heed_pauses(requests.paused)
            self._unstored.drop(requests.paused)
            self._dispatcher.start(requests.wanted)
            self._emit(events.Alive())
            self._dispatcher.start_catch_ups()
            self._keepers.run_if_due(time.monotonic())
            if self._heartbeat.is_due:
                self._dispatcher.rebalance()
                self._emit(events.Alive())
                self._send_heartbeat()
        except DatabaseError as error:
            self._on_database_error(error)

    def _send_heartbeat(self) -> None:
        dispatcher = self._dispatcher
        self._heartbeat.send(
            self._cycle_sec,
            dispatcher.sessions,
            dispatcher.shard_numbers,
            self._unstored.present,
        )

    def _on_database_error(self, error: DatabaseError) -> None:
        """Start nothing more until the database is back, if it is lost."""
        if self._outage.note(error):
            self._dispatcher.cancel_waiting()
