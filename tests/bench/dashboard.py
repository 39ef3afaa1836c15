"""What the dashboard costs over a large fleet: its query, its refresh, its keys, its idling.

`python -m tests.bench.dashboard` starts PostgreSQL, registers 10,000 vehicles that a made-up daemon
pulls every 30 s, and measures the dashboard twice: in this process, where its event loop can be
watched, and as a program of its own in a pseudo-terminal of 80x24, where bytes, keys and CPU are
what an operator's connection and machine see.
"""

import argparse
import asyncio
import fcntl
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views import fleet
from fleetsyncd.settings import DatabaseSettings
from tests.bench.figures import paired
from tests.bench.installation import installed
from tests.bench.machine import cpu_seconds
from tui.app import FleetApp
from tui.context import ScreenContext
from tui.gateway import Gateway, Snapshot
from tui.model.state import FleetState

NAME = "dashboard"
VEHICLES = 10_000
INTERVAL = 30
REPEATS = 15
KEYS = 60
IDLE_SEC = 30.0
SETTLE_SEC = 6.0
PROBE_SEC = 0.001
LONGEST_SEC = 20.0
# A tenth in trouble, one in a hundred catching up, as in a fleet on mobile links.
_FLEET = """
INSERT INTO vehicles
    (name, vpn_ip, api_port, sync_status, last_seen_at, last_sync_at, software_version)
SELECT 'truck-' || lpad(n::text, 5, '0'), '127.0.0.0'::inet + n, 1,
    CASE WHEN n %% 20 = 0 THEN 'timeout' WHEN n %% 25 = 0 THEN 'error' ELSE 'ok' END,
    now() - (n %% 30) * interval '1 s', now() - (n %% 30 + 5) * interval '1 s', '2.4.' || n %% 4
FROM generate_series(1, %s) n
"""
_STATES = """
INSERT INTO fleetsync.vehicle_state (vehicle_id, newest_measurement_at, failures, last_rows,
    last_error, catching_up_from, catching_up_to, catching_up_sec, catching_up_rows,
    status_since, dated_status, tags)
SELECT id, last_sync_at, CASE WHEN sync_status = 'ok' THEN 0 ELSE 3 END, 540,
    CASE WHEN sync_status <> 'ok' THEN '/status: no complete answer within 10 s' END,
    CASE WHEN random() < 0.01 THEN last_sync_at - interval '1 h' END,
    now() + interval '1 h', 60, 3000,
    now() - random() * interval '3 days', sync_status, ARRAY['mine-' || floor(9 * random())]
FROM vehicles
"""
_JOURNAL = """
INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)
SELECT id, now() - n * interval '30 s', now() - n * interval '30 s' + interval '2 s',
    sync_status, 540
FROM vehicles, generate_series(1, 60) n
"""
# What a daemon writes in a second when it pulls everybody once an interval.
_PULL = """
UPDATE vehicles SET last_seen_at = now(), last_sync_at = now()
WHERE sync_status = 'ok' AND id IN (SELECT id FROM vehicles TABLESAMPLE SYSTEM (%s))
"""


def fill(cursor: Cursor, vehicles: int) -> None:
    """Register the fleet, with an hour's journal half full."""
    cursor.execute(_FLEET, (vehicles,))
    cursor.execute(_STATES)
    cursor.execute(_JOURNAL)


@contextmanager
def pulled(database: Database, vehicles: int) -> Iterator[None]:
    """Let a made-up daemon write what a real one would, until the block ends."""
    ended = threading.Event()
    replica = replicas.Replica(INTERVAL)

    def pull(cursor: Cursor) -> None:
        replicas.write_heartbeat(cursor, replica, 12.0, vehicles)
        cursor.execute(_PULL, (100 / INTERVAL,))

    def work() -> None:
        while not ended.wait(1.0):
            database.run(pull)

    database.run(pull)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time that `work` takes."""
    took = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return 1000 * statistics.median(took)


class Watched(Gateway):
    """Notes when the latest reading of the fleet ended."""

    answered_at: float | None = None

    def snapshot(self, on_screen: Collection[UUID] = (), *, tail: bool = False) -> Snapshot:
        """Read the fleet."""
        snapshot = super().snapshot(on_screen, tail=tail)
        self.answered_at = time.perf_counter()
        return snapshot


def bare_select() -> str:
    """Return the fleet's query without what it makes of its columns: same columns, same join."""
    _, expressions, join = re.split(
        r"^(?:SELECT|FROM) ", fleet.OVERVIEW.strip(), flags=re.MULTILINE
    )
    columns = sorted(set(re.findall(r"\b[vsbt]\.\w+", expressions)))
    return f"SELECT {', '.join(columns)} FROM {join}"  # noqa: S608  the program's own text


