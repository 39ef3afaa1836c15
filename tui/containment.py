"""Faults stay where they happen: an error in one page or widget does not end the dashboard.

Textual 8.2 ends the program at the first error of any handler, timer, worker, callback or widget,
with a trace that shows the values of variables. Here an error is written to a file and told in one
line; a page that cannot be drawn is left; only what nothing can be drawn without ends the program.

This module replaces private parts of Textual, so Textual's version is pinned; tests plant an error
in each kind of place.
"""

import asyncio
import traceback
from collections.abc import Iterable
from types import CodeType
from typing import Any
from weakref import WeakSet

from rich.console import RenderableType
from rich.segment import Segment
from textual import events, messages
from textual._callback import invoke
from textual._context import NoActiveAppError, active_message_pump
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.dom import DOMNode
from textual.geometry import Region
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import WorkerFailed

from fleetsyncd.errors import INTERNAL_ERROR
from tui.fault_log import Fault, FaultLog

UNDRAWABLE = "✖ cannot be drawn"
_dispatch = MessagePump._dispatch_message
_render_lines = Widget.render_lines
_LAST = (
    events.Callback,
    events.ScreenSuspend,
    events.Unmount,
    messages.CloseMessages,
    messages.InvokeLater,
    messages.Prune,
)
"""What a page that was left is still told: its end, and calls that others may wait for."""
_DRAWING: frozenset[CodeType] = frozenset(
    function.__code__
    for function in (
        Screen._refresh_layout, Screen._compositor_refresh, App._display, Widget._compose,
    )
)  # fmt: skip
"""An error that passed through one of these left its page undrawn."""


class ContainedApp(App[None]):
    """An app that outlives the errors of its pages and widgets."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = FaultLog(self.secrets, self.monotonic)
        self.left_pages: WeakSet[Screen[Any]] = WeakSet()
        """Pages that were left; what was sent to them before may reach them later."""
        self.last_words = ""
        """What to tell after the end, if a fault was the reason."""
        _install()

    def monotonic(self) -> float:
        """Return the seconds of the clock that decides when a fault is told again."""
        return asyncio.get_running_loop().time()

    def secrets(self) -> Iterable[str]:
        """Return the texts that no message and no file may hold; subclasses override it."""
        return ()

    def lowest_page(self) -> Screen[Any] | None:
        """Return the page without which nothing can be shown; None before there is one."""
        return None

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a notification for some seconds; subclasses override it."""
        self.notify(text, severity="error" if error else "information", markup=False)

    def pop_screen(self) -> AwaitComplete:
        """Leave the topmost page or dialog; nothing but its end happens to it from now on."""
        self.left_pages.add(self.screen)
        return super().pop_screen()

    def is_gone(self, node: MessagePump | None) -> bool:
        """Tell whether a widget's page was left, or it was taken from its page."""
        page = _page_of(node)
        return page in self.left_pages or (page is None and isinstance(node, Widget))

    def contain_tasks(self) -> None:
        """Contain the errors of tasks that nobody waits for, from now on."""

        def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if isinstance(error, Exception):
                self.contain(error)

        asyncio.get_running_loop().set_exception_handler(handle)

    def contain(self, error: BaseException, undrawn: Screen[Any] | None = None) -> None:
        """Write an error down and tell it; leave the page `undrawn`, which it left so."""
        if self._exit:
            return  # its pages are being taken down, in any order
        if isinstance(error, WorkerFailed):
            error = error.error
        fault = self.faults.note(error)
        if not self._running:
            self._end(fault)
        elif undrawn is not None:
            self._leave(undrawn, fault)
        elif fault is not None:
            self._tell(fault)

    def end_by(self, error: BaseException) -> None:
        """End with one line about an error, and the exit code 1."""
        self._end(self.faults.note(error))

    def _tell(self, fault: Fault, consequence: str = "") -> None:
        self.say(f"{INTERNAL_ERROR}: {fault.text}{consequence}{_where(fault)}", error=True)

    def _leave(self, page: Screen[Any], fault: Fault | None) -> None:
        """Close a page and what is above it; end if there is nothing below."""
        stack = self.screen_stack
        lowest = self.lowest_page()
        if page not in stack:
            return
        if lowest is None or lowest not in stack or stack.index(page) <= stack.index(lowest):
            self._end(fault)
            return
        for screen in reversed(stack[stack.index(page) :]):
            screen.dismiss(None)
        if fault is not None:
            self._tell(fault, "; the page was left")

    def _end(self, fault: Fault | None) -> None:
        if self.last_words:
            return
        told = "" if fault is None else f": {fault.text}{_where(fault)}"
        self.last_words = f"{INTERNAL_ERROR}{told}"
        self._return_code = 1
        self._exit = True
        self._close_messages_no_wait()

    def _handle_exception(self, error: Exception) -> None:
        """Contain an error that Textual would end at, unless it is of a page that was left."""
        if self.is_gone(active_message_pump.get(None)):
            return
        self.contain(error, _undrawn_page(error))

    def panic(self, *renderables: RenderableType) -> None:
        """End with one line: keys can be read no longer."""
        del renderables
        self._end(Fault("the keys cannot be read", None))


