"""Runs `fleetsyncd` as a process of its own, for what the dashboard's process cannot do itself.

What speaks to vehicles, and what reads their answers, is the daemon's: it needs gevent, and the
dashboard needs asyncio. The process has the same configuration.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass

from fleetsyncd.text import sanitise


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it printed."""

    code: int | None
    output: bytes
    error_output: bytes

    @property
    def error(self) -> str:
        """What it printed on standard error, harmless to show."""
        return sanitise(self.error_output.decode(errors="replace").strip(), 300)

    @property
    def last_line(self) -> str:
        """The last line that it printed, harmless to show."""
        lines = self.output.decode(errors="replace").split("\n")
        return sanitise(next((line for line in reversed(lines) if line.strip()), ""), 300)


async def run(*arguments: str) -> Ended:
    """Run a command of `fleetsyncd`; it is killed if the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleetsyncd", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        output, error_output = await process.communicate()
    except BaseException:
        await _end(process)
        raise
    return Ended(process.returncode, output, error_output)


async def _end(process: Process) -> None:
    """Kill it, and leave neither a zombie nor its pipes, however often the caller is cancelled."""
    if process.returncode is None:
        process.kill()
    ended = False
    while not ended:
        with suppress(asyncio.CancelledError):
            await process.communicate()
            ended = True
