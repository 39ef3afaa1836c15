"""How the main loop waits, and ends: at a signal, when it is asked to, or when its work is done."""

import logging
import signal
import time
from collections.abc import Callable
from os import _exit

import gevent
from gevent.event import Event

from fleetsyncd import signals

log = logging.getLogger("sync")

LOOK_SEC = 0.05
"""How often a wait looks whether it is over."""


def on_signals(stopping: Event, stop: Callable[[], None], grace_sec: float) -> None:
    """Let a signal call `stop`, and one that comes while it is `stopping` end the process at once.

    Under nohup a closed terminal is ignored.
    """

    def on_signal(number: signal.Signals) -> None:
        if stopping.is_set():
            _exit(128 + number)
        log.info("%s: stopping, at most %g s", number.name, grace_sec)
        stop()

    for number in signals.ENDING:
        if number != signal.SIGHUP or signals.is_heeded(number):
            gevent.signal_handler(number, on_signal, number)


def run_until(stopping: Event, work: Callable[[], None], kill_sec: float) -> Exception | None:
    """Run `work` until it ends or it is `stopping`, whatever it waits for; return its error.

    It then has `kill_sec` to end by itself, and sets `stopping` when it has ended.
    """
    errors: list[Exception] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    working = gevent.spawn(guarded)
    working.rawlink(lambda _greenlet: stopping.set())
    stopping.wait()
    working.join(timeout=kill_sec)
    working.kill(timeout=kill_sec)
    return errors[0] if errors else None


def wait(stopping: Event, seconds: float, is_over: Callable[[], bool]) -> None:
    """Sleep; wake up when it is `stopping`, or when the wait `is_over`."""
    ends = time.monotonic() + seconds
    while (rest := ends - time.monotonic()) > 0 and not stopping.wait(min(rest, LOOK_SEC)):
        if is_over():
            return
