"""Gap: one vehicle that was away catches up, while fifty others go on."""

import time
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from tests.bench import lags, processes
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.groups import ingest
from tests.bench.machine import resident_megabytes
from tests.bench.processes import Puller

GROUP = "gap"
OTHERS = 50
INTERVAL_SEC = 4.0
QUIET_CYCLES = 5
LOOK_SEC = 0.2
LEAST = 0.5
MOST_WASTE = 0.02
MOST_LAG = 1.1
MOST_GROWTH_MB = 5.0

_AWAY = """
INSERT INTO fleetsync.vehicle_state (vehicle_id, paused)
SELECT id, true FROM public.vehicles WHERE name = %s
"""
_COME_BACK = """
WITH back AS (UPDATE fleetsync.vehicle_state SET paused = false WHERE paused RETURNING vehicle_id)
UPDATE public.vehicles SET last_sync_at = now() - %s WHERE id = (SELECT vehicle_id FROM back)
RETURNING id::text, now()
"""
_PULL = """
SELECT rows_written, extract(epoch FROM finished_at - started_at)::float8, finished_at
FROM public.sync_journal WHERE vehicle_id = %s AND rows_written > %s
"""
ROWS_AN_HOUR = 18 * 3600


def measure(bench: Bench) -> list[Figure]:
    away = timedelta(days=7) if bench.full else timedelta(hours=26)
    hours = away / timedelta(hours=1)
    copied = median(ingest.speeds(bench)["copy"])
    bench.log(f"gap: {hours:g} hours of one vehicle, {OTHERS} others beside it")
    with processes.simulated(OTHERS + 1) as fleet:
        bench.installation.prepare(GROUP, fleet.vehicles)
        with bench.installation.cursor(GROUP) as cursor:
            cursor.execute(_AWAY, (fleet.vehicles[0]["name"],))
        environment = bench.environment(GROUP, SYNC_INTERVAL_SEC=str(INTERVAL_SEC))
        with bench.daemon(GROUP, environment) as daemon:
            for _ in range(QUIET_CYCLES):
                daemon.cycle()
            sent, spent = fleet.served(0), bench.installation.cpu
            with bench.installation.cursor(GROUP) as cursor:
                cursor.execute(_COME_BACK, (away,))
                vehicle, back = cursor.fetchall()[0]
            memory, pull = _watch(bench, daemon, vehicle, round(hours * ROWS_AN_HOUR * 0.9))
            sent, spent = fleet.served(0) - sent, bench.installation.cpu - spent
    rows, seconds, caught_up = pull
    before, during = (
        lags.of(bench.installation, GROUP, since=since, until=until, but=[vehicle])
        for since, until in ((back - timedelta(days=1), back), (back, caught_up))
    )
    half = len(memory) // 2
    growth = max(memory[half:]) - max(memory[:half])
    return [
        Figure(GROUP, f"rows per second, {hours:g} h", rows / seconds, "rows/s"),
        Figure(GROUP, "to COPY", rows / seconds / copied, least=LEAST),
        Figure(GROUP, "database's CPU per row", 1e6 * spent / rows, "µs"),
        # One full answer in vain, however long the gap: the bound is for seven days.
        Figure(
            GROUP,
            "rows sent beyond those stored",
            sent / rows - 1,
            most=MOST_WASTE if bench.full else None,
        ),
        Figure(GROUP, "peak memory", max(memory), "MB"),
        Figure(GROUP, "growth over its second half", growth, "MB", MOST_GROWTH_MB),
        Figure(GROUP, "others' lag to that before, mean", during.mean / before.mean, "", MOST_LAG),
        Figure(GROUP, "others' lag to that before, p99", during.p99 / before.p99),
    ]


def _watch(
    bench: Bench, daemon: Puller, vehicle: str, most: int
) -> tuple[list[float], tuple[int, float, datetime]]:
    """Return the daemon's memory by the time, and the pull of over `most` rows, once it is over."""
    memory = []
    ends = time.monotonic() + processes.PATIENCE_SEC * 2
    rows: list[Any] = []
    while not rows:
        if time.monotonic() > ends:
            raise processes.BenchFailed("the gap was not caught up with")
        time.sleep(LOOK_SEC)
        memory.append(resident_megabytes(daemon.process.pid))
        rows = bench.installation.rows(GROUP, _PULL, (vehicle, most))
    return memory, rows[0]
