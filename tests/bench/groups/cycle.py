"""Cycle CPU: the daemon's own, per vehicle and cycle of four calls."""

from statistics import median

from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "cycle"
MOST_MS = 3.5


def measure(bench: Bench) -> list[Figure]:
    runs = [bench.fleet(size) for size in bench.sizes]
    costs = [median(run.cpu_ms("daemon")) for run in runs]
    figures = [
        Figure(GROUP, f"daemon's CPU per vehicle, {run.vehicles} vehicles", cost, "ms", MOST_MS)
        for run, cost in zip(runs, costs, strict=True)
    ]
    figures.append(
        Figure(GROUP, f"CPU at {bench.sizes[-1]} vehicles to that at 100", costs[-1] / costs[0])
    )
    last = runs[-1].rounds["daemon"]
    for name, spent in (
        ("database's", [each.database for each in last]),
        ("simulator's", [each.simulator for each in last]),
    ):
        cost = 1000 * median(spent) / runs[-1].vehicles
        figures.append(Figure(GROUP, f"{name} CPU beside it, {runs[-1].vehicles}", cost, "ms"))
    # Where this is large, seconds say little; ratios still do.
    strangers = 100 * median(each.strangers / each.wall for each in last)
    figures.append(Figure(GROUP, "strangers' CPU meanwhile, of one core", strangers, "%"))
    return figures
