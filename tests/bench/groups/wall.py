"""Wall: how long a cycle takes, and how large a fleet fits into 30 s."""

from statistics import median

from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "wall"
MOST_SEC = 5.0
INTERVAL_SEC = 30.0
LEAST_FLEET = 5000


def measure(bench: Bench) -> list[Figure]:
    thousand, largest = bench.fleet(1000), bench.fleet(bench.sizes[-1])
    wall = median(largest.wall("daemon"))
    fits = largest.vehicles * INTERVAL_SEC / wall
    larger = [Figure(GROUP, f"{largest.vehicles} vehicles", wall, "s")] if bench.full else []
    return [
        Figure(GROUP, "1000 vehicles", median(thousand.wall("daemon")), "s", MOST_SEC),
        *larger,
        Figure(GROUP, f"fleet that fits in 30 s, by {largest.vehicles}", fits, least=LEAST_FLEET),
    ]
