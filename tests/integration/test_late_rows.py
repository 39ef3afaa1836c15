"""Which of the rows that are added count as late: those of a time that was pulled before."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fleetsyncd.database import measurements, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.lateness import Added
from fleetsyncd.telemetry import Measurements

AT = datetime(2026, 2, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def rows(*seconds: int) -> Measurements:
    return Measurements.from_rows((AT + second * SECOND, 1, 0.5) for second in seconds)


@pytest.fixture
def truck(database: Database) -> UUID:
    Partitions(database).ensure(AT, AT)
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.0.0.1", 8001, None))


def add(
    database: Database, truck: UUID, *seconds: int, newest: int | None, head: int | None
) -> Added:
    newest_at = None if newest is None else AT + newest * SECOND
    head_at = None if head is None else AT + head * SECOND
    return database.run(
        lambda c: measurements.add_pulled(c, truck, rows(*seconds), newest_at, head_at)
    )


@pytest.mark.parametrize("newest", [None, -1, 0, 2, 9])
def test_rows_before_the_head_are_late_whether_they_are_taken_as_new_or_not(
    database: Database, truck: UUID, newest: int | None
) -> None:
    added = add(database, truck, 1, 2, 3, 4, newest=newest, head=3)
    assert added == Added(4, 2, AT + SECOND)


def test_rows_that_are_stored_already_are_not_late(database: Database, truck: UUID) -> None:
    add(database, truck, 1, 3, newest=None, head=None)
    assert add(database, truck, 1, 2, 3, 4, newest=3, head=4) == Added(2, 1, AT + 2 * SECOND)
    assert add(database, truck, 1, 2, 3, 4, newest=4, head=9) == Added()


def test_rows_that_others_stored_meanwhile_are_not_late(database: Database, truck: UUID) -> None:
    add(database, truck, 2, newest=None, head=None)
    assert add(database, truck, 2, 3, newest=0, head=9) == Added(1, 1, AT + 3 * SECOND)


def test_without_a_head_none_is_late(database: Database, truck: UUID) -> None:
    for newest in (None, 0):
        database.run(lambda c: c.execute("DELETE FROM public.measurements"))
        assert add(database, truck, 1, 2, newest=newest, head=None) == Added(2)
