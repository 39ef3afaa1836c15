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


class BackgroundCall(Generic[T]):
    """Does `work` in a greenlet of its own while this one goes on.

    An error is handed over without leaving anything behind that refers to it: its traceback holds
    all that the work had in its hands, which may be a vehicle's whole answer.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._greenlet: gevent.Greenlet[..., tuple[T] | Exception] | None
        self._greenlet = gevent.spawn(_outcome, work)

    def result(self) -> T:
        """Return what `work` returned, once it has, or raise what it raised."""
        greenlet, self._greenlet = self._greenlet, None
        assert greenlet is not None, "asked for twice"  # noqa: S101  a fault of our own
        try:
            outcome = greenlet.get()
        except BaseException:
            self._greenlet = greenlet  # whoever waited was ended, and may still drop it
            raise
        del greenlet
        if not isinstance(outcome, Exception):
            return outcome[0]
        try:
            raise outcome
        finally:
            del outcome

    def drop(self) -> None:
        """End the work, if it still goes on."""
        if self._greenlet is not None:
            self._greenlet.kill()


def _outcome(work: Callable[[], T]) -> tuple[T] | Exception:
    """Return what came of the work: an error that left a greenlet would be printed."""
    try:
        return (work(),)
    except Exception as error:
        return error


def watch_stalls(observe: Callable[[float], None]) -> None:
    """Tell from now on, every `STALL_TICK_SEC`, for how long no greenlet could be woken."""

    def tick() -> None:
        while True:
            due = time.monotonic() + STALL_TICK_SEC
            gevent.sleep(STALL_TICK_SEC)
            observe(max(0.0, time.monotonic() - due))

    gevent.spawn(tick)
