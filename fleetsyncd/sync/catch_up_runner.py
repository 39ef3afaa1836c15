"""Run what is pulled beside the cycles, a few vehicles at a time: gaps, backfills and audits."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from gevent import sleep
from gevent.pool import Pool

from fleetsyncd.database import backfills, gaps, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseUnavailable, VehicleRemoved
from fleetsyncd.models import Audit, Backfill, Look, Vehicle
from fleetsyncd.reports import AttemptReport, Outcome
from fleetsyncd.sync.audit import run_audit
from fleetsyncd.sync.audit_jobs import AuditJobs, Free
from fleetsyncd.sync.audit_plan import AuditPlan
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.gap import catch_up
from fleetsyncd.sync.gap_turns import GapTurns
from fleetsyncd.sync.look import run_look
from fleetsyncd.vehicle.client import VehicleClient

log = logging.getLogger("sync")

SLICE_SEC = 20.0
"""While others wait for a slot, an attempt at a gap leaves its rest to the next one after it."""
BACKFILL_SHARE = 4
"""One slot of so many is kept for backfills, or one if there are at least two."""
YIELD_STEP_SEC, LONGEST_YIELD_SEC = 0.05, 5.0
"""How a question waits while its vehicle's cycle runs, or the database does not keep up."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is pulled of a vehicle."""

    vehicle: Vehicle
    task: Backfill | Audit | Look | None = None
    """None: its gap."""
    is_urgent: bool = False
    """Its vehicle will have dropped a part of the gap at the present pace."""

    @property
    def is_gap(self) -> bool:
        """Whether it is a gap."""
        return self.task is None


