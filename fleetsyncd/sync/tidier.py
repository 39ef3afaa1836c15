"""Once an hour beside the cycles: one closed month is tidied, when nothing else comes first."""

import logging
from collections.abc import Callable
from datetime import datetime

from fleetsyncd.database.tidying import Tidying
from fleetsyncd.errors import DatabaseError, NotTidied, OthersTidy
from fleetsyncd.monitoring import events
from fleetsyncd.sync.rounds import Rounds

log = logging.getLogger("sync.tidy")

EVERY_SEC = 3600.0


class Tidier:
    """Runs the tidying; `spawn` starts it beside the main loop, and `must_wait` puts it off."""

    def __init__(
        self,
        tidying: Tidying,
        now: Callable[[], datetime],
        spawn: Callable[[Callable[[], None]], object],
        emit: events.Listener,
        must_wait: Callable[[], bool],
    ) -> None:
        self._tidying = tidying
        self._now = now
        self._emit = emit
        self._must_wait = must_wait
        self._rounds = Rounds(self._tidy, EVERY_SEC, spawn, name="the tidying", log=log)

    def run_if_due(self, monotonic: float) -> None:
        """Start a round, at first and every hour; one that must wait begins as soon as it can."""
        if self._rounds.is_due(monotonic) and not self._must_wait():
            self._rounds.start(monotonic)

    def look(self) -> None:
        """Drop what an interrupted tidying has left; raise DatabaseUnavailable."""
        self._tidying.clean_up()

    def stop(self) -> None:
        """Ask what runs to end; returns when the server was asked."""
        try:
            self._tidying.stop()
        except DatabaseError as error:
            # The server ends it by itself, once this process is gone.
            log.debug("the tidying could not be stopped: %s", error)

    def wait(self, seconds: float) -> None:
        """Wait for the end of what runs, but not for longer than this."""
        self._rounds.wait(seconds)

    def _tidy(self) -> None:
        try:
            tidied = self._tidying.run(self._now())
            if tidied is not None:
                self._emit(events.MonthTidied(tidied.saved_bytes))
        except OthersTidy as error:
            log.debug("%s", error)
        except NotTidied as error:
            log.warning("%s; it is tried again in a later round", error)
        except DatabaseError as error:
            # Nor is it an outage if there is no connection for this one beside those of the pool.
            log.warning("no month could be tidied: %s", error)
