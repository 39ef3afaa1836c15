"""The number of measurements with which a command or a dialog asks before it deletes them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database import measurements, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.estimates import Count, count_measurements
from fleetsyncd.demo.embedded import Server
from fleetsyncd.telemetry import Measurements

JANUARY = datetime(2026, 1, 10, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 10, tzinfo=UTC)
EXACT_UP_TO = 1_000
AT_LEAST = Count(EXACT_UP_TO, exact=False, at_least=True)
MONTHS = ("measurements_2026_01", "measurements_2026_02")
AUTOVACUUM_OFF = sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)")
Add = Callable[..., UUID]


@pytest.fixture
def add(server: Server, database_name: str, database: Database) -> Add:
    """Return a function that stores rows of a vehicle, of a new one unless it is given."""
    Partitions(database).ensure(JANUARY, FEBRUARY)
    off = (AUTOVACUUM_OFF.format(sql.Identifier(month)) for month in MONTHS)
    server.execute(*off, database=database_name)
    numbers = count(1)

    def store(start: datetime, rows: int, truck: UUID | None = None) -> UUID:
        number = next(numbers)
        owner = truck or database.run(
            lambda c: vehicles.add_vehicle(c, f"Truck-{number:02d}", f"10.0.0.{number}", 8001, None)
        )
        page = Measurements.from_rows((start + timedelta(seconds=n), 1, 0.5) for n in range(rows))
        database.run(lambda cursor: measurements.add_measurements(cursor, owner, page))
        return owner

    return store


@pytest.fixture
def analyse(server: Server, database_name: str) -> Callable[[], None]:
    """Return a function that gathers statistics, which nothing else does."""
    return lambda: server.execute(sql.SQL("ANALYZE measurements"), database=database_name)


def counted(database: Database, truck: UUID) -> Count:
    return database.run(lambda cursor: count_measurements(cursor, [truck], EXACT_UP_TO))


def test_a_small_number_is_exact(database: Database, add: Add) -> None:
    truck = add(JANUARY, 999)
    assert counted(database, truck) == Count(999)
    assert counted(database, truck).text == "999"


def test_without_statistics_the_number_is_the_least_there_is(database: Database, add: Add) -> None:
    truck = add(JANUARY, 20_000)
    add(JANUARY, 5_000)
    assert counted(database, truck) == AT_LEAST
    assert AT_LEAST.text == "at least 1,000"


def test_a_large_number_is_estimated_by_statistics(
    database: Database, add: Add, analyse: Callable[[], None]
) -> None:
    truck = add(JANUARY, 20_000)
    add(JANUARY, 10_000)
    analyse()
    left = counted(database, truck)
    assert (left.exact, left.at_least) == (False, False)
    assert left.rows == pytest.approx(20_000, rel=0.2)
    assert left.text == f"about {left.rows:,}"


def test_a_month_that_has_grown_since_counts_with_its_size_of_now(
    database: Database, add: Add, analyse: Callable[[], None]
) -> None:
    truck = add(JANUARY, 10_000)
    analyse()
    add(JANUARY + timedelta(days=1), 30_000, truck)
    left = counted(database, truck)
    assert not left.at_least
    assert left.rows == pytest.approx(40_000, rel=0.2)


@pytest.mark.parametrize(("unknown", "is_estimate"), [(20, True), (10_000, False)])
def test_a_month_without_statistics_spoils_an_estimate_only_if_it_is_large(
    database: Database,
    add: Add,
    analyse: Callable[[], None],
    unknown: int,
    is_estimate: bool,
) -> None:
    truck = add(JANUARY, 20_000)
    analyse()
    add(FEBRUARY, unknown, truck)
    left = counted(database, truck)
    assert left.at_least is not is_estimate
    assert (left == AT_LEAST) is not is_estimate


def test_no_estimate_is_smaller_than_what_was_counted(
    database: Database, add: Add, analyse: Callable[[], None]
) -> None:
    add(JANUARY, 20_000)
    analyse()
    truck = add(JANUARY, 3_000)
    assert counted(database, truck) == AT_LEAST
