"""Links: vehicles behind slow mobile links that were away catch up, all at the same time."""

import time
from datetime import timedelta

from tests.bench import processes
from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "links"
LATENCY_SEC, LOSS = 0.3, 0.01
SHORT = {
    8: timedelta(minutes=20),
    32: timedelta(hours=1, minutes=30),
    100: timedelta(hours=5),
    1000: timedelta(days=2),
}
FULL = {
    8: timedelta(hours=2),
    32: timedelta(hours=9),
    100: timedelta(days=1),
    1000: timedelta(days=3),
}
"""The gap of the link of so many kbit/s."""
LOOK_SEC = 0.5
PATIENCE_SEC = 3600.0
LEAST = 0.8
_AWAY = "UPDATE public.vehicles SET last_sync_at = now() - %s WHERE name = %s"
_LAG = """
SELECT name, extract(epoch FROM clock_timestamp() - last_sync_at)::float8 FROM public.vehicles
"""


def measure(bench: Bench) -> list[Figure]:
    """Return the share of its rate that each link has carried until its vehicle had caught up."""
    gaps = FULL if bench.full else SHORT
    bench.log(
        f"links: gaps of {', '.join(f'{gap} at {kbit} kbit/s' for kbit, gap in gaps.items())}"
    )
    with processes.behind_links([(kbit, LATENCY_SEC, LOSS) for kbit in gaps]) as fleet:
        bench.installation.prepare(GROUP, fleet.vehicles)
        names = dict(zip((known["name"] for known in fleet.vehicles), gaps, strict=True))
        with bench.installation.cursor(GROUP) as cursor:
            for name, kbit in names.items():
                cursor.execute(_AWAY, (gaps[kbit], name))
        began = time.monotonic()
        figures = []
        with bench.daemon(GROUP, bench.environment(GROUP)):
            while names:
                time.sleep(LOOK_SEC)
                seconds = time.monotonic() - began
                if seconds > PATIENCE_SEC:
                    raise processes.BenchFailed(f"not caught up: {names}")
                for name, lag in bench.installation.rows(GROUP, _LAG):
                    if name in names and lag < seconds:  # all from before the daemon's start
                        kbit = names.pop(name)
                        at = list(gaps).index(kbit)
                        size, busy_sec = fleet.carried(at)
                        share = size / (busy_sec * kbit * 1000 / 8)
                        what = f"{kbit} kbit/s, a gap of {gaps[kbit]}"
                        figures += [
                            Figure(GROUP, f"{what}: caught up after", seconds, "s"),
                            Figure(GROUP, f"{what}: share of the rate", share, "", least=LEAST),
                        ]
    return figures
