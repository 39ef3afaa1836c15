"""Blocking work off the screen's thread, never waited for when the program is left."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Return `work()`, run in a thread of its own.

    The thread is a daemon, so that quitting does not wait for a query that hangs: an executor's
    threads, Textual's own thread workers among them, are joined at the end of a program.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, fault: BaseException | None) -> None:
        if future.cancelled():
            return
        if fault is not None:
            future.set_exception(fault)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # a result, since there is no fault

    def run() -> None:
        result, fault = None, None
        try:
            result = work()
        except BaseException as caught:
            fault = caught
        with suppress(RuntimeError):  # the program has been left meanwhile
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=run, name="fleetsync-tui query", daemon=True).start()
    return await future
