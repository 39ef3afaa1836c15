"""Memory: the largest resident set of the daemon over its cycles."""

from tests.bench.bench import Bench
from tests.bench.figures import Figure

GROUP = "memory"
MOST_MB = {100: 60.0, 1000: 100.0, 5000: 250.0}


def measure(bench: Bench) -> list[Figure]:
    return [
        Figure(GROUP, f"peak, {size} vehicles", bench.fleet(size).peak, "MB", MOST_MB[size])
        for size in bench.sizes
    ]
