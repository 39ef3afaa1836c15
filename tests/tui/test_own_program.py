"""Commands of `fleetsyncd` that the dashboard runs as processes of their own."""

import asyncio
import gc
import os
from contextlib import suppress
from pathlib import Path

import pytest

from tui import own_program


def children() -> set[str]:
    """Return the processes that this thread has started, those that nobody waited for included."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize("cancellations", [1, 3])
def test_a_command_whose_caller_has_gone_is_ended_and_nothing_of_it_is_left(
    cancellations: int,
) -> None:
    before = children()

    async def session() -> None:
        asking = asyncio.create_task(own_program.run("--help"))
        for _ in range(50):  # until it waits for the command, whose start takes far longer
            await asyncio.sleep(0)
        assert not children() <= before
        # The page ends its own work, then the dashboard's end cancels all that is left.
        for _ in range(cancellations):
            asking.cancel()
            for _ in range(5):  # until it is told, and begins to end the command
                await asyncio.sleep(0)
        with suppress(asyncio.CancelledError):
            await asking
        assert asking.cancelled()
        assert children() <= before

    asyncio.run(session())
    gc.collect()  # what was left open would warn
