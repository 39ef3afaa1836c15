"""Figures of the minute aggregates: bytes, the cost of keeping them, and a plot's day.

Two vehicles with 18 channels at 1 Hz for a day, stored as cycles store them. CPU is that of
PostgreSQL and of this process, which does what the daemon does.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

from fleetsyncd.database import measurements, minutes, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.minute_series import read_minutes
from fleetsyncd.database.views.series import Slices, read_series
from fleetsyncd.demo.embedded import OWNER
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from tests.bench.figures import Figure
from tests.bench.installation import Installation

START = datetime(2026, 2, 10, tzinfo=UTC)
DAY = timedelta(days=1)
CHANNELS, VEHICLES = 18, 2
CYCLE = timedelta(seconds=30)
ROUNDS = 7
NAME = "minutes"
MOST_BYTES = 3.0
_SIZES = """
SELECT (SELECT sum(pg_table_size(inhrelid)) FROM pg_inherits
        WHERE inhparent = 'public.measurements_minute'::regclass),
    (SELECT sum(pg_indexes_size(inhrelid)) FROM pg_inherits
     WHERE inhparent = 'public.measurements_minute'::regclass),
    (SELECT sum(count) FROM public.measurements_minute)
"""


def measure(installation: Installation, group: str) -> list[Figure]:
    """Store a day, keep its minutes, read them; return the figures."""
    installation.prepare(NAME, [])
    server = installation.server
    parameters = partial(server.parameters, NAME)
    with (
        closing(Database(DatabaseSettings(parameters()))) as database,
        closing(Database(DatabaseSettings(parameters(OWNER)))) as owner,
    ):
        fleet = [
            database.run(partial(_add, name=f"Truck-{n:02d}", host=f"10.8.0.{n}"))
            for n in range(1, VEHICLES + 1)
        ]
        Partitions(database).ensure(START, START + DAY)
        stored, kept = _Cost(installation), _Cost(installation)
        database.run(partial(_follow, at=START))
        database.run(minutes.begin)
        for at in _times(CYCLE):
            with stored.counted(VEHICLES * CHANNELS * CYCLE.seconds):
                for vehicle in fleet:
                    database.run(partial(_store, vehicle=vehicle, at=at))
            database.run(partial(_follow, at=at + CYCLE))
            while ids := database.run(minutes.waiting):
                with kept.counted(0):
                    done = database.run(partial(minutes.keep, ids=ids))
                kept.rows += done.rows
        share = 100 * kept.microseconds / stored.microseconds
        as_kept = _bytes_a_row(database)
        owner.run(lambda c: c.execute("REINDEX TABLE public.measurements_minute_2026_02"))
        tidied = _bytes_a_row(database)
        owner.run(lambda c: c.execute("ANALYZE"))
        return [
            Figure(group, "minutes: bytes a raw row, as kept", as_kept, "B"),
            Figure(group, "minutes: bytes a raw row, tidied", tidied, "B", most=MOST_BYTES),
            Figure(group, "minutes: CPU of keeping them, a raw row", kept.microseconds, "µs"),
            Figure(group, "minutes: that, to storing alone", share, "%"),
            *_reads(database, fleet[0], group),
        ]


class _Cost:
    """CPU seconds of PostgreSQL and of this process, and how many rows they were for."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.rows = 0
        self.own = self.database = 0.0

    @contextmanager
    def counted(self, rows: int) -> Iterator[None]:
        own, database = time.process_time(), self._installation.cpu
        yield
        self.own += time.process_time() - own
        self.database += self._installation.cpu - database
        self.rows += rows

    @property
    def microseconds(self) -> float:
        """Both, for a row."""
        return 1e6 * (self.own + self.database) / self.rows


def _add(cursor: Cursor, name: str, host: str) -> UUID:
    return vehicles.add_vehicle(cursor, name, host, 8001, None)


def _times(step: timedelta) -> Iterator[datetime]:
    return (START + n * step for n in range(DAY // step))


def _store(cursor: Cursor, vehicle: UUID, at: datetime) -> None:
    page = Measurements.from_rows(
        (at + timedelta(seconds=second), channel, (second * 37 + channel * 11) % 100 / 8)
        for second in range(CYCLE.seconds)
        for channel in range(1, CHANNELS + 1)
    )
    measurements.add_measurements(cursor, vehicle, page, at - timedelta(milliseconds=1))


def _follow(cursor: Cursor, at: datetime) -> None:
    cursor.execute("UPDATE public.vehicles SET last_sync_at = %s", (at,))


def _bytes_a_row(database: Database) -> float:
    def read(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(_SIZES)
        return cursor.fetchall()

    ((table, key, rows),) = database.run(read)
    return float((table + key) / rows)


def _reads(database: Database, vehicle: UUID, group: str) -> list[Figure]:
    slices = Slices.until((START + DAY).timestamp() - 1, DAY.total_seconds(), 300)
    ways: dict[str, Callable[..., object]] = {"rows": read_series, "minutes": read_minutes}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, read in ways.items():
            began = time.perf_counter()
            reading = partial(read, vehicle_id=vehicle, channels=[1], slices=slices)
            assert database.run(reading) is not None
            taken[way].append(1000 * (time.perf_counter() - began))
    return [
        Figure(group, f"a plot's day of a channel, from {way}", median(taken[way]), "ms")
        for way in ways
    ]
