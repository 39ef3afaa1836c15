"""A dark fleet: no vehicle answers, as when all are parked; CPU of a cycle, asked and at rest."""

import socket
from contextlib import closing
from statistics import mean

from tests.bench import processes
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.processes import Puller

GROUP = "dark"
DATABASE = "dark"
INTERVAL_SEC = 30.0
ASKED = 4
"""Cycles that are measured while all are asked."""
LONG_SILENT = """
UPDATE public.vehicles SET sync_status = 'timeout';
UPDATE fleetsync.vehicle_state SET failures = 500
"""
TURNS = 4
"""Cycles in which each vehicle is asked once then."""
MOST_SHARE = 0.35
MOST_PERCENT = 15.0


def measure(bench: Bench) -> list[Figure]:
    count = 10_000 if bench.full else 2_000
    bench.log(f"dark: {count} vehicles, none answers")
    # A port that is taken, and at which nobody listens: it refuses at every address.
    with closing(socket.socket()) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        vehicles = [
            {"name": f"Dark-{n}", "host": f"127.1.{n // 250}.{n % 250}", "port": port, "key": "k"}
            for n in range(count)
        ]
        bench.installation.prepare(DATABASE, vehicles)
        environment = bench.environment(
            DATABASE,
            SYNC_INTERVAL_SEC=str(INTERVAL_SEC),
            SILENT_INTERVAL_SEC=str(TURNS * INTERVAL_SEC),
            BENCH_STALLS=str(bench.folder / "dark.stalls"),
        )
        with processes.commanded(["tests.bench.daemon", "step"], environment) as daemon:
            daemon.command()  # opens the connections
            asked = _cpu_of(daemon, ASKED)
        with bench.installation.cursor(DATABASE) as cursor:
            cursor.execute(LONG_SILENT)
        with processes.commanded(["tests.bench.daemon", "step"], environment) as daemon:
            daemon.command()  # asks all once, and takes up how long they have been silent
            resting = _cpu_of(daemon, TURNS)
    percent = 100 * resting / INTERVAL_SEC
    at_10_000 = percent * 10_000 / count
    return [
        Figure(GROUP, f"a core while all are asked, {count}", 100 * asked / INTERVAL_SEC, "%"),
        Figure(GROUP, f"a core once they rest, {count}", percent, "%"),
        Figure(GROUP, "the same of 10,000 vehicles", at_10_000, "%", most=MOST_PERCENT),
        Figure(GROUP, "a cycle at rest to one that asks all", resting / asked, most=MOST_SHARE),
    ]


def _cpu_of(daemon: Puller, cycles: int) -> float:
    """Return the seconds of CPU that a cycle takes, on average over so many."""
    used = []
    for _ in range(cycles):
        before = daemon.cpu
        daemon.command()
        used.append(daemon.cpu - before)
    return mean(used)
