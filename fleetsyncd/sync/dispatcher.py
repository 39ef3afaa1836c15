"""Decide what is pulled now: this replica's share of the fleet, its cycles and its backfills."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from uuid import UUID

from gevent.event import Event

from fleetsyncd.database.shard_locks import ShardLocks
from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError
from fleetsyncd.models import Vehicle
from fleetsyncd.reports import AttemptReport, CycleReport, Outcome, Progress
from fleetsyncd.sync.audit_plan import AuditPlan
from fleetsyncd.sync.catch_up_runner import CatchUpRunner
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle_runner import CycleRunner
from fleetsyncd.sync.lanes import Lanes
from fleetsyncd.sync.own_intervals import OwnIntervals
from fleetsyncd.sync.rests import Rests
from fleetsyncd.sync.shards import ShardAssignment
from fleetsyncd.sync.silence import Silences
from fleetsyncd.sync.spacing import Spacing

log = logging.getLogger("sync")

FAULT_REST_SEC = 60.0
"""After an internal error in choosing what is caught up, when it is tried again."""
KILL_SEC = 1.0
"""How long a killed greenlet may take to close its connection."""


class Dispatcher:
    """Starts and stops pulls; no method waits for a vehicle."""

    def __init__(
        self,
        context: SyncContext,
        *,
        sync_interval_sec: float,
        sync_concurrency: int,
        kept_sessions: int,
        catch_up_concurrency: int,
        audit_percent: float = 0.0,
        silences: Silences,
        own_intervals: OwnIntervals | None = None,
        on_report: Callable[[CycleReport], None],
        on_attempt: Callable[[AttemptReport], None],
        on_database_error: Callable[[DatabaseError], None],
    ) -> None:
        self._rests = Rests()
        self._silences = silences
        self._own_intervals = own_intervals
        """None: every vehicle is asked in every cycle of the fleet."""
        self._now = context.now
        self._failing_in_wait = 0

        def heed_cycle(report: CycleReport) -> None:
            if report.outcome is Outcome.OK:
                self._rests.end([report.vehicle.id])
            self._rests.note(report.vehicle, report.retry_after_sec)
            self._silences.note(report)
            if self._own_intervals is not None:
                self._own_intervals.note(report)
            if report.leaves_gap:
                self._catch_ups.note_gap()
            on_report(report)

        def heed_attempt(vehicle: Vehicle, report: AttemptReport) -> None:
            self._rests.note(vehicle, report.retry_after_sec)
            on_attempt(report)

        self._cycles = CycleRunner(
            context, heed_cycle, on_database_error, kept_sessions=kept_sessions
        )
        self._spacing = Spacing(sync_interval_sec)
        self._lanes = Lanes(
            sync_concurrency,
            self._cycles.sync,
            lambda: context.database.is_crowded,
            self._spacing.note_started,
        )
        context.database.on_queue = self._note_wait
        self._catch_ups = CatchUpRunner(
            context,
            heed_attempt,
            on_database_error,
            catch_up_concurrency=catch_up_concurrency,
            audit_plan=AuditPlan(audit_percent, context.received, sync_interval_sec),
            has_priority=lambda vehicle_id: vehicle_id in self._lanes.running,
        )
        self._catch_ups_rest_until = 0.0
        self._assignment = ShardAssignment(ShardLocks(context.database))
        self._lost_before: set[UUID] = set()
        """Vehicles that ran when the last call found them to be another replica's."""

    @property
    def busy(self) -> bool:
        """Whether a cycle runs or waits to be started."""
        return self._lanes.busy

    @property
    def has_gaps(self) -> bool:
        """Whether a gap is pulled, or is to be."""
        return self._catch_ups.has_gaps

    @property
    def fills_past(self) -> bool:
        """Whether gaps are pulled or to be pulled, or backfills are pulled."""
        return self._catch_ups.fills_past

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles whose cycle runs."""
        return self._lanes.running

    @property
    def failed(self) -> Event:
        """Set if starting vehicles failed, which is an internal error."""
        return self._lanes.failed

    @property
    def sessions(self) -> int:
        """The number of vehicles with a kept session."""
        return self._cycles.sessions

    @property
    def waiting(self) -> int:
        """The number of vehicles that wait for a slot."""
        return len(self._lanes.waiting)

    @property
    def resting(self) -> int:
        """The number of vehicles without a good cycle that this cycle leaves alone.

        They are silent for long, or it is not their turn.
        """
        return len(self._silences.resting) + self._failing_in_wait

    @property
    def silent_resting(self) -> int:
        """The number of those of them that are silent for long."""
        return len(self._silences.resting)

    def have_own_interval(self, vehicles: Iterable[Vehicle]) -> set[UUID]:
        """Return those that are not asked in every cycle of the fleet."""
        own = self._own_intervals
        return set() if own is None else {v.id for v in vehicles if own.has_own(v)}

    @property
    def shards(self) -> frozenset[int] | None:
        """The shards that this replica pulls; None for all."""
        return self._assignment.shards

    @property
    def shard_numbers(self) -> list[int]:
        """The same shards as numbers, also when these are all of them."""
        return self._assignment.numbers

    def pull_every_shard_once(self) -> None:
        """Pull the whole fleet once, whatever other replicas do; leave backfills to the daemons."""
        self._catch_ups.accepting = False
        self._own_intervals = None
        self._assignment = ShardAssignment(None)

    def progress(self) -> list[tuple[str, Progress | None]]:
        """Return the names of the vehicles whose cycle runs or waits, with their gaps' progress."""
        waiting = [(f"{name} (not started)", None) for name in self._lanes.waiting.values()]
        return [*self._cycles.progress(), *waiting]

    def rebalance(self) -> None:
        """Take this replica's shards; stop pulls of vehicles that another one is to pull.

        A short pull may finish until the next call, so that a shard is idle soon: nobody else
        pulls its other vehicles before. Raises DatabaseError.
        """
        self._lanes.withdraw([v for v in self._lanes.waiting if not self._assignment.has(v)])
        self._assignment.rebalance(
            {*self._lanes.running, *self._lanes.waiting, *self._catch_ups.running}
        )
        long = self._cycles.with_progress.union(self._catch_ups.running)
        running = long.union(self._lanes.running)
        lost = {vehicle_id for vehicle_id in running if not self._assignment.has(vehicle_id)}
        self.stop("another replica takes over", lost & (long | self._lost_before))
        self._lost_before = lost

    def start_fleet_cycle(self, fleet: Iterable[Vehicle]) -> list[Vehicle]:
        """Stop pulls of vehicles that left the fleet, and start every vehicle that is due.

        A vehicle that is another replica's but still runs here is left to finish. Returns the
        started vehicles; paused and running ones are not due, nor those that asked for a rest, are
        silent for long, or have a longer interval of their own that is not over.
        """
        vehicles = list(fleet)
        known = {vehicle.id for vehicle in vehicles}
        known |= {key for key in self._lanes.running if not self._assignment.has(key)}
        self._cycles.retain(known, "the vehicle was removed")
        self._lanes.new_fleet_cycle(known)
        self._catch_ups.new_fleet_cycle(known)
        self._rests.end_of_changed(vehicles)
        self._silences.new_fleet_cycle(vehicles)
        resting = self._silences.resting
        waiting = self._waiting(vehicles)
        failing = {vehicle.id for vehicle in vehicles if vehicle.failures and not vehicle.paused}
        self._failing_in_wait = len(failing & waiting - resting)
        undue = self._rests.current().union(resting, waiting, self._lanes.running)
        due = [v for v in vehicles if not v.paused and v.id not in undue]
        self._spacing.new_fleet_cycle()
        self._start(due, self._spacing.gap_sec(len(due)))
        return due

    def _waiting(self, fleet: Collection[Vehicle]) -> set[UUID]:
        """Return the vehicles whose own interval is not over."""
        if self._own_intervals is None:
            return set()
        return self._own_intervals.waiting(fleet, self._now())

    def start(self, due: Iterable[Vehicle]) -> None:
        """Start cycles as slots come free; vehicles that fail have a lane of their own.

        An operator's request reaches also those that asked for a rest, are silent for long, or have
        a longer interval of their own.
        """
        self._start(due, gap_sec=0.0)

    def _start(self, due: Iterable[Vehicle], gap_sec: float) -> None:
        prompt: list[Vehicle] = []
        slow: list[Vehicle] = []
        for vehicle in due:
            (slow if vehicle.failures else prompt).append(vehicle)
        self._lanes.start(prompt, slow, gap_sec=gap_sec)

    def _note_wait(self, began: float, got: float) -> None:
        if self._lanes.is_caller:
            self._spacing.note_wait(began, got)

    def start_catch_ups(self) -> None:
        """Start open gaps, backfills and audits, as far as slots are free; raise DatabaseError.

        Backfills of vehicles that are silent for long once, as operators ask for it, and then in
        those cycles in which they are asked.
        """
        if time.monotonic() < self._catch_ups_rest_until:
            return
        silent = self._silences.resting
        try:
            self._catch_ups.start_due(self._assignment.shards, self._rests.current(), silent)
        except DatabaseError:
            raise
        except Exception:
            # What one vehicle's gap has caused must not keep the fleet from being pulled.
            self._catch_ups_rest_until = time.monotonic() + FAULT_REST_SEC
            log.exception("%s: no gap, backfill or audit begins for a minute", INTERNAL_ERROR)

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let all pulls, or those of some vehicles, end between two windows."""
        self._cycles.stop(reason, only)
        self._catch_ups.stop(reason, only)

    def heed_pauses(self, paused: Collection[UUID]) -> None:
        """Let pulls of paused vehicles end between two windows, and start none that waits.

        Once resumed, they are asked when their turn comes, and at once if they were not yet in it.
        """
        self._lanes.withdraw(paused)
        self.stop("paused", paused)
        self._rests.end(paused)
        self._silences.end(paused)
        if self._own_intervals is not None:
            self._own_intervals.end(paused)

    def cancel_waiting(self) -> None:
        """Start no cycle and no gap that still waits for a slot."""
        self._lanes.cancel_waiting()
        self._catch_ups.cancel_waiting()

    def end(self, shutdown_grace_sec: float) -> None:
        """Give running pulls the grace to finish their window, then kill them; release shards."""
        ends = time.monotonic() + shutdown_grace_sec
        self._catch_ups.accepting = False
        self._lanes.end(shutdown_grace_sec, KILL_SEC)
        self._catch_ups.end(max(0.0, ends - time.monotonic()), KILL_SEC)
        self._cycles.close()
        self._assignment.close()
