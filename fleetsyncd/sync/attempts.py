"""The attempts of a job: what it runs, and when one is to end in favour of others."""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import partial
from uuid import UUID

from fleetsyncd.jobs import Audit, Backfill, Visit
from fleetsyncd.reports import AttemptReport
from fleetsyncd.sync.audit import run_audit
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.sync.gap import catch_up
from fleetsyncd.sync.gap_turns import GapTurns
from fleetsyncd.sync.job_slots import JobSlots
from fleetsyncd.sync.look import run_visit
from fleetsyncd.sync.pacing import Asked
from fleetsyncd.sync.running_jobs import Job, RunningJobs

SLICE_SEC = 20.0
"""While others wait for a slot, an attempt at a gap leaves its rest to the next one after it."""
VISIT_SEC = 20.0
"""A visit is over after so long, whatever the vehicle answers."""


class Attempts:
    """Makes attempts at gaps, backfills, audits and visits."""

    def __init__(
        self, turns: GapTurns, slots: JobSlots, jobs: RunningJobs, monotonic: Callable[[], float]
    ) -> None:
        self._turns = turns
        self._slots = slots
        self._jobs = jobs
        self._monotonic = monotonic
        self._reached: dict[UUID, datetime] = {}
        """Where attempts at gaps have ended, and the next ones go on."""

    def retain(self, fleet: Collection[UUID]) -> None:
        """Forget vehicles that are not in `fleet`."""
        self._reached = {key: at for key, at in self._reached.items() if key in fleet}

    def make(self, job: Job, asked: Asked) -> Iterator[AttemptReport]:
        """Make the attempts of a job: one, but of a visit one for each of its looks."""
        match job.task:
            case Backfill():
                yield run_backfill(job.vehicle, job.task, *asked)
            case Audit():
                yield run_audit(job.vehicle, job.task, *asked)
            case Visit():
                client, context, stop_reason = asked
                ends = partial(self._visit_ends, job.vehicle.id, stop_reason)
                yield from run_visit(job.vehicle, job.task, client, context, ends)
            case None:
                slice_ends = self._monotonic() + SLICE_SEC

                def may_go_on() -> bool:
                    others_wait = self._turns.was_crowded or self._slots.awaited
                    return not others_wait or self._monotonic() < slice_ends

                goes_on_at = self._reached.pop(job.vehicle.id, None)
                report = catch_up(job.vehicle, *asked, may_go_on, goes_on_at)
                if report is not None:
                    if report.reached is not None:
                        self._reached[job.vehicle.id] = report.reached
                    yield report

    def _visit_ends(self, vehicle_id: UUID, stop_reason: Callable[[], str | None]) -> str | None:
        """Return why a visit is to end: looks have only what gaps leave over, and little of it."""
        if reason := stop_reason():
            return reason
        if self._turns.was_crowded:
            return "gaps wait for a slot"
        if self._jobs.seconds_in_slot(vehicle_id) >= VISIT_SEC:
            return f"a visit has {VISIT_SEC:g} s"
        return None
