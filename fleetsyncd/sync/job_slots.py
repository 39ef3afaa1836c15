"""The slots of what is pulled beside the cycles; a job that waits for its link lends its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST_PARKED = 64
"""So many jobs may wait outside, however many slots there are: each keeps a connection open, which
is kept back from the cycles though no vehicle may have a rate."""
STEP_SEC = 0.05


def most_connections(slots: int) -> int:
    """Return how many connections the jobs of so many slots keep open at most."""
    return slots + MOST_PARKED


class JobSlots:
    """Counts the jobs that have a slot; `sleep` lets other jobs run."""

    def __init__(self, count: int, sleep: Callable[[float], None]) -> None:
        self._count = count
        self._sleep = sleep
        self._held = 0
        self._parked = 0
        self._returning = 0

    @property
    def free(self) -> int:
        """How many jobs may begin; those that come back are served first."""
        return max(0, self._count - self._held - self._returning)

    @property
    def awaited(self) -> bool:
        """Whether a job that has waited for its link now waits for a slot."""
        return self._returning > 0

    def take(self) -> None:
        """Take a slot, which is free."""
        self._held += 1

    def give_back(self) -> None:
        """Give a slot back."""
        self._held -= 1

    @contextmanager
    def lent(
        self, may_return: Callable[[], bool], is_stopped: Callable[[], bool]
    ) -> Iterator[None]:
        """Lend this job's slot to others during the body; then wait for one.

        Without a wait if the job is to end, so more may be held for a moment. If too many wait
        outside already, it keeps its slot.
        """
        if self._parked >= MOST_PARKED:
            yield
            return
        self._held -= 1
        self._parked += 1
        try:
            yield
            self._returning += 1
            try:
                while not (is_stopped() or (self._held < self._count and may_return())):
                    self._sleep(STEP_SEC)
            finally:
                self._returning -= 1
        finally:
            self._parked -= 1
            self._held += 1
