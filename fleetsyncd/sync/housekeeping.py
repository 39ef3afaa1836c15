"""Once an hour beside the cycles: what has expired goes, what is closed is tidied.

Then come the chores: what else is to be done step by step, such as compression. And a look at who
stores too much.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from fleetsyncd.database.retention import Retention
from fleetsyncd.errors import DatabaseError
from fleetsyncd.sync.rounds import Rounds
from fleetsyncd.sync.tidier import Tidier

log = logging.getLogger("sync")

EVERY_SEC = 3600.0
PAUSE_SEC = 0.05
"""Between two steps, so that cycles come first."""
Chore = Callable[[], Iterator[None]]
"""Does something step by step; it may be stopped after each step."""


class Housekeeping:
    """Runs `look`, retention, the `chores` and the tidier; `spawn` starts them beside the loop."""

    def __init__(
        self,
        retention: Retention,
        now: Callable[[], datetime],
        spawn: Callable[[Callable[[], None]], object],
        on_database_error: Callable[[DatabaseError], None],
        look: Callable[[], None],
        tidier: Tidier,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._retention = retention
        self._tidier = tidier
        self._look = look
        self._chores = chores
        self._now = now
        self._rounds = Rounds(
            self._do_steps,
            EVERY_SEC,
            spawn,
            on_database_error,
            name="the hourly housekeeping",
            log=log,
        )
        self.accepting = True
        """Whether steps are started and continued."""

    def run_if_due(self, monotonic: float) -> None:
        """Start a round, at first and every hour, if the last one is over."""
        if not self.accepting:
            return
        if self._rounds.is_due(monotonic):
            self._rounds.start(monotonic)
        self._tidier.run_if_due(monotonic)

    def stop(self) -> None:
        """Start nothing more, and ask what runs to end."""
        self.accepting = False
        self._tidier.stop()

    def wait(self, seconds: float) -> None:
        """Wait for the end of what takes longer than a moment, but not for longer than this."""
        self._tidier.wait(seconds)

    def _steps(self) -> Iterator[None]:
        yield from self._retention.steps(self._now)
        for chore in self._chores:
            yield from chore()

    def _do_steps(self) -> None:
        self._look()
        self._tidier.look()
        for _step in self._steps():
            if not self.accepting:
                return
            time.sleep(PAUSE_SEC)
