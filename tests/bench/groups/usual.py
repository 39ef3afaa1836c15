"""Against the usual: the puller that most would write, on the same fleet in turns."""

from statistics import median

from tests.bench.bench import Bench
from tests.bench.figures import Figure, paired

GROUP = "usual"
LEAST_CPU = 12.0
LEAST_VEHICLES = 8.0


def measure(bench: Bench) -> list[Figure]:
    figures = []
    for run in map(bench.fleet, bench.usual_sizes):
        size = f"{run.vehicles} vehicles"
        figures += [
            Figure(GROUP, f"its CPU per vehicle, {size}", median(run.cpu_ms("usual")), "ms"),
            Figure(
                GROUP,
                f"its CPU to the daemon's, {size}",
                paired(run.cpu_ms("usual"), run.cpu_ms("daemon")),
                least=LEAST_CPU,
            ),
            Figure(
                GROUP,
                f"vehicles per second, daemon's to its, {size}",
                paired(run.wall("usual"), run.wall("daemon")),
                least=LEAST_VEHICLES,
            ),
        ]
    return figures
