"""The processes of a measurement: simulated fleets, pullers that work on command, daemons."""

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench.machine import cpu_seconds

PATIENCE_SEC = 300.0
GOODBYE_SEC = 30.0
DONE = re.compile(r"^done ([\d.]+)")
SUMMARY = re.compile(r"Cycle (?:done in|over after) ([\d.]+)s")


class BenchFailed(Exception):
    """A process that was to be measured did not do its part."""


class SimulatedFleet:
    """A running simulator; `vehicles` have name, host, port and key."""

    def __init__(self, process: "subprocess.Popen[str]", vehicles: list[dict[str, Any]]) -> None:
        self.process = process
        self.vehicles = vehicles

    def fall_silent(self) -> None:
        """Let the share of the fleet that is to fall silent do so."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def served(self, at: int) -> int:
        """Return how many measurements a vehicle has sent."""
        return int(self._ask(at, "/served"))

    def carried(self, at: int) -> tuple[int, float]:
        """Return how many bytes of complete answers a link has carried, in how many seconds."""
        size, seconds = json.loads(self._ask(at, "/carried"))
        return size, seconds

    def _ask(self, at: int, path: str) -> bytes:
        vehicle = self.vehicles[at]
        connection = HTTPConnection(vehicle["host"], vehicle["port"], timeout=PATIENCE_SEC)
        connection.request("GET", path)
        body = connection.getresponse().read()
        connection.close()
        return body

    @property
    def cpu(self) -> float:
        """Return the CPU seconds used so far."""
        return cpu_seconds(self.process.pid)


@contextmanager
def simulated(count: int, silent_share: float = 0.0) -> Iterator[SimulatedFleet]:
    """Run a healthy simulated fleet in a process of its own."""
    with _vehicles(["tests.bench.simulator", str(count), str(silent_share)]) as fleet:
        yield fleet


@contextmanager
def behind_links(links: list[tuple[float, float, float]]) -> Iterator[SimulatedFleet]:
    """Run vehicles behind links, each with kbit/s, seconds of latency and share of losses."""
    with _vehicles(["tests.bench.slow_links", json.dumps(links)]) as fleet:
        yield fleet


@contextmanager
def _vehicles(command: list[str]) -> Iterator[SimulatedFleet]:
    with _started(command, dict(os.environ)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchFailed("the simulated vehicles did not start")
        yield SimulatedFleet(process, json.loads(line))


class Puller:
    """A process that pulls a fleet, and says on its standard output when it has done so.

    Its output is read all the time by a thread: a log pipe that fills up would stop it.
    """

    def __init__(self, process: "subprocess.Popen[str]", done: re.Pattern[str]) -> None:
        self.process = process
        self._done = done
        self._said: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if self._done.search(line) or line.startswith("ready"):
                self._said.put(line)
        self._said.put(None)

    def cycle(self) -> float:
        """Wait for the end of a cycle; return its seconds."""
        match = self._done.search(self._next())
        if match is None:
            raise BenchFailed("a puller spoke out of turn")
        return float(match[1])

    def ready(self) -> None:
        """Wait until it takes commands."""
        self._next()

    def command(self, word: str = "") -> float:
        """Have the fleet pulled once; return the seconds that took."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.cycle()

    def _next(self) -> str:
        try:
            line = self._said.get(timeout=PATIENCE_SEC)
        except queue.Empty:
            raise BenchFailed(f"nothing was heard for {PATIENCE_SEC:g} s") from None
        if line is None:
            raise BenchFailed(f"a puller ended early, with {self.process.wait()}")
        return line

    @property
    def cpu(self) -> float:
        """Return the CPU seconds used so far."""
        return cpu_seconds(self.process.pid)


@contextmanager
def commanded(module: list[str], environment: dict[str, str]) -> Iterator[Puller]:
    """Run a puller that pulls once for every command."""
    with _started(module, environment) as process:
        puller = Puller(process, DONE)
        puller.ready()
        yield puller


@contextmanager
def daemon(environment: dict[str, str], stalls: Path) -> Iterator[Puller]:
    """Run the daemon as it always runs, watched for stalls, which go to a file."""
    command = ["tests.bench.daemon", "run"]
    with _started(command, {**environment, "BENCH_STALLS": str(stalls)}) as process:
        yield Puller(process, SUMMARY)


@contextmanager
def _started(command: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a module of ours; closing its standard input, then SIGTERM, asks it to end."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        if command[-1] == "run":
            process.terminate()
        try:
            process.wait(GOODBYE_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
