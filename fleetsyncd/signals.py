"""The signals that end a command: the first one rolls back what is not committed.

A closed terminal or a dropped line (SIGHUP), a service manager (SIGTERM) and Ctrl-C (SIGINT) are
treated alike. The daemon sets handlers of its own, which let running vehicles finish.
"""

import signal
from os import _exit
from types import FrameType

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_received: list[signal.Signals] = []


class EndedBySignal(SystemExit):
    """A signal has ended the command; its exit code is 128 and the signal's number.

    gevent's hub hands a SystemExit over to the main greenlet, and unlike a KeyboardInterrupt does
    not try to print it before, to a terminal that may be gone.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(128 + number)


def end_on_signals() -> None:
    """Raise EndedBySignal at the first of these signals; a second one ends the process at once.

    What the parent process ignores stays ignored: `nohup`, and a script's `&`.
    """
    for number in ENDING:
        if is_heeded(number):
            signal.signal(number, _end)


def is_heeded(number: signal.Signals) -> bool:
    """Tell whether a signal has any effect; the parent process may have had it ignored."""
    return signal.getsignal(number) is not signal.SIG_IGN


def received() -> signal.Signals | None:
    """Return the signal that has ended the command; None if none has."""
    return _received[0] if _received else None


def raise_received() -> None:
    """Raise EndedBySignal if a signal was received: code that it met may have lost the first one.

    A destructor, a callback of the garbage collector, and C code of a library can do that.
    """
    if _received:
        raise EndedBySignal(_received[0])


def _end(number: int, _frame: FrameType | None) -> None:
    for each in ENDING:
        if is_heeded(each):
            signal.signal(each, _end_at_once)
    _received.append(signal.Signals(number))
    raise EndedBySignal(_received[0])


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    _exit(128 + number)
