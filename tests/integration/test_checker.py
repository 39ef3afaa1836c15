from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fleetsyncd.database import measurements, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import embedded, readings
from fleetsyncd.demo.checker import MARGIN, Comparison, Expectation, compare
from fleetsyncd.demo.lateness import Lateness
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements

NAME = "Truck-01"
CHANNELS = 2
START = datetime(2026, 3, 1, 11, 58, tzinfo=UTC)
END = START + timedelta(minutes=3)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def generated(start: datetime, end: datetime) -> list[tuple[datetime, int, float]]:
    seed = readings.seed_of(NAME)
    rows = readings.rows(seed, milliseconds(start), milliseconds(end), channels=CHANNELS)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [(epoch + timedelta(milliseconds=at), c, v) for c, at, v in rows if v is not None]


@pytest.fixture
def vehicle_id(database: Database) -> UUID:
    """Register a vehicle whose every row from START to END is stored."""

    def fill(cursor: Cursor) -> UUID:
        added = vehicles.add_vehicle(cursor, NAME, "10.8.0.17", 8001, None)
        cursor.execute("UPDATE vehicles SET last_sync_at = %s", (END,))
        measurements.add_measurements(cursor, added, Measurements.from_rows(generated(START, END)))
        return added

    Partitions(database).ensure(START, END)
    return database.run(fill)


def look(database: Database, vehicle_id: UUID, start: datetime = START) -> Comparison:
    return compare(database, [Expectation(vehicle_id, NAME, start, channels=CHANNELS)])


def plant(database: Database, statement: str, *arguments: object) -> None:
    database.run(lambda cursor: cursor.execute(statement, arguments))


def test_all_that_was_generated_and_nothing_else_is_clean(
    database: Database, vehicle_id: UUID
) -> None:
    findings = look(database, vehicle_id)
    assert findings.clean
    assert findings.checked == len(generated(START, END)) > 0


def test_a_lost_row_is_found(database: Database, vehicle_id: UUID) -> None:
    plant(database, "DELETE FROM measurements WHERE (channel_id, time) IN"
          " (SELECT channel_id, time FROM measurements OFFSET 100 LIMIT 1)")  # fmt: skip
    assert str(look(database, vehicle_id)) == "lost 1, altered 0, unexpected 0"


def test_an_altered_row_is_found(
    server: embedded.Server, database_name: str, database: Database, vehicle_id: UUID
) -> None:
    # The daemon's own role may not alter a measurement.
    owner = Database(DatabaseSettings(server.parameters(database_name, embedded.OWNER)))
    plant(owner, "UPDATE measurements SET value = value + 1e-9 WHERE (channel_id, time) IN"
          " (SELECT channel_id, time FROM measurements OFFSET 100 LIMIT 1)")  # fmt: skip
    assert str(look(database, vehicle_id)) == "lost 0, altered 1, unexpected 0"


def test_an_unexpected_row_is_found(database: Database, vehicle_id: UUID) -> None:
    row = (str(vehicle_id), START + timedelta(microseconds=1_000))
    plant(database, "INSERT INTO measurements VALUES (%s, 77, %s, 1)", *row)
    assert str(look(database, vehicle_id)) == "lost 0, altered 0, unexpected 1"


def test_a_watermark_that_is_not_true_is_found(database: Database, vehicle_id: UUID) -> None:
    ahead = END + timedelta(seconds=10)
    plant(database, "UPDATE vehicles SET last_sync_at = %s", ahead)
    assert look(database, vehicle_id).lost == len(generated(END, ahead))


def test_a_row_in_the_millisecond_between_two_slices_counts_once(
    database: Database, vehicle_id: UUID
) -> None:
    at = generated(START + timedelta(minutes=1), END)[0][0]
    slices_meet_in_that_millisecond = at + MARGIN - timedelta(hours=1) + timedelta(microseconds=700)
    findings = look(database, vehicle_id, slices_meet_in_that_millisecond)
    assert findings.unexpected == 0
    # Nothing before START is stored; everything from it on is.
    earlier = generated(slices_meet_in_that_millisecond, START)
    assert findings.lost == len(earlier)


def take_the_last_second(database: Database) -> None:
    plant(database, "DELETE FROM measurements WHERE time >= %s", END - timedelta(seconds=1))


def test_a_row_that_was_committed_late_and_never_stored_is_told_apart(
    database: Database, vehicle_id: UUID
) -> None:
    episode = Lateness(0.2, 0.2, until=(END - timedelta(minutes=1)).timestamp())
    expected = Expectation(vehicle_id, NAME, START, channels=CHANNELS, lateness=episode)
    plant(database, "DELETE FROM measurements WHERE time < %s", START + timedelta(seconds=1))
    assert str(compare(database, [expected])) == (
        f"lost 0, altered 0, unexpected 0, lost that came late {CHANNELS}"
    )
    plant(database, "DELETE FROM measurements WHERE time >= %s", END - timedelta(seconds=2))
    assert compare(database, [expected]).lost == 2 * CHANNELS


def test_a_row_that_the_vehicle_has_not_committed_yet_is_not_lost(
    database: Database, vehicle_id: UUID
) -> None:
    take_the_last_second(database)
    for seconds, lost in ((1.5, 0), (0.001, CHANNELS)):
        expected = Expectation(
            vehicle_id, NAME, START, channels=CHANNELS, lateness=Lateness(seconds, seconds)
        )
        assert compare(database, [expected]).lost_late == lost


def test_nothing_is_expected_of_a_vehicle_that_fell_silent(
    database: Database, vehicle_id: UUID
) -> None:
    take_the_last_second(database)
    expected = Expectation(
        vehicle_id, NAME, START, channels=CHANNELS, silent_from=END - timedelta(seconds=1)
    )
    assert compare(database, [expected]).clean
