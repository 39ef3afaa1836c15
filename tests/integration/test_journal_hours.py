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


def attempt(cursor: Cursor, vehicle: UUID, at: datetime, status: str, seconds: float = 2) -> None:
    cursor.execute(
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)"
        " VALUES (%s::uuid, %s, %s, %s, 0)",
        (str(vehicle), at, at + timedelta(seconds=seconds), status),
    )


def test_attempts_are_counted_in_the_hours_that_they_took(database: Database) -> None:
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
        truck: {now - 3: HourCount(1, 0), now - 2: HourCount(5, 3), now - 1: HourCount(1, 1)},
        other: {},
    }
    assert read.oldest == {truck: now - 30}
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now - 1}))
    assert read.counts[truck] == {now - 2: HourCount(5, 3), now - 1: HourCount(1, 1)}
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now}))
    assert read.counts[truck] == {}, "what was read before is left out"


def test_a_long_attempt_is_counted_in_all_its_hours_when_it_has_ended(database: Database) -> None:
    truck = register(database, 1)
    now = database.run(present_hour)

    def at(hour: int) -> datetime:
        return datetime.fromtimestamp(3600 * hour + 60, UTC)

    def write(cursor: Cursor) -> None:
        attempt(cursor, truck, at(now - 7), "timeout")
        attempt(cursor, truck, at(now - 6), "timeout")
        attempt(cursor, truck, at(now - 6) + timedelta(seconds=9), "ok", 5 * 3600)
        attempt(cursor, truck, at(now - 1) + timedelta(seconds=20), "error")

    database.run(write)
    whole = {
        now - 6: HourCount(2, 1), **{now - ago: HourCount(1, 1) for ago in (5, 4, 3, 2)},
        now - 1: HourCount(2, 1),
    }  # fmt: skip
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now - 23}))
    assert read.counts[truck] == {now - 7: HourCount(1, 0), **whole}
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now - 1}))
    assert read.counts[truck] == whole, "also for a page that was open all the time"


def test_an_attempt_of_days_is_read_for_the_last_day_only(database: Database) -> None:
    truck = register(database, 1)
    now = database.run(present_hour)
    began = datetime.fromtimestamp(3600 * (now - 99), UTC)
    database.run(lambda cursor: attempt(cursor, truck, began, "error", 98.5 * 3600))
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now - 1}))
    assert read.counts[truck] == {hour: HourCount(1, 0) for hour in range(now - 23, now)}


def test_a_pull_that_has_not_ended_tells_how_far_it_came(database: Database) -> None:
    truck, other = register(database, 1), register(database, 2)
    now = database.run(present_hour)
    database.run(
        lambda c: c.execute(
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, catching_up_from, updated_at)"
            " VALUES (%(pulled)s::uuid, now() - interval '9 h', to_timestamp(%(at)s)),"
            " (%(other)s::uuid, NULL, to_timestamp(%(at)s))",
            {"pulled": str(truck), "other": str(other), "at": 3600 * (now - 2) + 5},
        )
    )
    read = database.run(lambda cursor: journal_hours(cursor, {truck: now, other: now}))
    assert read.pulled_until == {truck: now - 2}


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
