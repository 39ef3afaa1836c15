from datetime import UTC, datetime, timedelta
from threading import Thread
from uuid import UUID

import pytest

from fleetsyncd.database import measurements, store, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.telemetry import Measurements

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(params=[None, NOON - SECOND], ids=["unknown", "taken to be none"])
def newest(request: pytest.FixtureRequest) -> datetime | None:
    """What the writer takes for the newest row stored: it may be mistaken."""
    known: datetime | None = request.param
    return known


@pytest.fixture
def truck(database: Database) -> UUID:
    Partitions(database).ensure(NOON, NOON)
    return database.run(
        lambda cursor: vehicles.add_vehicle(cursor, "Truck-01", "10.8.0.1", 8001, None)
    )


def rows(first: int, last: int) -> Measurements:
    return Measurements.from_rows((NOON + at * SECOND, 1, float(at)) for at in range(first, last))


def commit(cursor: Cursor, truck: UUID, part: Measurements, newest: datetime | None = None) -> int:
    added = measurements.add_measurements(cursor, truck, part, newest)
    store.advance_watermark(
        cursor,
        store.WatermarkUpdate(
            vehicle_id=truck,
            known=None,
            watermark=part.times[-1],
            newest_measurement_at=part.times[-1],
            clock_skew=timedelta(0),
            software_version="1.1.0",
            known_asked_to=None,
            pulled_from=NOON - SECOND,
            gap=None,
        ),
    )
    return added


def total(cursor: Cursor) -> int:
    cursor.execute("SELECT count(*) FROM public.measurements")
    return int(cursor.fetchall()[0][0])


def test_rows_of_the_overlap_are_stored_once_beside_new_ones(
    database: Database, truck: UUID, newest: datetime | None
) -> None:
    assert database.run(lambda cursor: commit(cursor, truck, rows(0, 30))) == 30
    assert database.run(lambda cursor: commit(cursor, truck, rows(25, 60), newest)) == 30
    assert database.run(total) == 60


def test_a_late_row_before_the_newest_one_is_still_added(
    database: Database, truck: UUID, newest: datetime | None
) -> None:
    database.run(lambda cursor: commit(cursor, truck, rows(10, 30)))
    assert database.run(lambda cursor: commit(cursor, truck, rows(5, 35), newest)) == 10


def test_rows_that_another_daemon_stored_meanwhile_are_not_counted(
    database: Database, truck: UUID, newest: datetime | None
) -> None:
    database.run(lambda cursor: commit(cursor, truck, rows(0, 10)))
    database.run(lambda cursor: measurements.add_measurements(cursor, truck, rows(20, 30)))
    assert database.run(lambda cursor: commit(cursor, truck, rows(5, 40), newest)) == 20
    assert database.run(total) == 40


def test_a_row_that_comes_twice_in_one_answer_is_stored_once(
    database: Database, truck: UUID, newest: datetime | None
) -> None:
    twice = Measurements.from_rows([*rows(0, 5).rows(), *rows(3, 8).rows()])
    assert database.run(lambda cursor: commit(cursor, truck, twice, newest)) == 8


def test_two_writers_of_the_same_new_rows_add_each_row_once(
    database: Database, truck: UUID, newest: datetime | None
) -> None:
    database.run(lambda cursor: commit(cursor, truck, rows(0, 1)))
    added: list[int] = []

    def write() -> None:
        added.append(
            database.run(lambda c: measurements.add_measurements(c, truck, rows(1, 5000), newest))
        )

    writers = [Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sum(added) == 4999
    assert database.run(total) == 5000
