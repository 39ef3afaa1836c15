"""Run what is pulled beside the cycles, a few vehicles at a time: gaps, backfills and audits."""

import logging
import time
from collections.abc import Callable, Collection
from contextlib import closing
from functools import partial
from uuid import UUID

from gevent import sleep
from gevent.pool import Group

from fleetsyncd.database import (
    gaps,
    loading,
)
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseUnavailable, VehicleRemoved
from fleetsyncd.jobs import Backfill, Visit
from fleetsyncd.models import Vehicle
from fleetsyncd.reports import AttemptReport, Outcome
from fleetsyncd.sync.attempts import Attempts
from fleetsyncd.sync.audit_jobs import AuditJobs, Free
from fleetsyncd.sync.audit_plan import AuditPlan
from fleetsyncd.sync.backfill_jobs import BackfillJobs
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.gap_turns import GapTurns
from fleetsyncd.sync.job_slots import JobSlots
from fleetsyncd.sync.pacing import Pacing
from fleetsyncd.sync.running_jobs import Job, RunningJobs

log = logging.getLogger("sync")

BACKFILL_SHARE = 4
"""One slot of so many is kept for backfills, or one if there are at least two."""


class CatchUpRunner:
    """Runs gaps, backfills and audits of at most `catch_up_concurrency` vehicles at the same time.

    Each has a session of its own, so its vehicle's cycles go on meanwhile, and come first: while
    one runs, nothing new is asked. What failed is tried again in the fleet's next cycle. Gaps take
    turns, so that all vehicles come nearer to the present together; those of which a part will be
    lost go first. A job that waits for its vehicle's pace has no slot meanwhile. Audits get the
    slots that are left over, and none while the database does not keep up.
    """

    def __init__(
        self,
        context: SyncContext,
        on_report: Callable[[Vehicle, AttemptReport], None],
        on_database_error: Callable[[DatabaseError], None],
        *,
        catch_up_concurrency: int,
        audit_plan: AuditPlan | None = None,
        has_priority: Callable[[UUID], bool] = lambda _vehicle_id: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._greenlets = Group()
        self._slots = JobSlots(catch_up_concurrency, sleep)
        self._is_single = catch_up_concurrency == 1
        """Gaps and backfills share one slot: a backfill that waits comes before the next gap."""
        kept = -(-catch_up_concurrency // BACKFILL_SHARE)
        self._turns = GapTurns(max(1, catch_up_concurrency - kept), monotonic)
        self._context = context
        plan = audit_plan or AuditPlan(0.0, context.received, 1.0)
        self._audits = AuditJobs(context, plan, monotonic)
        self._backfills = BackfillJobs()
        self._on_report = on_report
        self._on_database_error = on_database_error

        def must_wait(vehicle_id: UUID) -> bool:
            return has_priority(vehicle_id) or context.database.is_crowded

        self._jobs = RunningJobs(must_wait, monotonic, sleep)
        self._pacing = Pacing(self._slots, self._jobs, self._turns.most, monotonic, sleep)
        self._attempts = Attempts(self._turns, self._slots, self._jobs, monotonic)
        self._tried: set[UUID] = set()
        """Vehicles whose job failed in this cycle of the fleet."""
        self._has_gaps = self._gap_was_noted = False
        """Whether there was one at the last look, and whether a cycle has left one since."""
        self.accepting = True
        """Whether `start_due` starts anything."""

    @property
    def has_gaps(self) -> bool:
        """Whether a gap is pulled, or waits and has not failed in this cycle of the fleet."""
        return self.accepting and (self._has_gaps or self._gap_was_noted)

    @property
    def fills_past(self) -> bool:
        """Whether many rows of the past are stored: gaps, also those to come, and backfills."""
        return self.has_gaps or self._jobs.backfills > 0

    def note_gap(self) -> None:
        """Take in that a cycle has left a gap."""
        self._gap_was_noted = True

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles whose gap or backfill is pulled."""
        return self._jobs.vehicles

    def new_fleet_cycle(self, fleet: Collection[UUID]) -> None:
        """Let those that failed be tried again; forget vehicles that are not in `fleet`."""
        self._tried.clear()
        self._backfills.retain(fleet)
        self._turns.retain(fleet)
        self._attempts.retain(fleet)
        self._pacing.retain(fleet)
        self._audits.set_fleet(fleet)

    def start_due(
        self,
        shards: Collection[int] | None = None,
        resting: Collection[UUID] = (),
        silent: Collection[UUID] = (),
    ) -> None:
        """Start what is to be pulled of the shards, as far as slots are free; raise DatabaseError.

        Vehicles that are `resting` are left alone. Of those that are `silent` backfills are tried
        once, as the operator asks for it; they are not audited.
        """
        if not self.accepting:
            return
        self._gap_was_noted = False
        if self._is_single:
            self._start_backfills(shards, resting, silent)
        room = min(self._slots.free, self._turns.most - self._jobs.gaps_in_slots)
        jobs = self._context.database.run(
            partial(self._due_gaps, room, shards, {*resting, *silent})
        )
        for job in jobs:
            self._start(job)
        self._start_backfills(shards, resting, silent)
        excluded = self._tried.union(self.running, resting, silent)
        self._start_audits(Free(self._slots.free, shards, excluded))

    def _start_backfills(
        self,
        shards: Collection[int] | None,
        resting: Collection[UUID],
        silent: Collection[UUID],
    ) -> None:
        if not (free := self._slots.free):
            return

        def due(cursor: Cursor) -> list[tuple[Vehicle, Backfill]]:
            excluded = self._tried.union(self.running, resting)
            return self._backfills.due(free, shards, excluded, silent, cursor)

        for vehicle, backfill in self._context.database.run(due):
            if vehicle.id not in self.running:
                self._tried.add(vehicle.id)
                self._backfills.note(vehicle, backfill)
            self._start(Job(vehicle, backfill))

    def _start_audits(self, free: Free) -> None:
        """Start audits and looks in slots that are left over; no look while a gap waits for one."""
        database = self._context.database
        if not free.slots or database.is_crowded:
            return
        jobs = database.run(partial(self._audits.due_audits, free))
        for vehicle, audit in jobs:
            log.debug("[%s] audit begins", vehicle.name)
            self._start(Job(vehicle, audit))
        if self._turns.was_crowded:
            return
        taken = {*free.excluded, *self.running}
        free = Free(self._slots.free, free.shards, taken)
        if due := self._audits.due_visits(free):
            for vehicle, visit in database.run(partial(self._audits.visits, due, free)):
                self._audits.note_visit(vehicle.id, visit)
                self._start(Job(vehicle, visit))

    def _due_gaps(
        self,
        room: int,
        shards: Collection[int] | None,
        left_alone: Collection[UUID],
        cursor: Cursor,
    ) -> list[Job]:
        excluded = self._tried.union(self.running, left_alone)
        due = gaps.open_gaps(cursor, excluded, shards)
        self._has_gaps = bool(due) or bool(self._jobs.gaps)
        chosen = self._turns.give(
            self._turns.order(due, self._jobs.urgent, self._context.now()), room
        )
        vehicles = loading.load_vehicles(cursor, chosen) if chosen else []
        return [Job(vehicle, is_urgent=chosen[vehicle.id]) for vehicle in vehicles]

    def _start(self, job: Job) -> None:
        """Begin a job, unless one of its vehicle has begun while this one was read."""
        if job.vehicle.id in self.running:
            return
        self._jobs.add(job)
        self._slots.take()
        self._greenlets.spawn(self._run, job)

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let running jobs, or some of them, end between two windows; if all, begin no other."""
        if only is None:
            self.accepting = False
        self._jobs.stop(reason, only)

    def cancel_waiting(self) -> None:
        """Begin no gap that waits for a slot, until slots are given again."""
        self._turns.cancel_waiting()

    def end(self, shutdown_grace_sec: float, kill_sec: float) -> None:
        """Give jobs `shutdown_grace_sec`, then kill them; wait at most `kill_sec` more."""
        self._greenlets.join(timeout=shutdown_grace_sec)
        self._greenlets.kill(block=False)
        self._greenlets.join(timeout=kill_sec)

    def _run(self, job: Job) -> None:
        """Run a job; after a gap go on with the gaps that wait, so that no slot is idle."""
        try:
            self._run_one(job)
            if job.is_gap and not self._is_single:
                while (following := self._next_gap()) is not None:
                    self._run_one(following)
        finally:
            self._slots.give_back()

    def _next_gap(self) -> Job | None:
        """Return the next gap that waits, noted as running; those that come back go first."""
        while (
            self.accepting and not self._slots.awaited and (turn := self._turns.next()) is not None
        ):
            vehicle_id, is_urgent = turn
            if vehicle_id in self._tried or vehicle_id in self.running:
                continue
            self._jobs.reserve(vehicle_id)  # or it is begun twice while it is read
            try:
                load = partial(loading.load_vehicles, only=[vehicle_id])
                found = self._context.database.run(load)
            except DatabaseError as error:
                self._on_database_error(error)
                found = []
            for vehicle in found:
                if vehicle.islands and not vehicle.paused and vehicle.status == Outcome.OK:
                    job = Job(vehicle, is_urgent=is_urgent)
                    self._jobs.add(job)
                    return job
            self._jobs.remove(vehicle_id)
        return None

    def _run_one(self, job: Job) -> None:
        """Run one job; no error leaves this method."""
        vehicle = job.vehicle
        goes_on = False
        try:
            goes_on = self._pull(job)
        except VehicleRemoved:
            log.info("[%s] was removed", vehicle.name)
        except DatabaseUnavailable as error:
            self._on_database_error(error)
        except DatabaseError as error:
            text = (
                "[%s] the journal entry of what is pulled beside its cycles cannot be written: %s"
            )
            log.error(text, vehicle.name, error)  # noqa: TRY400  the error says all there is
        except Exception:
            log.exception("[%s] %s: its catch-up ended", vehicle.name, INTERNAL_ERROR)
        finally:
            self._jobs.remove(vehicle.id)
            self._turns.note_served(vehicle.id)
            if not goes_on:
                self._tried.add(vehicle.id)

    def _pull(self, job: Job) -> bool:
        """Pull; tell whether the vehicle may have another turn in this cycle of the fleet."""
        goes_on = False
        with (
            closing(self._context.connect(job.vehicle)) as client,
            self._pacing.asking(job, client, self._context) as asked,
        ):
            for report in self._attempts.make(job, asked):
                self._on_report(job.vehicle, report)
                if report.audit is not None and report.audit.counts.missing:
                    self._audits.note_missing(job.vehicle.id)
                goes_on = report.goes_on or (
                    (job.is_gap or isinstance(job.task, Visit))
                    and report.entry.status == Outcome.OK
                )
            if isinstance(job.task, Visit):
                self._audits.note_cost(job.vehicle.id, client.received_bytes)
        return goes_on
