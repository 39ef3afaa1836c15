"""The one place that makes the process green.

`patch()` must run before anything else is imported, which `fleetsyncd.__main__` sees to. The rest
of the program is written against the plain blocking standard library and is handed `deadline`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import gevent
from gevent import monkey

T = TypeVar("T")

STALL_TICK_SEC = 0.1


def patch() -> None:
    """Make the standard library and psycopg2 cooperative."""
    monkey.patch_all()
    # psycogreen imports psycopg2, which may happen only once the process is green.
    from psycogreen.gevent import patch_psycopg  # noqa: PLC0415

    patch_psycopg()


@contextmanager
def deadline(seconds: float, error: Callable[[], Exception]) -> Iterator[None]:
    """Raise `error()` in this greenlet if the body takes longer than `seconds`.

    An outer deadline that fires inside the body passes through untouched.
    """
    timer = gevent.Timeout(seconds)
    try:
        with timer:
            yield
    except gevent.Timeout as fired:
        if fired is not timer:
            raise
        raise error() from None


class Beside(Generic[T]):
    """Does `work` in a greenlet of its own while this one goes on."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._greenlet = gevent.spawn(self._run, work)

    def _run(self, work: Callable[[], T]) -> tuple[T] | Exception:
        """Return the outcome: an error that left a greenlet would be printed."""
        try:
            return (work(),)
        except Exception as fault:
            return fault

    def result(self) -> T:
        """Return what `work` returned, once it has, or raise what it raised."""
        outcome: tuple[T] | Exception = self._greenlet.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome[0]

    def drop(self) -> None:
        """End the work, if it still goes on."""
        self._greenlet.kill()


def watch_stalls(observe: Callable[[float], None]) -> None:
    """Tell from now on, every `STALL_TICK_SEC`, for how long no greenlet could be woken."""

    def tick() -> None:
        while True:
            due = time.monotonic() + STALL_TICK_SEC
            gevent.sleep(STALL_TICK_SEC)
            observe(max(0.0, time.monotonic() - due))

    gevent.spawn(tick)
