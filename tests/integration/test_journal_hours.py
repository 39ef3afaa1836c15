"""The attempts of each hour, as the journal has them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fleetsyncd.database import vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.journal_hours import HourCount, journal_hours, present_hour


def register(database: Database, number: int) -> UUID:
    return database.run(
        lambda c: vehicles.add_vehicle(c, f"Truck-{number}", f"10.2.0.{number}", 8001, None)
    )


def attempt(cursor: Cursor, vehicle: UUID, at: datetime, status: str) -> None:
    cursor.execute(
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)"
        " VALUES (%s::uuid, %s, %s, %s, 0)",
        (str(vehicle), at, at + timedelta(seconds=2), status),
    )


def test_attempts_are_counted_in_the_hour_in_which_they_began(database: Database) -> None:
    truck, other = register(database, 1), register(database, 2)
    now = database.run(present_hour)

    def at(hour: int, seconds: float = 0) -> datetime:
        return datetime.fromtimestamp(3600 * hour + seconds, UTC)

    def write(cursor: Cursor) -> None:
        attempt(cursor, truck, at(now - 30), "ok")
        attempt(cursor, truck, at(now - 3, 3599), "timeout")
        for seconds in (0, 30, 3599.9):
            attempt(cursor, truck, at(now - 2, seconds), "ok")
        attempt(cursor, truck, at(now - 2, 60), "error")
        attempt(cursor, truck, at(now + 5), "ok")  # by a clock that was ahead

    database.run(write)
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now - 23, other: now - 23}))
    assert read.now == now
    assert read.counts == {
        truck: {now - 3: HourCount(1, 0), now - 2: HourCount(4, 3)},
        other: {},
    }
    assert read.oldest == {truck: now - 30}
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now - 2}))
    assert set(read.counts[truck]) == {now - 2}, "what was read before is left out"


def test_an_endless_time_in_the_journal_hides_nothing(database: Database) -> None:
    truck = register(database, 1)
    now = database.run(present_hour)
    database.run(
        lambda c: c.execute(
            "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)"
            " SELECT %s::uuid, t, t, 'ok', 0 FROM unnest(ARRAY['-infinity', 'infinity',"
            " '0044-03-15 BC']::timestamptz[]) t",
            (str(truck),),
        )
    )
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now - 23}))
    assert read.counts[truck] == {}
    assert read.oldest[truck] < 0
