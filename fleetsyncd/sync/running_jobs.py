"""What is being pulled beside the cycles, and when a job is to pause or to end."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.jobs import Audit, Backfill, Visit
from fleetsyncd.models import Vehicle

YIELD_STEP_SEC, LONGEST_YIELD_SEC = 0.05, 5.0
"""How a question waits for what comes first."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is pulled of a vehicle."""

    vehicle: Vehicle
    task: Backfill | Audit | Visit | None = None
    """None: its gap."""
    is_urgent: bool = False
    """Its vehicle will have dropped a part of the gap at the present pace."""

    @property
    def is_gap(self) -> bool:
        """Whether it is a gap."""
        return self.task is None


class RunningJobs:
    """The jobs that run, at most one of a vehicle."""

    def __init__(
        self,
        must_wait: Callable[[UUID], bool],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._must_wait = must_wait
        """Whether something else comes before a vehicle's job now."""
        self._monotonic = monotonic
        self._sleep = sleep
        self._stop_reasons: dict[UUID, str | None] = {}
        self._jobs: dict[UUID, Job] = {}
        """Of the vehicles that run, but for one that is only being read for its turn."""
        self._parked: set[UUID] = set()
        self._began_at: dict[UUID, float] = {}
        """When each job began, without the time for which it was parked."""

    @property
    def vehicles(self) -> Collection[UUID]:
        """The vehicles of which something is pulled, or read for its turn."""
        return self._stop_reasons.keys()

    @property
    def gaps(self) -> int:
        """How many gaps are pulled."""
        return sum(job.is_gap for job in self._jobs.values())

    @property
    def gaps_in_slots(self) -> int:
        """How many of these do not wait for their vehicle's pace."""
        return sum(job.is_gap for key, job in self._jobs.items() if key not in self._parked)

    @property
    def backfills(self) -> int:
        """How many backfills are pulled."""
        return sum(isinstance(job.task, Backfill) for job in self._jobs.values())

    @property
    def urgent(self) -> int:
        """How many urgent gaps are pulled."""
        return sum(job.is_urgent for job in self._jobs.values())

    def reserve(self, vehicle_id: UUID) -> None:
        """Take in that a vehicle is being read for its turn."""
        self._stop_reasons[vehicle_id] = None

    def add(self, job: Job) -> None:
        """Take in that a job begins."""
        self._stop_reasons[job.vehicle.id] = None
        self._jobs[job.vehicle.id] = job
        self._began_at[job.vehicle.id] = self._monotonic()

    def remove(self, vehicle_id: UUID) -> None:
        """Take in that a vehicle's job has ended, or does not begin after all."""
        del self._stop_reasons[vehicle_id]
        self._jobs.pop(vehicle_id, None)
        self._began_at.pop(vehicle_id, None)

    @contextmanager
    def parked(self, vehicle_id: UUID) -> Iterator[None]:
        """Take in that a vehicle's job waits for its pace during the body."""
        self._parked.add(vehicle_id)
        parked_at = self._monotonic()
        try:
            yield
        finally:
            self._parked.discard(vehicle_id)
            self._began_at[vehicle_id] += self._monotonic() - parked_at

    def seconds_in_slot(self, vehicle_id: UUID) -> float:
        """Return for how long a vehicle's job, which runs, has had a slot."""
        return self._monotonic() - self._began_at[vehicle_id]

    def is_stopped(self, vehicle_id: UUID) -> bool:
        """Tell whether a vehicle's job is to end."""
        return self._stop_reasons[vehicle_id] is not None

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let the jobs, or some of them, end between two windows."""
        for vehicle_id in self._stop_reasons:
            if only is None or vehicle_id in only:
                self._stop_reasons[vehicle_id] = reason

    def stop_reason(self, vehicle_id: UUID) -> str | None:
        """Return why a job is to end; before, let go first what comes first."""
        ends = self._monotonic() + LONGEST_YIELD_SEC
        while (
            self._stop_reasons[vehicle_id] is None
            and self._must_wait(vehicle_id)
            and self._monotonic() < ends
        ):
            self._sleep(YIELD_STEP_SEC)
        return self._stop_reasons[vehicle_id]
