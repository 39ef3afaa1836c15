"""Processes that do nothing for a while, as on a host that hangs."""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def frozen(pids: Collection[int]) -> Iterator[None]:
    """Freeze these processes until the block ends; some may have ended meanwhile.

    One that stayed frozen would keep its database from being dropped, and the tests from ending.
    """
    try:
        _send(pids, signal.SIGSTOP)
        yield
    finally:
        _send(pids, signal.SIGCONT)


def _send(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