def _where(fault: Fault) -> str:
    return "" if fault.path is None else f"; its trace is in {fault.path}"


def _undrawn_page(error: Exception) -> Screen[Any] | None:
    """Return the page that an error kept from being drawn, by the functions that it passed."""
    for frame, _line in traceback.walk_tb(error.__traceback__):
        if frame.f_code in _DRAWING:
            return _page_of(frame.f_locals.get("screen") or frame.f_locals.get("self"))
    return None


def _page_of(node: object) -> Screen[Any] | None:
    while isinstance(node, DOMNode):
        if isinstance(node, Screen):
            return node
        node = node.parent
    return None


def _app_of(node: MessagePump) -> ContainedApp | None:
    try:
        app = node.app
    except NoActiveAppError:
        return None
    return app if isinstance(app, ContainedApp) else None


async def _dispatch_message(self: MessagePump, message: Message) -> None:
    """Handle a message, unless its page was left; an error does not end whom it was sent to."""
    app = _app_of(self)
    if app is None:
        await _dispatch(self, message)
        return
    if not isinstance(message, _LAST) and _page_of(self) in app.left_pages:
        return
    try:
        await _dispatch(self, message)
    except Exception as error:
        if app.is_gone(self):
            return  # its page was left while it worked, and it found its widgets gone
        unbuilt = isinstance(message, (events.Compose, events.Mount))
        if unbuilt and self is app:
            app.end_by(error)
        else:
            app.contain(error, _page_of(self) if unbuilt else _undrawn_page(error))


async def _flush_next_callbacks(self: MessagePump) -> None:
    """Call what waits to be called; one that fails does not keep the others from it."""
    callbacks = self._next_callbacks.copy()
    self._next_callbacks.clear()
    for callback in callbacks:
        try:
            with self.prevent(*callback._prevent):
                await invoke(callback.callback)
        except Exception as error:
            self.app._handle_exception(error)


def _render_lines_or_mark(self: Widget, crop: Region) -> list[Strip]:
    """Return a widget's lines; in the place of one that cannot be drawn, a text that says so."""
    app = _app_of(self)
    if app is None:
        return _render_lines(self, crop)
    try:
        return _render_lines(self, crop)
    except Exception as error:
        app.contain(error)
        blank = [Strip.blank(crop.width)] * crop.height
        mark = Strip.blank(0) if crop.y else _mark(crop)
        return [mark, *blank[1:]] if not crop.y and crop.height else blank


def _mark(crop: Region) -> Strip:
    whole = Strip([Segment(UNDRAWABLE)]).adjust_cell_length(crop.right)
    return whole.crop(crop.x, crop.right)


def _install() -> None:
    """Replace the parts of Textual; other apps of the process are as before."""
    MessagePump._dispatch_message = _dispatch_message  # type: ignore[method-assign]  # no public way
    MessagePump._flush_next_callbacks = _flush_next_callbacks  # type: ignore[method-assign]  # no public way
    Widget.render_lines = _render_lines_or_mark  # type: ignore[method-assign]  # no public way
