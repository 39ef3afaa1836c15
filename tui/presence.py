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
import termios
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
GRACE_SEC = 0.6
"""How long the dashboard may take to end by itself; one that waits for its output never does."""
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
QUESTION = "\x1b[6n"
RESTORATION = (
    b"\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
    b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
"""Undoes what Textual asks of a terminal at its start."""
CLOSED = "the terminal was closed"
SIGNALLED = "a signal"
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
    """Watches terminal and signals from a thread of its own: whatever hangs, it goes on.

    The event loop may compute, a query may wait for its answer, and output that nobody reads blocks
    who writes it. `ask` and `leave` are called in this thread; `leave` gets a message for the
    terminal, if there is any use in one. GRACE_SEC later at the latest, the process ends.
    """

    def __init__(
        self,
        ask: Callable[[], None],
        leave: Callable[[str | None], None],
        attributes: list[Any] | None,
    ) -> None:
        self.presence = Presence()
        self._ask = ask
        self._leave = leave
        self._attributes = attributes
        self._signals, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def start(self) -> None:
        """Watch from now on; call it in the main thread."""
        for number in SIGNALS:
            # The interpreter writes the number into the pipe, also while the main thread computes.
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        threading.Thread(target=self._run, name="fleetsync-tui presence", daemon=True).start()

    def _run(self) -> None:
        reason: str | None = None
        while reason is None:
            if self.presence.must_ask():
                self._ask()
            reason = self._wait() or self._absence()
        self._leave(None if reason in (CLOSED, SIGNALLED) else f"fleetsync-tui: {reason}")
        time.sleep(GRACE_SEC)
        if reason != CLOSED:
            _restore(self._attributes)
        os._exit(0)

    def _wait(self) -> str | None:
        """Wait for a tick; return why to leave as soon as there is a reason."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        for file in (sys.__stdin__, sys.__stderr__):
            poll.register(-1 if file is None else file.fileno(), 0)
        while seen := poll.poll(1000 * TICK_SEC):
            if any(bits & HUNG_UP for _, bits in seen):
                return CLOSED
            if set(os.read(self._signals, 4096)) & set(SIGNALS):
                return SIGNALLED
        return None

    def _absence(self) -> str | None:
        writable = _events(sys.__stderr__, select.POLLOUT) & select.POLLOUT
        return self.presence.absence(hung_up=is_hung_up(), writable=bool(writable))


def watch_terminal(
    app: App[None], write: Callable[[str], None], attributes: list[Any] | None
) -> Presence:
    """End the app by a signal, or when nobody is at the terminal any more, and restore it.

    `write` writes to the terminal, whose `attributes` were these before. The app tells what is
    returned of all input.
    """
    loop = asyncio.get_running_loop()

    def later(work: Callable[..., object], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the event loop is closed: the app has ended
            loop.call_soon_threadsafe(work, *arguments)

    watch = _Watch(
        ask=partial(later, write, QUESTION),
        leave=lambda message: later(partial(app.exit, message=message)),
        attributes=attributes,
    )
    watch.start()
    return watch.presence


def is_hung_up() -> bool:
    """Tell whether the terminal was closed from its other end."""
    return bool((_events(sys.__stdin__, 0) | _events(sys.__stderr__, 0)) & HUNG_UP)


def _restore(attributes: list[Any] | None) -> None:
    """Restore the terminal without waiting for it."""
    if sys.__stdin__ is None:
        return
    number = sys.__stdin__.fileno()
    with suppress(OSError, termios.error):
        if attributes is not None:
            termios.tcsetattr(number, termios.TCSANOW, attributes)
        # Opened anew: what shares the old descriptor, such as the shell, is to wait as before.
        fresh = os.open(os.ttyname(number), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.write(fresh, RESTORATION)


def _events(file: TextIO | None, wanted: int) -> int:
    """Return what can be told of a file at once, as bits of poll()."""
    poll = select.poll()
    poll.register(-1 if file is None else file.fileno(), wanted)
    return next((seen for _, seen in poll.poll(0)), 0)
