"""Hands keys on one at a time, each after all that the one before it has opened or focused.

Textual gives a key to the widget that has the focus when the key is read, and the widget acts on it
later. Keys that are read together, as they are over a slow line, would all go to the widget that
had the focus before the first of them: a name that is typed behind `/` would be taken for actions.
"""

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import ContextVar

from textual.app import App, ScreenStackError
from textual.errors import NoWidget
from textual.events import Event, Key, MouseDown, MouseUp, Paste
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget

QUIET_ROUNDS = 3
"""So often in a row nothing may be under way: handlers that wait for something hide for a round."""
SETTLE_SEC = 5.0
"""After so long the next key is handed on, whatever is still under way."""
LOADING_SEC = 1.0
"""So long keys wait for the rows of what has just opened, or was asked for."""
POLL_SEC = 0.01
MOVES = frozenset({
    "move", "page", "jump", "cursor_up", "cursor_down", "page_up", "page_down", "scroll_top",
    "scroll_bottom",
})  # fmt: skip
"""Actions of a table that move its cursor, and neither the focus nor the page."""
MOST_WAITING = 1000
"""More keys are not kept for later: somebody leans on one, or pastes what is not meant as keys."""
OPENING_SEC = 15.0
"""So long keys wait for a dialog; if what is read before it takes longer, it does not open."""


class Opening:
    """While it lasts, keys wait for what an operation is going to open."""

    def __init__(self, waiting: "KeysInOrder", limit_sec: float) -> None:
        self._keys = waiting
        self._expected = False
        self._released = False
        self._ends = asyncio.get_running_loop().time() + limit_sec

    @property
    def lasts(self) -> bool:
        """Whether keys have to wait; for a dialog until it opens, or is given up."""
        return not self._released and (self._expected or self.left_sec > 0)

    @property
    def left_sec(self) -> float:
        """How long what is read for it may take."""
        return max(0.0, self._ends - asyncio.get_running_loop().time())

    def expect_dialog(self) -> None:
        """Keep the keys for a dialog that opens after some reading, and for nothing else."""
        self._expected = True

    def release(self) -> None:
        """Hand the keys on: the dialog stands, or none is going to open."""
        self._released = True

    def close(self) -> None:
        """End it; drop the keys for a dialog that did not open: nothing else may take them."""
        if self._expected and not self._released:
            self._keys.drop()
        self.release()


opening: ContextVar[Opening | None] = ContextVar("opening", default=None)
"""What the operation that is running is going to open."""


