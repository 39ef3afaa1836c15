"""Blocking work in threads, so that the screen stays responsive and quitting never waits."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

from textual.dom import DOMNode
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker

from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseLost
from fleetsyncd.text import sanitise
from tui.typing_order import LOADING_SEC, KeysInOrder, Opening

T = TypeVar("T")
Work = Callable[[], Coroutine[None, None, None]]
QUERY_SEC = 10.0
"""A query that takes longer is given up."""


class PartRead(Message):
    """A widget has read some of its data, or failed to; then `error` is the reason."""

    def __init__(self, part: MessagePump, group: str, error: str | None) -> None:
        super().__init__()
        self.part = part
        self.group = group
        """Which of its data."""
        self.error = error


async def in_thread(work: Callable[[], T], limit_sec: float | None = None) -> T:
    """Run `work` in a new thread; return its result, or raise its error; TimeoutError at the limit.

    The thread is a daemon thread: Python does not wait for it at exit, so a query that hangs does
    not delay quitting. Python does wait for the threads of executors, which Textual's thread
    workers use.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # set if there is no error

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        with suppress(RuntimeError):  # the event loop is closed already
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="fleetsync-tui query", daemon=True).start()
    if limit_sec is None:
        return await future
    # Not by wait_for(): the loop keeps a cancelled timer until its time, with the context in which
    # it was started, and so the page that was left in the meantime.
    timer = loop.call_later(limit_sec, settle, None, TimeoutError(), context=Context())
    try:
        return await future
    finally:
        timer.cancel()


async def query(read: Callable[[], T]) -> T:
    """Run `read` in a new thread and return its result; raise DatabaseLost after QUERY_SEC.

    The statement timeout alone is not enough, because a server that hangs does not enforce it. The
    thread keeps its connection until the server answers; the pool's size limits such threads.
    """
    try:
        return await in_thread(read, QUERY_SEC)
    except TimeoutError:
        raise DatabaseLost(f"no answer within {QUERY_SEC:g} s") from None


def internal_error(error: Exception) -> str:
    """Return the message for an unexpected error."""
    return sanitise(f"{INTERNAL_ERROR}: {error!r}", 300)


def is_live(widget: Widget) -> bool:
    """Tell whether a widget is on a page that is open, covered or not, and complete.

    What was to happen later may find its page left, or not yet laid out.
    """
    return widget.is_mounted and widget.is_running and widget.is_attached and not _is_left(widget)


def _is_left(widget: Widget) -> bool:
    """Tell whether a widget is being removed, or its page was left; both live on for a while."""
    page: DOMNode | None = widget
    while page is not None and not isinstance(page, Screen):
        page = page.parent
    return page not in widget.app.screen_stack or widget._pruning


@dataclass(slots=True)
class _Reading:
    """A read that is under way; keys may wait for its end."""

    question: Hashable
    opening: Opening | None = None


_readings: "WeakKeyDictionary[Widget, dict[str, _Reading]]" = WeakKeyDictionary()
_asked: "WeakKeyDictionary[Widget, dict[str, Hashable]]" = WeakKeyDictionary()
"""What was asked for last, by widget and group."""


def read_part(
    part: Widget,
    load: Work,
    group: str,
    question: Callable[[], Hashable] = lambda: None,
    *,
    keys_wait: bool = True,
) -> None:
    """Run the `load` of a widget that is live in the background, then post PartRead.

    `question` returns what it asks for; it is called only if the widget is live. While the same is
    being read, nothing happens: a query that takes longer than the time between two refreshes must
    not be begun again and again. A load for something else is cancelled, and keys wait a moment for
    what the operator has asked for, unless
    they are not to (`keys_wait`).
    """
    if not is_live(part):
        return
    running, asked = _readings.setdefault(part, {}), _asked.setdefault(part, {})
    wanted = question()
    if group in running and running[group].question == wanted:
        return
    is_new = asked.get(group, _asked) != wanted
    asked[group] = wanted
    running[group] = reading = _Reading(wanted)
    # What is typed into a field waits when the operator leaves it.
    if is_new and keys_wait and not isinstance(part.app.focused, Input):
        let_keys_wait(part, group)
    work: Work = partial(_read_part, part, load, group, reading)
    _: Worker[None] = part.run_worker(work, group=group, exclusive=True, exit_on_error=False)


def let_keys_wait(part: Widget, group: str) -> None:
    """Let keys wait a moment for what is being read: they are meant for it."""
    reading = _readings.get(part, {}).get(group)
    if reading is not None and reading.opening is None and isinstance(part.app, KeysInOrder):
        reading.opening = part.app.open_soon(LOADING_SEC)


async def _read_part(part: Widget, load: Work, group: str, reading: _Reading) -> None:
    message = None
    try:
        await load()
    except DatabaseError as error:
        message = str(error)
    except Exception as error:
        if not is_live(part):
            return  # what it wanted to fill is gone
        part.app._handle_exception(error)  # it is told, and its page lives on
        message = internal_error(error)
    finally:
        if _readings.get(part, {}).get(group) is reading:
            del _readings[part][group]
        if reading.opening is not None:
            reading.opening.release()
    part.post_message(PartRead(part, group, message))
