"""Blocking work in threads, so that the screen stays responsive and quitting never waits."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TypeVar

from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget
from textual.worker import Worker

from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseLost
from fleetsyncd.text import sanitise
from tui.typing_order import KeysInOrder, Opening

T = TypeVar("T")
Work = Callable[[], Coroutine[None, None, None]]
QUERY_SEC = 10.0
"""A query that takes longer is given up."""


class PartRead(Message):
    """A widget has read its data, or failed to; then `error` is the reason."""

    def __init__(self, part: MessagePump, error: str | None) -> None:
        super().__init__()
        self.part = part
        self.error = error


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a new thread; return its result, or raise its error.

    The thread is a daemon thread: Python does not wait for it at exit, so a query that hangs does
    not delay quitting. Python does wait for the threads of executors, which Textual's thread
    workers use.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
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
    return await future


async def query(read: Callable[[], T]) -> T:
    """Run `read` in a new thread and return its result; raise DatabaseLost after QUERY_SEC.

    The statement timeout alone is not enough, because a server that hangs does not enforce it. The
    thread keeps its connection until the server answers; the pool's size limits such threads.
    """
    try:
        return await asyncio.wait_for(in_thread(read), QUERY_SEC)
    except TimeoutError:
        raise DatabaseLost(f"no answer within {QUERY_SEC:g} s") from None


def internal_error(error: Exception) -> str:
    """Return the message for an unexpected error."""
    return sanitise(f"{INTERNAL_ERROR}: {error!r}", 300)


def read_part(part: Widget, load: Work, group: str) -> None:
    """Run a widget's `load` in the background, then post PartRead.

    A `load` of the same group that is still running is cancelled.
    """
    begun = part.app.first_load(part) if isinstance(part.app, KeysInOrder) else None
    work: Work = partial(_read_part, part, load, begun)
    _: Worker[None] = part.run_worker(work, group=group, exclusive=True, exit_on_error=False)


async def _read_part(part: Widget, load: Work, begun: Opening | None) -> None:
    message = None
    try:
        await load()
    except DatabaseError as error:
        message = str(error)
    except Exception as error:
        part.log.error(error)  # noqa: TRY400  Textual's own log, which has no exception()
        message = internal_error(error)
    finally:
        if begun is not None:
            begun.release()
    part.post_message(PartRead(part, message))
