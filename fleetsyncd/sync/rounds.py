"""Rounds of work beside the main loop: never two at a time, and an error ends its round alone."""

import logging
import threading
from collections.abc import Callable

from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseUnavailable


class Rounds:
    """Starts the `work` of a round every `every_sec`; `spawn` runs it beside the main loop.

    A lost database is told to `on_database_error`. `name` stands for the work in what is logged.
    """

    def __init__(
        self,
        work: Callable[[], None],
        every_sec: float,
        spawn: Callable[[Callable[[], None]], object],
        on_database_error: Callable[[DatabaseError], None] = lambda _error: None,
        *,
        name: str,
        log: logging.Logger,
    ) -> None:
        self._work = work
        self._every_sec = every_sec
        self._spawn = spawn
        self._on_database_error = on_database_error
        self._name = name
        self._log = log
        self._due = 0.0
        self._idle = threading.Event()
        self._idle.set()

    def is_due(self, monotonic: float) -> bool:
        """Tell whether it is time, at first and after every interval, and the last one is over."""
        return monotonic >= self._due and self._idle.is_set()

    def start(self, monotonic: float) -> None:
        """Start a round."""
        self._due = monotonic + self._every_sec
        self._idle.clear()
        self._spawn(self._run)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the round that runs, but not for longer; tell whether none runs."""
        return self._idle.wait(seconds)

    def _run(self) -> None:
        try:
            self._work()
        except DatabaseUnavailable as error:
            self._on_database_error(error)
        except DatabaseError as error:
            self._log.warning("%s ended, the next round tries again: %s", self._name, error)
        except Exception:
            self._log.exception("%s: %s ended", INTERNAL_ERROR, self._name)
        finally:
            self._idle.set()
