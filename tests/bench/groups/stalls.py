"""Stalls: how long greenlets waited for their turn while everything else was measured.

A turn is the time that no other greenlet could run. Both are given as elapsed time, which on a
machine that is busy with others says little, and as CPU time of the daemon's own.
"""

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.stalls import Stalls, longest, wait_exceeded

GROUP = "stalls"
MOST_USUALLY_MS = 50.0
MOST_MS = 150.0
ONE_IN_A_THOUSAND = 0.001


def measure(bench: Bench) -> list[Figure]:
    if not bench.stalls:
        bench.fleet(bench.sizes[-1])
    figures = [
        Figure(GROUP, f"longest turn, {label}", 1000 * longest(each.turns.late), "ms")
        for label, each in bench.stalls.items()
    ]
    every = Stalls.joined(bench.stalls.values())
    for name, waits in (("a turn", every.turns), ("heartbeat late", every.beats)):
        usual, own = (
            1000 * wait_exceeded(each, every.seconds, ONE_IN_A_THOUSAND)
            for each in (waits.late, waits.own)
        )
        figures += [
            Figure(GROUP, f"{name}, p99.9 of moments", usual, "ms", MOST_USUALLY_MS),
            Figure(GROUP, f"{name}, worst", 1000 * longest(waits.late), "ms", MOST_MS),
            Figure(GROUP, f"{name}, p99.9, of own CPU", own, "ms"),
            Figure(GROUP, f"{name}, worst, of own CPU", 1000 * longest(waits.own), "ms"),
        ]
    return figures
