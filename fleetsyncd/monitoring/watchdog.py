"""Ends a daemon whose main loop stands still, so that whoever started it starts another.

Docker restarts only what exits, and a greenlet that never yields keeps every other one from
noticing. The interpreter's own watchdog is a thread that needs none of them. It goes on counting
while the process is stopped, so one that thaws after that long is started anew as well.
"""

import faulthandler
import sys

from fleetsyncd.monitoring import events

HANG_SEC = 180.0
"""Longer than any wait for PostgreSQL that the daemon puts up with between two signs of life."""


def listen(event: events.Event) -> None:
    """Wait for the next sign of life; without it print where the threads stand, and exit with 1."""
    match event:
        case events.Alive() if sys.stderr is not None:
            faulthandler.dump_traceback_later(HANG_SEC, exit=True)
        case events.DaemonStopping():
            faulthandler.cancel_dump_traceback_later()
