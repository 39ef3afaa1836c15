"""What the daemon does now and then beside its cycles: remove what has expired."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from fleetsyncd.database.retention import Retention
from fleetsyncd.errors import DatabaseError
from fleetsyncd.sync.outcome import FLEETWIDE

log = logging.getLogger("sync")

EVERY_SEC = 3600.0
PAUSE_SEC = 0.05
"""Between two steps, so that cycles come first."""


class Housekeeping:
    """Tidies up once an hour, apart from the main loop: `spawn` starts what runs beside it."""

    def __init__(
        self,
        retention: Retention,
        now: Callable[[], datetime],
        spawn: Callable[[Callable[[], None]], object],
        on_database_fault: Callable[[DatabaseError], None],
    ) -> None:
        self._retention = retention
        self._now = now
        self._spawn = spawn
        self._on_database_fault = on_database_fault
        self._due = 0.0
        self._running = False
        self.accepting = True
        """Whether anything is begun or gone on with."""

    def run_if_due(self, monotonic: float) -> None:
        """Begin if it is time and the last round is over."""
        if self.accepting and not self._running and monotonic >= self._due:
            self._due = monotonic + EVERY_SEC
            self._running = True
            self._spawn(self._tidy)

    def _tidy(self) -> None:
        try:
            for _step in self._retention.steps(self._now):
                if not self.accepting:
                    return
                time.sleep(PAUSE_SEC)
        except FLEETWIDE as fault:
            self._on_database_fault(fault)
        except Exception:
            log.exception("a fault of fleetsyncd's own ended the removal of what has expired")
        finally:
            self._running = False