class CatchUpRunner:
    """Runs gaps, backfills and audits of at most `catch_up_concurrency` vehicles at the same time.

    Each has a session of its own, so its vehicle's cycles go on meanwhile, and come first: while
    one runs, nothing new is asked. What failed is tried again in the fleet's next cycle. Gaps take
    turns, so that all vehicles come nearer to the present together; those of which a part will be
    lost go first. Audits get the slots that are left over, and none while the database does not
    keep up.
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
        self._pool = Pool(catch_up_concurrency)
        self._is_single = catch_up_concurrency == 1
        """Gaps and backfills share one slot: a backfill that waits comes before the next gap."""
        kept = -(-catch_up_concurrency // BACKFILL_SHARE)
        self._turns = GapTurns(max(1, catch_up_concurrency - kept), monotonic)
        self._context = context
        plan = audit_plan or AuditPlan(0.0, context.received)
        self._audits = AuditJobs(context, plan, monotonic)
        self._on_report = on_report
        self._on_database_error = on_database_error
        self._has_priority = has_priority
        """Whether what is live of a vehicle comes first now."""
        self._monotonic = monotonic
        self._stop_reasons: dict[UUID, str | None] = {}
        self._jobs: dict[UUID, _Job] = {}
        """Of the vehicles that run, but for one that is only being read for its turn."""
        self._tried: set[UUID] = set()
        """Vehicles whose job failed in this cycle of the fleet."""
        self._versions: dict[UUID, datetime] = {}
        """Of each vehicle's backfill, the version that was tried last."""
        self._has_gaps = self._gap_was_noted = False
        """Whether there was one at the last look, and whether a cycle has left one since."""
        self.accepting = True
        """Whether `start_due` starts anything."""

    @property
    def has_gaps(self) -> bool:
        """Whether a gap is pulled, or waits and has not failed in this cycle of the fleet."""
        return self.accepting and (self._has_gaps or self._gap_was_noted)

    @property
    def _gaps(self) -> int:
        """How many gaps are pulled now."""
        return sum(job.is_gap for job in self._jobs.values())

    def note_gap(self) -> None:
        """Take in that a cycle has left a gap."""
        self._gap_was_noted = True

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles whose gap or backfill is pulled."""
        return self._stop_reasons.keys()

    def new_fleet_cycle(self, fleet: Collection[UUID]) -> None:
        """Let those that failed be tried again; forget vehicles that are not in `fleet`."""
        self._tried.clear()
        self._versions = {key: at for key, at in self._versions.items() if key in fleet}
        self._turns.retain(fleet)
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
        room = min(self._pool.free_count(), self._turns.most - self._gaps)
        jobs = self._context.database.run(
            partial(self._due_gaps, room, shards, {*resting, *silent})
        )
        for job in jobs:
            self._start(job)
        self._start_backfills(shards, resting, silent)
        excluded = self._tried.union(self.running, resting, silent)
        self._start_audits(Free(self._pool.free_count(), shards, excluded))

    def _start_backfills(
        self,
        shards: Collection[int] | None,
        resting: Collection[UUID],
        silent: Collection[UUID],
    ) -> None:
        if free := self._pool.free_count():
            tried = {key: self._versions[key] for key in silent if key in self._versions}
            due = partial(self._due_backfills, free, shards, resting, tried)
            for job in self._context.database.run(due):
                self._note_backfill(job)
                self._start(job)

    def _start_audits(self, free: Free) -> None:
        """Start audits and looks in slots that are left over."""
        database = self._context.database
        if not free.slots or database.is_crowded:
            return
        jobs = database.run(partial(self._audits.due_audits, free))
        for vehicle, audit in jobs:
            log.debug("[%s] audit begins", vehicle.name)
            self._start(_Job(vehicle, audit))
        if self._gaps or self._turns.was_crowded:
            return
        taken = {*free.excluded, *self.running}
        free = Free(self._pool.free_count(), free.shards, taken)
        if turns := self._audits.turns(free):
            for vehicle, look in database.run(partial(self._audits.due_looks, turns, free)):
                if isinstance(look, Look):
                    self._audits.note_look(vehicle.id, look)
                self._start(_Job(vehicle, look))

    def _due_gaps(
        self,
        room: int,
        shards: Collection[int] | None,
        left_alone: Collection[UUID],
        cursor: Cursor,
    ) -> list[_Job]:
        excluded = self._tried.union(self.running, left_alone)
        due = gaps.open_gaps(cursor, excluded, shards)
        self._has_gaps = bool(due) or bool(self._gaps)
        urgent = sum(job.is_urgent for job in self._jobs.values())
        chosen = self._turns.give(self._turns.order(due, urgent, self._context.now()), room)
        vehicles = store.load_vehicles(cursor, chosen) if chosen else []
        return [_Job(vehicle, is_urgent=chosen[vehicle.id]) for vehicle in vehicles]

    def _due_backfills(
        self,
        limit: int,
        shards: Collection[int] | None,
        resting: Collection[UUID],
        tried: Mapping[UUID, datetime],
        cursor: Cursor,
    ) -> list[_Job]:
        excluded = self._tried.union(self.running, resting)
        due = backfills.open_backfills(cursor, excluded, limit, shards, tried)
        vehicles = store.load_vehicles(cursor, due.keys()) if due else []
        return [_Job(vehicle, due[vehicle.id]) for vehicle in vehicles]

    def _note_backfill(self, job: _Job) -> None:
        """Remember which backfill is tried; say so if it is a new one."""
        backfill, vehicle = job.task, job.vehicle
        assert isinstance(backfill, Backfill)  # noqa: S101  the caller has made it one
        self._tried.add(vehicle.id)
        is_new = self._versions.get(vehicle.id) != backfill.asked_at
        self._versions[vehicle.id] = backfill.asked_at
        level = logging.INFO if is_new else logging.DEBUG
        log.log(level, "[%s] backfill of %s begins", vehicle.name, backfill.rest)

    def _start(self, job: _Job) -> None:
        self._note_running(job)
        self._pool.spawn(self._run, job)

    def _note_running(self, job: _Job) -> None:
        self._stop_reasons[job.vehicle.id] = None
        self._jobs[job.vehicle.id] = job

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let running jobs, or some of them, end between two windows; if all, begin no other."""
        if only is None:
            self.accepting = False
        for vehicle_id in self._stop_reasons:
            if only is None or vehicle_id in only:
                self._stop_reasons[vehicle_id] = reason

    def cancel_waiting(self) -> None:
        """Begin no gap that waits for a slot, until slots are given again."""
        self._turns.cancel_waiting()

    def end(self, shutdown_grace_sec: float, kill_sec: float) -> None:
        """Give jobs `shutdown_grace_sec`, then kill them; wait at most `kill_sec` more."""
        self._pool.join(timeout=shutdown_grace_sec)
        self._pool.kill(block=False)
        self._pool.join(timeout=kill_sec)

    def _run(self, job: _Job) -> None:
        """Run a job; after a gap go on with the gaps that wait, so that no slot is idle."""
        self._run_one(job)
        if job.is_gap and not self._is_single:
            while (following := self._next_gap()) is not None:
                self._run_one(following)

    def _next_gap(self) -> _Job | None:
        """Return the next gap that waits, noted as running."""
        while self.accepting and (turn := self._turns.next()) is not None:
            vehicle_id, is_urgent = turn
            if vehicle_id in self._tried or vehicle_id in self.running:
                continue
            self._stop_reasons[vehicle_id] = None  # or it is begun twice while it is read
            try:
                found = self._context.database.run(partial(store.load_vehicles, only=[vehicle_id]))
            except DatabaseError as error:
                self._on_database_error(error)
                found = []
            for vehicle in found:
                if vehicle.islands and not vehicle.paused and vehicle.status == Outcome.OK:
                    job = _Job(vehicle, is_urgent=is_urgent)
                    self._note_running(job)
                    return job
            del self._stop_reasons[vehicle_id]
        return None

    def _run_one(self, job: _Job) -> None:
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
            del self._stop_reasons[vehicle.id], self._jobs[vehicle.id]
            self._turns.note_served(vehicle.id)
            if not goes_on:
                self._tried.add(vehicle.id)

    def _pull(self, job: _Job) -> bool:
        """Pull; tell whether the vehicle may have another turn in this cycle of the fleet."""
        with closing(self._context.connect(job.vehicle)) as client:
            report = self._attempt(job, client)
        if report is None:
            return False
        self._on_report(job.vehicle, report)
        return report.goes_on or (
            (job.is_gap or isinstance(job.task, Look)) and report.entry.status == Outcome.OK
        )

    def _attempt(self, job: _Job, client: VehicleClient) -> AttemptReport | None:
        stop_reason = partial(self._stop_reason, job.vehicle.id)
        asked = client, self._context, stop_reason
        match job.task:
            case Backfill():
                return run_backfill(job.vehicle, job.task, *asked)
            case Audit():
                return run_audit(job.vehicle, job.task, *asked)
            case Look():
                return run_look(job.vehicle, job.task, *asked)
        ends = self._monotonic() + SLICE_SEC

        def may_go_on() -> bool:
            return not self._turns.was_crowded or self._monotonic() < ends

        return catch_up(job.vehicle, client, self._context, stop_reason, may_go_on)

    def _stop_reason(self, vehicle_id: UUID) -> str | None:
        """Return why a job is to end; before, let go first what comes first."""
        ends = self._monotonic() + LONGEST_YIELD_SEC
        while (
            self._stop_reasons[vehicle_id] is None
            and (self._has_priority(vehicle_id) or self._context.database.is_crowded)
            and self._monotonic() < ends
        ):
            sleep(YIELD_STEP_SEC)
        return self._stop_reasons[vehicle_id]
