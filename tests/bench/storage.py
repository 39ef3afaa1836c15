"""A closed month as daemons write it: what a row costs in it, and how quickly it is read.

`filled` makes the month; what is done to it (tidied, summed up by the minute) and what each state
costs is measured by the functions of `groups/storage.py`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from statistics import median
from typing import Any

from psycopg2 import sql

from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import month_of, utc_now
from tests.bench.bench import Bench

NAME = "storage"
VEHICLES, CHANNELS = 3, 18
WINDOW = timedelta(minutes=10)
"""What one transaction stores of a vehicle; the vehicles take turns, as in a fleet."""
DAYS, FULL_DAYS = 1, 5
ROUNDS = 7
# By the door through which daemons write.
_WRITE = """
SELECT added FROM (
    SELECT array_agg(c ORDER BY t, c)::text AS channels, array_agg(t ORDER BY t, c)::text AS times,
        array_agg(sin(extract(epoch FROM t) / (40 + c))::float8 ORDER BY t, c)::text AS readings
    FROM generate_series(%(start)s::timestamptz, %(last)s, interval '1 s') t,
        generate_series(1, %(channels)s) c
) rows, fleetsync.add_measurements(%(vehicle)s, channels, times, readings, %(before)s, NULL)
"""
_BYTES = "SELECT pg_table_size(to_regclass(%s)), pg_indexes_size(to_regclass(%s))"
READS = {
    "an hour of a channel": """
        SELECT time, value FROM measurements WHERE vehicle_id = %(vehicle)s AND channel_id = 3
          AND time >= %(start)s AND time < %(start)s + interval '1 hour'""",
    "a day of a channel by the minute": """
        SELECT date_trunc('minute', time), min(value), max(value), avg(value) FROM measurements
        WHERE vehicle_id = %(vehicle)s AND channel_id = 3
          AND time >= %(start)s AND time < %(start)s + interval '1 day' GROUP BY 1""",
    "the newest values of 18 channels": """
        SELECT c, m.time, m.value FROM generate_series(1, 18) c, LATERAL (
            SELECT time, value FROM measurements WHERE vehicle_id = %(vehicle)s
              AND channel_id = c ORDER BY time DESC LIMIT 1) m""",
}
"""As the dashboard and Grafana ask."""


@dataclass(frozen=True, slots=True)
class FilledMonth:
    """A closed month in a database of its own, as the daemon's role sees it."""

    bench: Bench
    database: Database
    vehicles: list[str]
    start: datetime
    rows: int

    @property
    def table(self) -> str:
        """The partition."""
        return f"public.measurements_{self.start:%Y_%m}"

    def query(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Return what a query says of the first vehicle and the first day."""
        known = {"vehicle": self.vehicles[0], "start": self.start}

        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(statement, {**known, **values})
            return cursor.fetchall()

        return self.database.run(work)

    def bytes_a_row(self, table: str | None = None) -> tuple[float, float]:
        """Return the bytes of a row in a table, by default the month's own, and in its key."""
        with self.bench.installation.cursor(NAME) as cursor:
            cursor.execute(_BYTES, (table or self.table, table or self.table))
            ((heap, keys),) = cursor.fetchall()
        return heap / self.rows, keys / self.rows

    def through(self, database: Database) -> "FilledMonth":
        """Return the same month, asked through other connections."""
        return replace(self, database=database)

    def milliseconds(self, statement: str) -> float:
        """Return how long a query takes whose pages are in memory, as the median of some."""
        self.query(statement)
        seconds = []
        for _ in range(ROUNDS):
            began = time.monotonic()
            self.query(statement)
            seconds.append(time.monotonic() - began)
        return 1000 * median(seconds)


@contextmanager
def filled(bench: Bench) -> Iterator[FilledMonth]:
    """Make a month of some days; it goes at the end."""
    names = [f"Truck-{number:02}" for number in range(VEHICLES)]
    bench.installation.prepare(
        NAME,
        [
            {"name": each, "host": "127.0.0.1", "port": 1 + n, "key": "none"}
            for n, each in enumerate(names)
        ],
    )
    start = month_of(month_of(utc_now()) - timedelta(days=1))
    database = Database(DatabaseSettings(bench.installation.server.parameters(NAME)))
    try:
        Partitions(database).ensure(start, start)
        vehicles = [
            row[0] for row in bench.installation.rows(NAME, "SELECT id::text FROM vehicles")
        ]
        days = FULL_DAYS if bench.full else DAYS
        rows = _fill(database, vehicles, start, timedelta(days=days))
        vacuum = sql.SQL("VACUUM ANALYZE public.measurements")
        bench.installation.server.execute(vacuum, database=NAME)
        yield FilledMonth(bench, database, vehicles, start, rows)
    finally:
        database.close()
        bench.installation.drop(NAME)


def _fill(database: Database, vehicles: list[str], start: datetime, length: timedelta) -> int:
    rows, at = 0, start
    while at < start + length:
        for vehicle in vehicles:
            rows += database.run(partial(_write, vehicle, at))
        at += WINDOW
    return rows


def _write(vehicle: str, at: datetime, cursor: Cursor) -> int:
    second = timedelta(seconds=1)
    values = {"vehicle": vehicle, "start": at, "before": at - second, "last": at + WINDOW - second}
    cursor.execute(_WRITE, {**values, "channels": CHANNELS})
    return int(cursor.fetchall()[0][0])
