"""Storage: bytes a row as inserted, tidied and as minutes, what these take, and some reads."""

import time
from collections.abc import Callable

from fleetsyncd.database.schema.tidy import tidy_all
from fleetsyncd.demo.embedded import OWNER
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now
from tests.bench import hypertable, minute_costs
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.storage import NAME, READS, FilledMonth, filled

GROUP = "storage"
MOST_TIDIED = 120.0


def measure(bench: Bench) -> list[Figure]:
    bench.log("storage: a closed month, as inserted and tidied")
    with filled(bench) as month:
        figures = [figure for line in LINES for figure in line(month)]
        if hypertable.is_available(bench):
            bench.log("storage: the month in TimescaleDB")
            figures += hypertable.measure(month, GROUP)
    bench.log("storage: minutes of a day")
    return figures + minute_costs.measure(bench.installation, GROUP)


def as_inserted(month: FilledMonth) -> list[Figure]:
    heap, key = month.bytes_a_row()
    return [
        Figure(GROUP, "bytes a row, as inserted", heap + key, "B"),
        Figure(GROUP, "of these, of its key", key, "B"),
        *_reads(month, "as inserted"),
    ]


def tidied(month: FilledMonth) -> list[Figure]:
    installation = month.bench.installation
    began, used = time.monotonic(), installation.cpu
    # As the owner: only from PostgreSQL 17 on the daemon's role may.
    done = tidy_all(DatabaseSettings(installation.server.parameters(NAME, OWNER)), utc_now)
    seconds, cpu = time.monotonic() - began, installation.cpu - used
    assert done.tidied
    assert not done.failed
    heap, key = month.bytes_a_row()
    return [
        Figure(GROUP, "bytes a row, tidied", heap + key, "B", most=MOST_TIDIED),
        Figure(GROUP, "of these, of its key, tidied", key, "B"),
        Figure(GROUP, "tidying, time a row", 1e6 * seconds / month.rows, "µs"),
        Figure(GROUP, "tidying, database's CPU a row", 1e6 * cpu / month.rows, "µs"),
        *_reads(month, "tidied"),
    ]


def _reads(month: FilledMonth, state: str) -> list[Figure]:
    return [
        Figure(GROUP, f"{name}, {state}", month.milliseconds(statement), "ms")
        for name, statement in READS.items()
    ]


LINES: tuple[Callable[[FilledMonth], list[Figure]], ...] = (as_inserted, tidied)
"""In this order, on the same month: each finds what the ones before it have left."""
