"""The HTTP floor: what the four requests alone cost with bare requests sessions."""

from statistics import median

from tests.bench.bench import Bench
from tests.bench.figures import Figure, paired

GROUP = "floor"
MOST = 1.5


def measure(bench: Bench) -> list[Figure]:
    figures = []
    for run in (bench.fleet(size) for size in bench.sizes):
        size = f"{run.vehicles} vehicles"
        figures += [
            Figure(GROUP, f"floor's CPU per vehicle, {size}", median(run.cpu_ms("floor")), "ms"),
            Figure(
                GROUP,
                f"daemon's CPU to the floor's, {size}",
                paired(run.cpu_ms("daemon"), run.cpu_ms("floor")),
                most=MOST,
            ),
        ]
    return figures
