"""The database's CPU per vehicle on a cluster, beside one PostgreSQL's: one fleet, in turns."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from fleetsyncd.demo import citus_cluster
from fleetsyncd.demo.citus_cluster import CitusMissing
from tests.bench import processes
from tests.bench.bench import REACH, Bench, Round
from tests.bench.figures import Figure, paired
from tests.bench.installation import Installation

VEHICLES, ROUNDS = 100, 4
WARM_UPS = 8
"""A connection that has not met a shard yet has to learn of it, once in its half an hour."""
DATABASE = "daemon"
MOST_TO_ALONE = 1.5


def measure(bench: Bench, group: str) -> list[Figure]:
    """Return the figures of a group; none where the server has no Citus."""
    try:
        with _cluster(bench) as spread:
            alone, distributed = _rounds(_beside(bench, bench.installation, "alone"), spread)
    except CitusMissing as missing:
        bench.log(f"{group}: nothing of a cluster: {missing}")
        return []
    return _figures(group, alone, distributed)


def _figures(group: str, alone: list[Round], distributed: list[Round]) -> list[Figure]:
    def each(rounds: list[Round], seconds: Callable[[Round], float]) -> list[float]:
        return [1000 * seconds(one) / VEHICLES for one in rounds]

    one = each(alone, lambda r: r.database)
    all_nodes = each(distributed, lambda r: r.database)
    coordinator = median(each(distributed, lambda r: r.coordinator))
    daemons = (each(rounds, lambda r: r.cpu) for rounds in (distributed, alone))
    return [
        Figure(group, "PostgreSQL's CPU per vehicle", median(one), "ms"),
        Figure(group, "Citus, all nodes' CPU per vehicle", median(all_nodes), "ms"),
        Figure(group, "Citus to PostgreSQL", paired(all_nodes, one), most=MOST_TO_ALONE),
        Figure(group, "of Citus, the coordinator's", coordinator, "ms"),
        Figure(group, "daemon's CPU, on Citus to on PostgreSQL", paired(*daemons)),
        Figure(
            group,
            f"vehicles a core of the coordinator, every {REACH.total_seconds():g} s",
            1000 * REACH.total_seconds() / coordinator,
        ),
    ]


def _rounds(alone: Bench, spread: Bench) -> tuple[list[Round], list[Round]]:
    """Have the daemon pull one fleet into either, in turns.

    Each round pulls what the fleet has measured since the one before: rows are never removed, for
    every connection would have to learn of all shards again.
    """
    rounds: tuple[list[Round], list[Round]] = [], []
    with (
        processes.simulated(VEHICLES) as fleet,
        alone.commanded(DATABASE, fleet) as first,
        spread.commanded(DATABASE, fleet) as second,
    ):
        for _ in range(WARM_UPS):
            for puller in (first, second):
                puller.command()
        for _ in range(ROUNDS):
            time.sleep(REACH.total_seconds())
            rounds[0].append(alone.measured(first, fleet))
            rounds[1].append(spread.measured(second, fleet))
    return rounds


@contextmanager
def _cluster(bench: Bench) -> Iterator[Bench]:
    cluster = citus_cluster.start(bench.folder / citus_cluster.FOLDER)
    bench.log(f"cluster: {VEHICLES} vehicles on {len(cluster.workers)} workers and on one server")
    try:
        yield _beside(bench, Installation(cluster), "spread")
    finally:
        cluster.stop()


def _beside(bench: Bench, installation: Installation, name: str) -> Bench:
    """Return a bench that leaves no stalls in the given one."""
    folder = bench.folder / name
    folder.mkdir()
    return Bench(installation, folder, bench.full, frozenset())
