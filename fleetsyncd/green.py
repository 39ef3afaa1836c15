"""The one place that patches the process for gevent.

`patch()` must run before anything else is imported, as `fleetsyncd.__main__` does. The rest of the
program uses the plain blocking standard library; `bootstrap` passes `deadline` in.
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
    # psycogreen imports psycopg2, which must happen after the patch.
    from psycogreen.gevent import patch_psycopg  # noqa: PLC0415

    patch_psycopg()


@contextmanager
def deadline(seconds: float, error: Callable[[], Exception]) -> Iterator[None]:
    """Raise `error()` in this greenlet if the body takes longer than `seconds`.

    An outer deadline that fires inside the body passes through unchanged.
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
    """Runs `work` in a greenlet of its own while the present one goes on.

    No reference to an error is kept after it was raised: its traceback refers to all locals of the
    work, which may be a vehicle's whole answer.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._greenlet: gevent.Greenlet[..., tuple[T] | Exception] | None
        self._greenlet = gevent.spawn(_outcome, work)

    def result(self) -> T:
        """Wait for `work`; return its result or raise its error. May be called once."""
        greenlet, self._greenlet = self._greenlet, None
        assert greenlet is not None, "called twice"  # noqa: S101  would be a bug here
        try:
            outcome = greenlet.get()
        except BaseException:
            self._greenlet = greenlet  # the waiting greenlet was killed: it may still drop
            raise
        del greenlet
        if not isinstance(outcome, Exception):
            return outcome[0]
        try:
            raise outcome
        finally:
            del outcome

    def drop(self) -> None:
        """Kill the work, if it still runs."""
        if self._greenlet is not None:
            self._greenlet.kill()


def _outcome(work: Callable[[], T]) -> tuple[T] | Exception:
    """Return the result or the error: gevent would print an error that leaves a greenlet."""
    try:
        return (work(),)
    except Exception as error:
        return error


def watch_stalls(observe: Callable[[float], None]) -> None:
    """Measure from now on, every STALL_TICK_SEC, how late a greenlet is resumed."""

    def tick() -> None:
        while True:
            due = time.monotonic() + STALL_TICK_SEC
            gevent.sleep(STALL_TICK_SEC)
            observe(max(0.0, time.monotonic() - due))

    gevent.spawn(tick)
