"""Blocking work off the screen's thread, never waited for when the program is left."""

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

from fleetsyncd.errors import DatabaseError, DatabaseLost
from fleetsyncd.text import sanitise

T = TypeVar("T")
Work = Callable[[], Coroutine[None, None, None]]
QUERY_SEC = 10.0


class PartRead(Message):
    """A part of a screen was read anew; or not, then `fault` says why."""

    def __init__(self, part: MessagePump, error: str | None) -> None:
        super().__init__()
        self.part = part
        self.fault = error


async def in_thread(work: Callable[[], T]) -> T:
    """Return `work()`, run in a thread of its own.

    The thread is a daemon, so that quitting does not wait for a query that hangs: an executor's
    threads, Textual's own thread workers among them, are joined at the end of a program.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # a result, since there is no fault

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        with suppress(RuntimeError):  # the program has been left meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="fleetsync-tui query", daemon=True).start()
    return await future


async def query(read: Callable[[], T]) -> T:
    """Return what a reading in a thread of its own returns; raise DatabaseLost after ANSWER_SEC.

    A server that is frozen enforces no timeout of its own. The thread that still waits for it
    holds a slot of the pool, which bounds their number.
    """
    try:
        return await asyncio.wait_for(in_thread(read), QUERY_SEC)
    except TimeoutError:
        raise DatabaseLost(f"no answer within {QUERY_SEC:g} s") from None


def internal_error(error: Exception) -> str:
    """Return how an error is told that nobody expected."""
    return sanitise(f"a fault of the dashboard's own: {error!r}", 300)


def read_part(part: Widget, reading: Work, group: str) -> None:
    """Read a part of a screen in the background, then post PartRead; an older reading ends."""
    work: Work = partial(_read_part, part, reading)
    _: Worker[None] = part.run_worker(work, group=group, exclusive=True, exit_on_error=False)


async def _read_part(part: Widget, reading: Work) -> None:
    told = None
    try:
        await reading()
    except DatabaseError as error:
        told = str(error)
    except Exception as error:
        part.log.error(error)  # noqa: TRY400  Textual's own log, which has no exception()
        told = internal_error(error)
    part.post_message(PartRead(part, told))
