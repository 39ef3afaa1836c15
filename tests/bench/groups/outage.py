"""Outage: the centre was gone for two hours; the whole fleet is to be live at once, then caught up.

Only the first minute of the catch-up is watched: two hours of a thousand vehicles are 130 million
rows.
"""

import time
from datetime import datetime, timedelta
from statistics import median

from tests.bench import lags, processes
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.groups import ingest

GROUP = "outage"
AWAY = timedelta(hours=2)
WATCHED_SEC = 60.0
LOOK_SEC = 0.5
MOST_INTERVALS = 2.0

_GONE = "UPDATE public.vehicles SET last_sync_at = now() - %s"
_LIVE = """
SELECT count(*) FILTER (WHERE upper(islands) > now() - %(late)s::interval),
    extract(epoch FROM clock_timestamp() - %(since)s)::float8
FROM fleetsync.vehicle_state
"""
_ROWS = """
SELECT coalesce(sum(catching_up_rows), 0)::bigint + coalesce((SELECT sum(rows_written)
    FROM public.sync_journal WHERE error_msg LIKE 'catch-up of %%complete'), 0)::bigint
FROM fleetsync.vehicle_state
"""


def measure(bench: Bench) -> list[Figure]:
    vehicles, interval = (1000, 30.0) if bench.full else (200, 10.0)
    copied = median(ingest.speeds(bench)["copy"])
    bench.log(f"outage: {vehicles} vehicles every {interval:g} s, away for {AWAY}")
    with processes.simulated(vehicles) as fleet:
        bench.installation.prepare(GROUP, fleet.vehicles)
        bench.installation.rows(GROUP, f"{_GONE} RETURNING id", (AWAY,))
        environment = bench.environment(GROUP, SYNC_INTERVAL_SEC=str(interval))
        begun: datetime = bench.installation.rows(GROUP, "SELECT clock_timestamp()")[0][0]
        with bench.daemon(GROUP, environment):
            live_sec = _until_live(bench, vehicles, begun, interval)
            rows, began = _rows(bench), time.monotonic()
            time.sleep(WATCHED_SEC)
            speed = (_rows(bench) - rows) / (time.monotonic() - began)
    later = begun + timedelta(seconds=2 * interval)
    during = lags.of(
        bench.installation, GROUP, since=later, until=begun + timedelta(days=1), but=[]
    )
    return [
        Figure(GROUP, "all live, in intervals", live_sec / interval, most=MOST_INTERVALS),
        Figure(GROUP, "rows per second of the catch-up", speed, "rows/s"),
        Figure(GROUP, "to COPY", speed / copied),
        Figure(GROUP, "lag meanwhile in intervals, p99", during.p99 / interval),
    ]


def _until_live(bench: Bench, vehicles: int, begun: datetime, interval: float) -> float:
    """Return after how many seconds all vehicles were live."""
    values = {"late": timedelta(seconds=2 * interval), "since": begun}
    ends = time.monotonic() + processes.PATIENCE_SEC
    while time.monotonic() < ends:
        with bench.installation.cursor(GROUP) as cursor:
            cursor.execute(_LIVE, values)
            live, seconds = cursor.fetchall()[0]
        if live == vehicles:
            return float(seconds)
        time.sleep(LOOK_SEC)
    raise processes.BenchFailed("the fleet did not become live")


def _rows(bench: Bench) -> int:
    return int(bench.installation.rows(GROUP, _ROWS)[0][0])
