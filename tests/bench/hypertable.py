"""What a closed month costs in TimescaleDB: converted, compressed, with late rows, and read."""

import time
from collections.abc import Callable
from contextlib import closing

from fleetsyncd.database.compression import Compression
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.hidden import conversion, hypertable, obstacles
from fleetsyncd.database.schema.lock_waits import USUAL_PATIENCE
from fleetsyncd.demo.embedded import OWNER
from fleetsyncd.settings import DatabaseSettings
from tests import hidden
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.storage import NAME, READS, FilledMonth

AFTER_DAYS = 1
"""All of the month is older."""
MOST_BYTES = 11.0
_BYTES = "SELECT sum(table_bytes + key_bytes)::float8 FROM fleetsync.hidden_parts()"


def is_available(bench: Bench) -> bool:
    """Tell whether the server has the extension."""
    return bool(bench.installation.rows("postgres", hidden.AVAILABLE))


def measure(month: FilledMonth, group: str) -> list[Figure]:
    """Put the month into a hypertable, compress it, and return the figures."""
    installation = month.bench.installation
    month.database.close()  # the server is started anew
    folder = month.bench.folder / "postgres"
    installation.server = hidden.extend(installation.server, NAME, folder, durable=True)
    with closing(Database(DatabaseSettings(installation.server.parameters(NAME)))) as database:
        it = month.through(database)
        converting = _seconds(lambda: _convert(it))
        inserted = _bytes_a_row(it)
        compressing = _seconds(lambda: list(Compression(database, AFTER_DAYS).steps()))
        return [
            Figure(group, "TimescaleDB: conversion, rows a second", it.rows / converting, "rows/s"),
            Figure(group, "TimescaleDB: bytes a row, before compression", inserted, "B"),
            Figure(
                group,
                "TimescaleDB: bytes a row, compressed",
                _bytes_a_row(it),
                "B",
                most=MOST_BYTES,
            ),
            Figure(group, "TimescaleDB: compression, a row", 1e6 * compressing / it.rows, "µs"),
            *(
                Figure(group, f"TimescaleDB: {name}", it.milliseconds(statement), "ms")
                for name, statement in READS.items()
            ),
        ]


def _convert(month: FilledMonth) -> None:
    settings = DatabaseSettings(month.bench.installation.server.parameters(NAME, OWNER))
    conversion.convert(
        settings,
        lambda cursor: list(obstacles.misfits(cursor, None)),
        lambda cursor: hypertable.create(cursor, hypertable.usual_chunk(cursor)),
        USUAL_PATIENCE,
    )


def _bytes_a_row(month: FilledMonth) -> float:
    ((bytes_,),) = month.query(_BYTES)
    return float(bytes_) / month.rows


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
