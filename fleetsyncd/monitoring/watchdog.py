"""End a daemon whose main loop hangs, so that the service manager restarts it.

Docker restarts only a process that exits, and a greenlet that never yields keeps every other one
from noticing. The interpreter's own watchdog is a thread that needs no greenlet. It goes on
counting while the process is stopped (SIGSTOP), so a process that continues after that long is
restarted as well.
"""

import faulthandler
import sys

from fleetsyncd.monitoring import events

HANG_SEC = 180.0
"""Longer than any wait for PostgreSQL between two `Alive` events."""


def listen(event: events.Event) -> None:
    """Restart the countdown at every `Alive`; at its end print all stacks and exit with 1."""
    match event:
        case events.Alive() if sys.stderr is not None:
            faulthandler.dump_traceback_later(HANG_SEC, exit=True)
        case events.DaemonStopping():
            faulthandler.cancel_dump_traceback_later()
