"""The CPU time that reading one answer may take, spent in slices.

What a vehicle sends in few bytes may be dear to read, and everybody waits while one greenlet reads.
So other greenlets run between two slices, and reading ends when it has taken too long.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from fleetsyncd.errors import AnswerTooLarge
from fleetsyncd.slices import pause

T = TypeVar("T")

SLICE_SEC = 0.005
LONGEST_SEC = 0.25
"""An honest answer with the most rows takes a fraction. One that takes longer is asked for in
smaller parts, so a slow host only asks more often."""


class CpuSlices:
    """Meters the reading of one answer; only the greenlet that reads may use it."""

    def __init__(self, call: str) -> None:
        self._call = call
        self._used_sec = 0.0
        self._resumed = time.thread_time()

    @property
    def used_sec(self) -> float:
        """CPU seconds so far."""
        return self._used_sec + time.thread_time() - self._resumed

    def pause(self) -> None:
        """Let others run if this slice is over; raise AnswerTooLarge after the last one."""
        used = time.thread_time() - self._resumed
        if used < SLICE_SEC:
            return
        self._used_sec += used
        if self._used_sec > LONGEST_SEC:
            raise AnswerTooLarge(self._call, "reading it takes too long")
        pause()
        self._resumed = time.thread_time()

    def each(self, items: Iterable[T], every: int) -> Iterator[T]:
        """Yield the items, with a pause, if one is due, after so many."""
        for number, item in enumerate(items, 1):
            yield item
            if number % every == 0:
                self.pause()

    def chunks(self, items: list[T], size: int) -> Iterator[list[T]]:
        """Yield the items in lists of `size`, with a pause, if one is due, after each."""
        for start in range(0, len(items), size):
            yield items[start : start + size]
            self.pause()
