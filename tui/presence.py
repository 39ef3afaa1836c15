"""Notices that nobody is at the terminal any more, and ends the dashboard.

A terminal that is closed hangs up. But where a container engine or a dead network lies between, the
pseudo-terminal stays open: then nobody reads what is written there, or nobody answers. Nearly every
terminal answers the question for the cursor's position by itself; one that has never answered is
not expected to.
"""

import asyncio
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

from textual.app import App
from textual.events import CursorPosition, Event

TICK_SEC = 1.0
ASK_SEC = 60.0
"""Without input for so long, the terminal is asked."""
GONE_SEC = 300.0
"""A terminal that has not answered, or that nobody has read from, for so long is given up."""
GRACE_SEC = 5.0
"""How long the dashboard may take to end by itself; one that waits for its output never does."""
QUESTION = "\x1b[6n"
CLOSED = "the terminal was closed"
KEY_COLUMNS = range(1, 16)
"""In the first row: F3 with Shift, Alt, Control or Meta is sent as such a position."""
HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL


@dataclass
class Presence:
    """Tells from what is seen at each tick whether somebody is at the terminal.

    It counts ticks, not time: those of a suspended process do not count.
    """

    answers: bool = False
    """Whether the terminal has ever answered."""
    _asked: bool = False
    """Whether a question waits for its answer."""
    _silent_sec: float = 0.0
    _unasked_sec: float = float("inf")
    _unread_sec: float = 0.0

    def heard(self, *, answer: bool) -> None:
        """Note any input, also over a line that carries output badly; `answer` if it may be one."""
        self._silent_sec = self._unasked_sec = self._unread_sec = 0.0
        if answer and self._asked:
            self.answers, self._asked = True, False

    def absence(self, *, hung_up: bool, writable: bool) -> str | None:
        """Return why nobody is there any more; None if somebody may be. Call once a tick."""
        self._silent_sec += TICK_SEC
        self._unasked_sec += TICK_SEC
        self._unread_sec = 0.0 if writable else self._unread_sec + TICK_SEC
        if hung_up:
            return CLOSED
        if self._unread_sec >= GONE_SEC:
            return f"nothing was read from the terminal for {GONE_SEC:g} s"
        if self.answers and self._silent_sec >= GONE_SEC:
            return f"the terminal has not answered for {GONE_SEC:g} s"
        return None

    def must_ask(self) -> bool:
        """Tell whether the terminal is to be asked now."""
        due = self._unasked_sec >= ASK_SEC
        if due:
            self._unasked_sec, self._asked = 0.0, True
        return due


def may_answer(event: Event) -> bool:
    """Tell whether an event may be the answer to the question, and cannot be a key."""
    if not isinstance(event, CursorPosition):
        return False
    return event.y != 0 or event.x not in KEY_COLUMNS


class _Watch:
    """Watches the terminal from a thread of its own: output that nobody reads blocks the others.

    `ask` and `leave` are called in that thread; `leave` gets a message for the terminal, if there
    is any use in one, and the process ends GRACE_SEC later at the latest.
    """

    def __init__(self, ask: Callable[[], None], leave: Callable[[str | None], None]) -> None:
        self.presence = Presence()
        self.leaving = False
        """Set it to end the dashboard, also from a signal's handler: no lock is needed."""
        self._ask = ask
        self._leave = leave

    def start(self) -> None:
        """Watch from now on."""
        threading.Thread(target=self._run, name="fleetsync-tui presence", daemon=True).start()

    def _run(self) -> None:
        while not self.leaving and (reason := self._absence()) is None:
            if self.presence.must_ask():
                self._ask()
            time.sleep(TICK_SEC)
        self._leave(None if self.leaving or reason == CLOSED else f"fleetsync-tui: {reason}")
        time.sleep(GRACE_SEC)
        os._exit(0)

    def _absence(self) -> str | None:
        output = _events(sys.__stderr__, select.POLLOUT)
        hung_up = (output | _events(sys.__stdin__, 0)) & HUNG_UP
        return self.presence.absence(hung_up=bool(hung_up), writable=bool(output & select.POLLOUT))


def watch_terminal(app: App[None], write: Callable[[str], None]) -> Presence:
    """End the app by a signal, or when nobody is at the terminal any more, and restore it.

    `write` writes to the terminal. The app tells what is returned of all input.
    """
    loop = asyncio.get_running_loop()

    def later(work: Callable[..., object], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the event loop is closed: the app has ended
            loop.call_soon_threadsafe(work, *arguments)

    def on_signal(*_: object) -> None:
        watch.leaving = True
        later(app.exit)

    watch = _Watch(
        ask=partial(later, write, QUESTION),
        leave=lambda message: later(partial(app.exit, message=message)),
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Not by asyncio: its handlers never run while output waits for a reader.
        signal.signal(number, on_signal)
    watch.start()
    return watch.presence


def _events(file: TextIO | None, wanted: int) -> int:
    """Return what can be told of a file at once, as bits of poll()."""
    poll = select.poll()
    poll.register(-1 if file is None else file.fileno(), wanted)
    return next((seen for _, seen in poll.poll(0)), 0)
