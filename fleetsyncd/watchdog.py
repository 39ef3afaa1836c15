"""Ends a daemon whose main loop stands still, so that whoever started it starts another.

Docker restarts only what exits, and a greenlet that never yields keeps every other one from
noticing. The interpreter's own watchdog is a thread that needs none of them.
"""

import faulthandler

from fleetsyncd import events

HUNG_SEC = 180.0
"""Longer than any statement or wait for PostgreSQL that the daemon puts up with."""


def listen(event: events.Event) -> None:
    """Wait for the next sign of life; without it print where the threads stand, and exit with 1."""
    match event:
        case events.Alive():
            faulthandler.dump_traceback_later(HUNG_SEC, exit=True)
        case events.Stopping():
            faulthandler.cancel_dump_traceback_later()