class KeysInOrder(App[None]):
    """An app whose keys, pastes and mouse buttons are handed on in order."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Event] = deque()
        self._openings: list[Opening] = []
        self._path: list[MessagePump] = []
        """The widget that took the last key, and what is above it, while it is acted on."""
        self._settling: asyncio.Task[None] | None = None
        self._moved = False
        """Whether moves of a cursor were handed on without a wait: the next other key waits."""

    @property
    def keys_are_waiting(self) -> bool:
        """Whether the last key is still being acted on, or others wait behind it."""
        return self._settling is not None or bool(self._waiting)

    async def on_event(self, event: Event) -> None:
        """Let what is typed wait for its turn, and handle every other event at once."""
        if not isinstance(event, (Key, Paste, MouseDown, MouseUp)) or event.is_forwarded:
            await super().on_event(event)
        else:
            self._waiting.append(event)
            if len(self._waiting) > MOST_WAITING:
                self._forget_all()
            await self._hand_on()

    def _forget_all(self) -> None:
        """Forget all keys that wait, and say so: some alone would mean something else."""
        count = len(self._waiting)
        self.drop()
        self.notify(
            f"{count} keys came faster than they can be acted on: forgotten",
            severity="error",
            markup=False,
        )

    def open_soon(self, limit_sec: float = OPENING_SEC) -> Opening:
        """Let keys wait for what is going to open, until it is released or closed."""
        begun = Opening(self, limit_sec)
        self._openings.append(begun)
        # What has opened may have to be laid out and filled: the first key waits for that too.
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle())
        return begun

    def drop(self) -> None:
        """Forget the keys that wait."""
        self._waiting.clear()

    @property
    def _waiting_for_opening(self) -> bool:
        self._openings = [each for each in self._openings if each.lasts]
        return bool(self._openings)

    def _quits(self, event: Event) -> bool:
        """Whether a key ends the dashboard at once, for which nothing has to open before."""
        active = self.screen.active_bindings.get(event.key) if isinstance(event, Key) else None
        return active is not None and active.binding.action in ("quit", "app.quit")

    def _is_for_what_is_gone(self, event: Event) -> bool:
        """Tell whether a mouse button went down on a widget that is gone, but still painted.

        Textual 8.2 would look for the container of the text that is selected from there.
        """
        if not isinstance(event, MouseDown):
            return False
        try:
            widget, _region = self.screen.get_widget_at(event.x, event.y)
        except NoWidget:
            return False
        return not widget.is_attached

    async def _hand_on(self) -> None:
        """Hand the oldest key on, unless the one before it is still being acted on."""
        if self._settling is not None or not self._waiting:
            return
        is_move = self._is_move(self._waiting[0])
        try:
            if self._waiting_for_opening or (self._moved and not is_move):
                self._moved = False
            else:
                self._moved = is_move
                await self._hand_on_one()
        finally:  # the keys behind one that fails have their turns
            if self._moved:
                # A key that is held moves on: the table handles the moves in their order.
                self.call_later(self._hand_on)
            else:
                self._settling = asyncio.create_task(self._settle())

    async def _hand_on_one(self) -> None:
        target = self.focused or self.screen
        self._path = [target, *target.ancestors]
        event = self._waiting.popleft()
        if not self._is_for_what_is_gone(event):
            await super().on_event(event)

    def _is_move(self, event: Event) -> bool:
        """Whether a key only moves the cursor of the table that has the focus."""
        active = self.screen.active_bindings.get(event.key) if isinstance(event, Key) else None
        if active is None or active.node is not self.focused:
            return False
        return active.binding.action.partition("(")[0] in MOVES

    async def _settle(self) -> None:
        """Wait until nothing is opening and nothing is under way; have the next key handed on."""
        while self._waiting_for_opening:
            if any(map(self._quits, self._waiting)):
                self.exit()
            await asyncio.sleep(POLL_SEC)
        with suppress(ScreenStackError):  # the app ends
            await self._wait_until_quiet()
        self._path = []  # it would keep a page that this key has left
        self._settling = None
        self.call_later(self._hand_on)

    async def _wait_until_quiet(self) -> None:
        clock = asyncio.get_running_loop().time
        ends, quiet = clock() + SETTLE_SEC, 0
        while quiet < QUIET_ROUNDS and clock() < ends:
            before = self._standing()
            await self._pass_through()
            quiet = quiet + 1 if self._is_quiet() and self._standing() == before else 0

    def _standing(self) -> tuple[Screen[object], Widget | None]:
        return self.screen, self.focused

    async def _pass_through(self) -> None:
        """Wait until those that can move the focus have handled what was sent to them so far."""
        loop = asyncio.get_running_loop()
        passed = []
        focused = [] if self.focused is None else [self.focused, *self.focused.ancestors]
        for pump in {self, *self.screen_stack, *self._path, *focused}:
            handled = loop.create_future()
            if pump.is_running and pump.call_later(_settle_future, handled):
                passed.append(handled)
        if passed:
            await asyncio.wait(passed, timeout=SETTLE_SEC)

    def _is_quiet(self) -> bool:
        """Whether no message waits, and everything on the screen is there."""
        widgets = list(self.screen.walk_children(Widget, with_self=True))
        return (
            all(widget.is_mounted for widget in widgets)
            and not any(pump.message_queue_size for pump in (self, *widgets))
            # What is to run after the next repaint, such as the first read of an opened pane.
            and not self.screen._callbacks
        )


def _settle_future(handled: "asyncio.Future[None]") -> None:
    if not handled.done():
        handled.set_result(None)
