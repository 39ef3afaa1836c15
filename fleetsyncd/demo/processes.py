"""The demo's processes, each in a session of its own and ended with its block."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from fleetsyncd.demo.readings import CHANNELS
from fleetsyncd.errors import CommandError

TERMINATE_SEC = 5.0


@contextmanager
def simulator(
    vehicles: int,
    *,
    healthy: bool = False,
    channels: int = len(CHANNELS),
    late: Sequence[float] = (),
) -> Iterator[list[dict[str, Any]]]:
    """Run `simulate` in a process of its own; yield its vehicles once they listen."""
    arguments = ["fleetsyncd", "simulate", "--vehicles", str(vehicles), "--json"]
    arguments += ["--channels", str(channels)]
    arguments += ["--healthy"] if healthy else []
    for most_s in late:
        arguments += ["--late", str(most_s)]
    with running(arguments, dict(os.environ), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  asked for above
        line = process.stdout.readline()
        if not line:
            raise CommandError("the simulated vehicles did not start")
        yield json.loads(line)


@contextmanager
def running(
    arguments: list[str],
    environment: dict[str, str],
    stdout: int | IO[str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module in a session of its own, and end it with the block."""
    process = subprocess.Popen(  # noqa: S603  this interpreter, arguments of this module
        [sys.executable, "-m", *arguments],
        env=environment,
        stdout=stdout,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(TERMINATE_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
