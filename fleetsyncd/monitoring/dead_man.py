"""A dead man's switch: a URL is asked after each cycle; who no longer hears of it tells somebody.

Services that watch cron jobs take that (healthchecks.io, the push monitor of Uptime Kuma). The URL
is a secret: whoever knows it can keep the switch quiet.
"""

import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import requests

from fleetsyncd.monitoring import events
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import Deadline

log = logging.getLogger("sync.heartbeat")

EVERY_SEC = 60.0
"""At most once in so long."""
TIMEOUT_SEC = 10.0
AT_END_SEC = 3.0
"""For so long a daemon that ends waits for the answer: `fleetsyncd once` has no other moment."""
TOLD_SEC = 3600.0
"""That it fails is told again after so long."""


class _NotSent(Exception):
    """Why the URL could not be asked, without the URL."""


class DeadManSwitch:
    """Asks `url` after cycles whose results are stored; `spawn` runs that beside the main loop.

    How many vehicles answered does not matter: the daemon is alive that could tell.
    """

    def __init__(
        self,
        url: str,
        spawn: Callable[[Callable[[], None]], object],
        deadline: Deadline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or "?"
        self._spawn = spawn
        self._deadline = deadline
        self._clock = clock
        self._due = float("-inf")
        self._idle = threading.Event()
        self._idle.set()
        self._told_at: float | None = None
        """When it was told that it fails; None while it does not."""

    def listen(self, event: events.Event) -> None:
        """Ask the URL, if a cycle has ended well and the last time was long enough ago.

        When the daemon ends, what runs is waited for.
        """
        if isinstance(event, events.DaemonStopping):
            self._idle.wait(AT_END_SEC)
        if not isinstance(event, events.CycleEnded) or (event.unstored and not event.ok):
            return
        now = self._clock()
        if now >= self._due and self._idle.is_set():
            self._due = now + EVERY_SEC
            self._idle.clear()
            self._spawn(self._run)

    def _run(self) -> None:
        try:
            self._ask()
        except _NotSent as error:
            self._tell(str(error))
        except Exception as error:
            # Its text may contain the URL.
            self._tell(type(error).__name__)
        else:
            if self._told_at is not None:
                log.info("HEARTBEAT_URL: %s answers again", self._host)
            self._told_at = None
        finally:
            self._idle.set()

    def _ask(self) -> None:
        late = f"no answer within {TIMEOUT_SEC:g} s"
        with self._deadline(TIMEOUT_SEC, lambda: _NotSent(late)):
            # Not elsewhere: who answers there may be anybody. The body is not read.
            answer = requests.get(
                self._url, timeout=TIMEOUT_SEC, allow_redirects=False, stream=True
            )
            answer.close()
        if not answer.ok or answer.is_redirect:
            elsewhere = ", which is not followed" if answer.is_redirect else ""
            raise _NotSent(f"it answered {answer.status_code}{elsewhere}")

    def _tell(self, reason: str) -> None:
        """Tell that it fails, once an hour."""
        if self._told_at is not None and self._clock() < self._told_at + TOLD_SEC:
            return
        self._told_at = self._clock()
        text = "HEARTBEAT_URL: %s could not be told that this daemon is alive: %s"
        log.warning(text, sanitise(self._host), reason)
