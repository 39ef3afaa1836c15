"""Ingest: the real write path, and rows that are there already, relative to COPY; on a cluster."""

import json
import subprocess
import sys
from functools import cache
from statistics import median

from tests.bench import cluster_costs, processes
from tests.bench.bench import Bench
from tests.bench.figures import Figure, paired

GROUP = "ingest"
ROUNDS = 5
LEAST = 0.75
LEAST_REPLAY = 1.0


def measure(bench: Bench) -> list[Figure]:
    rates = speeds(bench)
    figures = [
        Figure(GROUP, f"{way}, rows per second", median(rates[way]), "rows/s")
        for way in ("copy", "fresh", "replay")
    ]
    return [
        *figures,
        Figure(GROUP, "fresh to COPY", paired(rates["fresh"], rates["copy"]), least=LEAST),
        Figure(
            GROUP, "replay to fresh", paired(rates["replay"], rates["fresh"]), least=LEAST_REPLAY
        ),
        *cluster_costs.measure(bench, GROUP),
    ]


@cache
def speeds(bench: Bench) -> dict[str, list[float]]:
    """Return rows per second by way and round; `gap` compares with them too."""
    bench.log("ingest: COPY, fresh and replayed windows")
    vehicle = {"name": "Truck-01", "host": "127.0.0.1", "port": 1, "key": "none"}
    bench.installation.prepare("ingest", [vehicle])
    host = bench.installation.server.host
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.ingesting", str(ROUNDS)],
        env=bench.environment("ingest", BENCH_SOCKET=host),
        stdout=subprocess.PIPE,
        timeout=processes.PATIENCE_SEC,
        check=True,
    )
    rates: dict[str, list[float]] = json.loads(done.stdout)
    return rates
