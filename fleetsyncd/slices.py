"""Long work made in slices of CPU time, between which other greenlets run.

Where nothing is patched, as in a command or the dashboard, a pause lets other threads run.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SLICE_SEC = 0.005
PAUSE_SEC = 1e-6
"""Not 0: gevent resumes greenlets that sleep for 0 up to 1,000 times before it checks timers."""
_EVERY = 20
"""Items between two looks at the clock."""


def pause() -> None:
    """Let every other greenlet run that is ready to."""
    time.sleep(PAUSE_SEC)


class Slices:
    """Meters one piece of work; only the greenlet that does it may use it."""

    def __init__(self) -> None:
        self._resumed = time.thread_time()

    def pause_if_due(self) -> None:
        """Let others run if this slice is over."""
        if time.thread_time() - self._resumed >= SLICE_SEC:
            pause()
            self._resumed = time.thread_time()

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, with a pause after a slice."""
        for number, item in enumerate(items, 1):
            yield item
            if number % _EVERY == 0:
                self.pause_if_due()


class Sliced(list[T]):
    """A list that lets others run while somebody goes over it."""

    def __init__(self, items: Iterable[T], slices: Slices) -> None:
        self._slices = slices
        super().__init__(slices.each(items))

    def __iter__(self) -> Iterator[T]:
        """Yield the items, with a pause after a slice."""
        return self._slices.each(super().__iter__())