def _took(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def beside_a_bare_select(database: Database) -> float:
    """Return how many times as long as a bare SELECT the fleet takes, each until Python has it."""

    def bare(cursor: Cursor) -> int:
        cursor.execute(bare_select())
        return len(cursor.fetchall())

    def whole(cursor: Cursor) -> int:
        return len(fleet.fleet_overview(cursor, INTERVAL))

    def measured(cursor: Cursor) -> float:
        assert whole(cursor) == bare(cursor)
        pairs = [
            (_took(lambda: whole(cursor)), _took(lambda: bare(cursor))) for _ in range(REPEATS)
        ]
        return paired(*zip(*pairs, strict=True))

    return database.run(measured)


def of_the_loop(database: Database) -> dict[str, float]:
    """Measure in this process: the reading, the first paint, how long refreshes hold the loop."""
    gateway = Watched(database, INTERVAL)
    figures = {
        "query ms": milliseconds(gateway.snapshot),
        "query ÷ bare SELECT": beside_a_bare_select(database),
    }
    gateway.answered_at = None
    return figures | asyncio.run(_watch(gateway))


async def _watch(gateway: Watched) -> dict[str, float]:
    app = FleetApp(ScreenContext(gateway, FleetState(gateway.where)))
    async with app.run_test(size=(80, 24)):
        while gateway.answered_at is None or "truck-" not in _screen(app):
            await asyncio.sleep(PROBE_SEC)
        first_paint = time.perf_counter() - gateway.answered_at
        stalls = [await _longest_stall(app.poller.interval) for _ in range(REPEATS)]
        held = []
        for _ in range(REPEATS):
            snapshot = await asyncio.to_thread(gateway.snapshot)
            held.append(_refresh(app, snapshot))
            await asyncio.sleep(PROBE_SEC)
        app.exit()
    return {
        "first paint ms": 1000 * first_paint,
        "refresh ms": 1000 * statistics.median(held),
        "longest stall ms": 1000 * statistics.median(stalls),
    }


def _screen(app: FleetApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "".join(segment.text for strip in strips for segment in strip)


def _refresh(app: FleetApp, snapshot: Snapshot) -> float:
    """Return how long the screen's thread takes to show a snapshot."""
    begun = time.perf_counter()
    app.context.state.update(snapshot, app.context.now())
    if app.page is not None:
        app.page.update_page()
    return time.perf_counter() - begun


async def _longest_stall(seconds: float) -> float:
    """Return the longest time that the loop let another task wait, beyond what it asked for."""
    ends, longest = time.perf_counter() + seconds, 0.0
    while (before := time.perf_counter()) < ends:
        await asyncio.sleep(PROBE_SEC)
        longest = max(longest, time.perf_counter() - before - PROBE_SEC)
    return longest


class Terminal:
    """The dashboard as a program of its own, in a pseudo-terminal of 80x24."""

    def __init__(self, environment: dict[str, str], folder: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.begun = time.perf_counter()
        self.program = subprocess.Popen(
            [sys.executable, "-m", "tui"],
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "XDG_STATE_HOME": folder,
                **environment,
            },
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def read(self, seconds: float) -> bytes:
        """Return the next output; nothing if there is none for so long."""
        readable, _, _ = select.select([self.ours], [], [], max(0.0, seconds))
        return os.read(self.ours, 1 << 16) if readable else b""

    def read_for(self, seconds: float) -> int:
        """Return how many bytes are written in so many seconds."""
        ends, count = time.perf_counter() + seconds, 0
        while (left := ends - time.perf_counter()) > 0:
            count += len(self.read(left))
        return count

    def wait_for(self, wanted: bytes) -> float:
        """Return how long after the program's start `wanted` was on the screen."""
        shown = b""
        while wanted not in shown:
            shown += self.read(LONGEST_SEC) or sys.exit(f"no {wanted!r} in {shown[-500:]!r}")
        return time.perf_counter() - self.begun

    def answer_to(self, key: bytes) -> float:
        """Return the seconds from a key to the first byte that follows it."""
        while self.read(PROBE_SEC):
            pass
        begun = time.perf_counter()
        os.write(self.ours, key)
        self.read(LONGEST_SEC)
        return time.perf_counter() - begun

    def close(self) -> None:
        """Quit the dashboard."""
        os.write(self.ours, b"q")
        with suppress(OSError):  # the terminal is closed from its other end
            while self.read(LONGEST_SEC):
                pass
        self.program.wait(LONGEST_SEC)
        os.close(self.ours)


def of_the_terminal(environment: dict[str, str], folder: str) -> dict[str, float]:
    """Measure the program: its start, an idle screen, keys; it remembers its view in `folder`."""
    terminal = Terminal(environment, folder)
    started = terminal.wait_for(b"truck-")
    terminal.read_for(SETTLE_SEC)
    cpu = cpu_seconds(terminal.program.pid)
    written = terminal.read_for(IDLE_SEC)
    idle = cpu_seconds(terminal.program.pid) - cpu
    answers = sorted(terminal.answer_to(b"j" if n % 20 < 10 else b"k") for n in range(KEYS))
    terminal.close()
    return {
        "start to fleet ms": 1000 * started,
        "idle bytes/s": written / IDLE_SEC,
        "idle CPU %": 100 * idle / IDLE_SEC,
        "key ms": 1000 * statistics.median(answers),
        "key ms, 95th percentile": 1000 * answers[int(0.95 * KEYS)],
    }


def measure(vehicles: int = VEHICLES) -> dict[str, float]:
    """Return every figure; takes about two minutes."""
    with tempfile.TemporaryDirectory() as folder, installed(Path(folder) / "postgres") as bench:
        bench.prepare(NAME, [])
        database = Database(DatabaseSettings(bench.server.parameters(NAME)))
        database.run(lambda cursor: fill(cursor, vehicles))
        database.run(lambda cursor: cursor.execute("ANALYZE"))
        with pulled(database, vehicles):
            figures = of_the_loop(database)
            figures |= of_the_terminal(bench.server.environment(NAME), folder)
        database.close()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=VEHICLES)
    for name, figure in measure(parser.parse_args().vehicles).items():
        print(f"{name:<28}{figure:10.1f}", flush=True)


if __name__ == "__main__":
    main()
