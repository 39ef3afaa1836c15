"""A bad day: 30 % of the fleet fall silent at once and time out on every call from then on."""

import time
from datetime import timedelta

from tests.bench import lags, processes
from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "bad day"
DATABASE = "bad_day"
VEHICLES = 1000
SILENT_SHARE = 0.3
CYCLES_BEFORE = 5
"""It has run for a while: it knows how fast the machine stores what it pulls."""
CYCLES = 4
MOST = 1.1

_SILENT = "SELECT DISTINCT vehicle_id::text FROM public.sync_journal WHERE status = 'timeout'"


def measure(bench: Bench) -> list[Figure]:
    # The default configuration, or all of it three times as fast.
    interval, timeout = (30.0, 10.0) if bench.full else (10.0, 10.0 / 3)
    bench.log(f"bad day: {VEHICLES} vehicles every {interval:g} s, {SILENT_SHARE:.0%} silent")
    environment = bench.environment(
        DATABASE, SYNC_INTERVAL_SEC=str(interval), PULL_TIMEOUT_SEC=f"{timeout:.2f}"
    )
    with processes.simulated(VEHICLES, SILENT_SHARE) as fleet:
        bench.installation.prepare(DATABASE, fleet.vehicles)
        with bench.daemon(GROUP, environment) as daemon:
            for _ in range(CYCLES_BEFORE):
                daemon.cycle()
            fleet.fall_silent()
            begun = bench.installation.rows(DATABASE, "SELECT now()")[0][0]
            time.sleep(interval * CYCLES)
    silent = [row[0] for row in bench.installation.rows(DATABASE, _SILENT)]
    if len(silent) != round(VEHICLES * SILENT_SHARE):
        raise processes.BenchFailed(f"{len(silent)} vehicles timed out")
    settled = begun + timedelta(seconds=2 * interval)
    whole, later = (
        lags.of(
            bench.installation,
            DATABASE,
            since=since,
            until=begun + timedelta(days=1),
            but=silent,
        )
        for since in (begun, settled)
    )
    return [
        Figure(GROUP, "others' lag in intervals, p99", whole.p99 / interval, most=MOST),
        Figure(GROUP, "worst, the first cycle included", max(whole.values) / interval),
        Figure(GROUP, "p99 from the second cycle on", later.p99 / interval),
    ]
