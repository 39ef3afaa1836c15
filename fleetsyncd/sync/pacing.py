"""Lets jobs wait for the pace of their vehicles' links; meanwhile others have their slots."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from fleetsyncd.models import Vehicle
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.job_slots import JobSlots
from fleetsyncd.sync.pace import Pace
from fleetsyncd.sync.running_jobs import Job, RunningJobs
from fleetsyncd.vehicle.client import VehicleClient

LONGEST_SLEEP_SEC = 0.1
"""A job that waits for its link looks so often whether it is to end."""
Asked = tuple[VehicleClient, SyncContext, Callable[[], str | None]]
"""What a job asks with: a client, its context, and what names the reason to end early."""


@dataclass(slots=True)
class _PacedJob:
    """A job whose answers are paid from its vehicle's bucket."""

    job: Job
    pace: Pace
    client: VehicleClient
    paid: int = 0
    """How much of what the client has carried."""

    def pay(self, now: float) -> None:
        """Pay what was carried since this was called last."""
        carried = self.client.carried_bytes
        self.pace.pay(carried - self.paid, now)
        self.paid = carried


class Pacing:
    """Keeps the buckets of the vehicles that have a rate for their gaps."""

    def __init__(
        self,
        slots: JobSlots,
        jobs: RunningJobs,
        most_gaps: int,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._slots = slots
        self._jobs = jobs
        self._most_gaps = most_gaps
        self._monotonic = monotonic
        self._sleep = sleep
        self._paces: dict[UUID, Pace] = {}

    def retain(self, fleet: Collection[UUID]) -> None:
        """Forget the vehicles that are not in `fleet`."""
        self._paces = {key: pace for key, pace in self._paces.items() if key in fleet}

    @contextmanager
    def asking(self, job: Job, client: VehicleClient, context: SyncContext) -> Iterator[Asked]:
        """Give what a job asks with; if its vehicle has a rate, each question waits for it."""
        stop_reason = partial(self._jobs.stop_reason, job.vehicle.id)
        pace = self._pace_of(job.vehicle)
        if pace is None:
            yield client, context, stop_reason
            return
        paced = _PacedJob(job, pace, client)

        def wait_for_pace() -> str | None:
            self._wait(paced)
            return stop_reason()

        self._wait(paced)
        try:
            yield client, replace(context, pace=pace), wait_for_pace
        finally:
            paced.pay(self._monotonic())

    def _pace_of(self, vehicle: Vehicle) -> Pace | None:
        """Return the vehicle's bucket: a new one after a change of its rate."""
        kbit = vehicle.terms.gap_kbit
        if kbit is None:
            self._paces.pop(vehicle.id, None)
            return None
        known = self._paces.get(vehicle.id)
        if known is None or known.kbit != kbit:
            known = self._paces[vehicle.id] = Pace(kbit, self._monotonic())
        return known

    def _wait(self, paced: _PacedJob) -> None:
        """Pay; wait until the next question may be asked, or the job is to end."""
        paced.pay(self._monotonic())
        job, pace = paced.job, paced.pace
        key = job.vehicle.id
        is_stopped = partial(self._jobs.is_stopped, key)
        if not pace.wait_sec(self._monotonic()):
            return

        def may_return() -> bool:
            return not job.is_gap or self._jobs.gaps_in_slots < self._most_gaps

        with self._jobs.parked(key), self._slots.lent(may_return, is_stopped):
            while (rest := pace.wait_sec(self._monotonic())) > 0 and not is_stopped():
                self._sleep(min(rest, LONGEST_SLEEP_SEC))
