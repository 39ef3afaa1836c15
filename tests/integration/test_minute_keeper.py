"""The daemon's part that keeps minutes: rounds, what comes first, and when it waits."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from fleetsyncd.database import due_minutes, minutes, purge, removal, replicas, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseError, DatabaseLost
from fleetsyncd.monitoring import events
from fleetsyncd.sync.minutes import PAUSE_SEC, MinuteKeeper
from fleetsyncd.times import month_of, utc_now
from tests.integration.test_adoption import as_owner
from tests.integration.test_minutes import (
    HOUR,
    NOON,
    SECOND,
    ask,
    due,
    expected,
    keep_all,
    pulled,
    rows,
    set_watermark,
    store_rows,
    stored,
)

FOR_EVER = 0


class Time:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def truck(database: Database) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))


def keeper(
    database: Database,
    keep_months: int | None = FOR_EVER,
    *,
    time: Time | None = None,
    emit: events.Listener = events.ignore_event,
    on_error: Callable[[DatabaseError], None] = lambda _error: None,
) -> MinuteKeeper:
    time = time or Time()
    return MinuteKeeper(
        database,
        keep_months,
        shards=lambda: None,
        now=lambda: NOON + 2 * HOUR,
        spawn=lambda work: work(),
        on_database_error=on_error,
        emit=emit,
        clock=lambda: time.now,
        sleep=time.sleep,
    )


def rounds(kept: MinuteKeeper, count: int = 1) -> None:
    for n in range(count):
        kept.run_if_due(n * 10_000.0)


def test_a_round_keeps_what_is_live_and_works_off_what_is_due(
    database: Database, truck: UUID
) -> None:
    pulled(database, truck, NOON - 20 * HOUR, 600)
    pulled(database, truck, NOON, 3600)
    it = keeper(database)
    rounds(it)
    assert stored(database) == expected(database)
    assert not due(database)
    pulled(database, truck, NOON + HOUR, 1200)
    store_rows(database, truck, rows(NOON + SECOND / 2, 30))
    rounds(it, 2)
    assert stored(database) == expected(database)
    assert len({row[2] for row in stored(database)}) == 10 + 75


@pytest.mark.parametrize("seed", range(3))
def test_a_daemon_that_ends_between_any_two_transactions_loses_nothing(
    database: Database, truck: UUID, seed: int
) -> None:
    for n in range(4):
        pulled(database, truck, NOON + n * HOUR / 2, 1800)
        store_rows(database, truck, rows(NOON - (n + 1) * HOUR + seed * SECOND / 4, 40))
        # Every daemon does one transaction more than the one before.
        for done, _pause in enumerate(keeper(database).steps()):
            if done >= 2 * n + seed:
                break
        assert stored(database) >= {row for row in expected(database) if not is_due(database, row)}
    rounds(keeper(database), 3)
    assert stored(database) == expected(database)
    assert not due(database)


def test_each_vehicle_whose_past_is_due_gets_its_turn(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.2", 8001, None))
    pulled(database, truck, NOON - HOUR, 3600)
    pulled(database, other, NOON - 2 * HOUR, 3600)
    turns, work_off = [], due_minutes.work_off

    def noted(cursor: Cursor, vehicle_id: UUID, bite: timedelta) -> minutes.Kept | None:
        turns.append(vehicle_id)
        return work_off(cursor, vehicle_id, min(bite, timedelta(minutes=10)))

    monkeypatch.setattr(due_minutes, "work_off", noted)
    rounds(keeper(database))
    assert turns[:4] == [truck, other, truck, other], "not the newer one's whole past first"
    assert stored(database) == expected(database)


def is_due(database: Database, row: tuple[object, ...]) -> bool:
    query = "SELECT EXISTS (SELECT FROM fleetsync.minute_due WHERE from_at <= %s AND to_at > %s)"
    return bool(ask(database, query, row[2], row[2])[0][0])


def test_what_is_due_gets_a_tenth_of_the_time(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled(database, truck, NOON - HOUR, 3600)
    time, work_off = Time(), due_minutes.work_off

    def slow(cursor: Cursor, vehicle_id: UUID, bite: timedelta) -> minutes.Kept | None:
        kept = work_off(cursor, vehicle_id, bite)
        time.now += 0.25 if kept else 0
        return kept

    monkeypatch.setattr(due_minutes, "work_off", slow)
    rounds(keeper(database, time=time))
    assert sum(time.slept) >= 9 * 0.25
    assert stored(database) < expected(database)


def test_a_round_ends_when_the_daemon_does(database: Database, truck: UUID) -> None:
    pulled(database, truck, NOON - HOUR, 3600)
    time = Time()
    it = keeper(database, time=time)
    it.accepting = False
    rounds(it)
    assert not ask(database, "SELECT FROM fleetsync.minute_state")
    it.accepting = True
    sleep = time.sleep

    def stop(seconds: float) -> None:
        sleep(seconds)
        it.accepting = len(time.slept) < 2

    it._sleep = stop
    rounds(it)
    assert time.slept == [PAUSE_SEC] * 2
    assert due(database)


@pytest.mark.parametrize("keep_months", [None, 1])
def test_it_is_off_unless_it_is_set_and_older_months_are_left_alone(
    database: Database, truck: UUID, keep_months: int | None
) -> None:
    pulled(database, truck, NOON - timedelta(days=60), 600)
    pulled(database, truck, NOON, 1200)
    rounds(keeper(database, keep_months), 3)
    found = stored(database)
    if keep_months is None:
        assert not found
        assert not ask(database, "SELECT FROM fleetsync.minute_state")
    else:
        assert len(found) == 2 * 15
        assert not due(database)


def test_what_is_switched_off_for_a_while_is_right_afterwards(
    database: Database, truck: UUID
) -> None:
    pulled(database, truck, NOON - 100 * HOUR, 1200)
    rounds(keeper(database), 2)
    off = keeper(database, None)
    pulled(database, truck, NOON, 1200)
    for n in range(due_minutes.MOST_DUE + 3):
        store_rows(database, truck, rows(NOON - (101 + n) * HOUR, 2))
    rounds(off)
    # Nothing grows without end meanwhile.
    assert len(due(database)) == 1
    rounds(keeper(database), 9)
    assert stored(database) == expected(database)
    assert not due(database)


def test_it_waits_for_daemons_that_store_rows_without_the_door(
    database: Database, truck: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    pulled(database, truck, NOON, 1200)
    former = replicas.Replica(30, host="old-host")
    database.run(lambda c: replicas.write_heartbeat(c, former, 1.0, 2))
    it = keeper(database)
    rounds(it, 3)
    assert not stored(database)
    told = [line for line in caplog.messages if "old-host" in line]
    assert len(told) == 1
    database.run(lambda c: replicas.remove_replica(c, former))
    rounds(it, 2)
    assert stored(database) == expected(database)


def test_a_daemon_that_knows_the_door_but_no_minutes_is_no_reason_to_wait(
    database: Database, truck: UUID
) -> None:
    former = replicas.Replica(30, migration="0025.one-door")
    database.run(lambda c: replicas.write_heartbeat(c, former, 1.0, 2))
    pulled(database, truck, NOON, 1200)
    rounds(keeper(database), 2)
    assert stored(database) == expected(database) != set()


def test_that_minutes_are_late_is_told_once_an_hour(
    database: Database, truck: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[events.Event] = []
    time = Time()
    it = keeper(database, time=time, emit=seen.append)
    pulled(database, truck, NOON, 600)
    rounds(it)
    assert seen == [events.MinutesKept(0.0, 1)]
    set_watermark(database, truck, NOON + 5 * HOUR)
    with database.transaction() as cursor:
        # Somebody writes to the vehicle all the time.
        cursor.execute("SELECT FROM vehicles FOR KEY SHARE")
        for number, wait in enumerate((0.0, 1800.0, 1800.0), 1):
            time.now += wait
            it.run_if_due(number * 10_000.0)
    assert isinstance(seen[-1], events.MinutesKept)
    assert seen[-1].behind_sec == 17_400
    told = [each for each in caplog.records if "minutes are 5h behind" in each.message]
    assert [each.levelno for each in told] == [logging.WARNING] * 2


def test_an_error_ends_the_round_and_the_next_one_tries_again(
    server: Server,
    database_name: str,
    database: Database,
    truck: UUID,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pulled(database, truck, NOON, 1200)
    revoked = "INSERT ON measurements_minute"
    as_owner(server, database_name, f"REVOKE {revoked} FROM fleet_app")
    errors: list[DatabaseError] = []
    it = keeper(database, on_error=errors.append)
    rounds(it)
    assert f"the minutes of vehicle {truck} could not be computed" in caplog.text
    as_owner(server, database_name, f"GRANT {revoked} TO fleet_app")
    rounds(it, 2)
    assert stored(database) == expected(database) != set()
    assert not errors


def test_a_vehicle_whose_minutes_cannot_be_computed_keeps_no_other_from_it(
    database: Database,
    server: Server,
    database_name: str,
    truck: UUID,
    caplog: pytest.LogCaptureFixture,
) -> None:
    others = [
        database.run(partial(vehicles.add_vehicle, name=name, host=host, port=8001, key=None))
        for name, host in (("Truck-02", "10.8.0.2"), ("Truck-03", "10.8.0.3"))
    ]
    for vehicle in (truck, *others):
        pulled(database, vehicle, NOON - HOUR, 600)
    rounds(keeper(database))
    as_owner(
        server,
        database_name,
        "ALTER TABLE measurements_minute ADD CONSTRAINT refused"
        f" CHECK (vehicle_id <> '{truck}') NOT VALID",
    )
    for vehicle in (truck, *others):
        store_rows(database, vehicle, rows(NOON - HOUR + SECOND / 2, 9))
        pulled(database, vehicle, NOON, 3600)
    it = keeper(database)
    rounds(it, 8)
    wrong = {row[0] for row in stored(database) ^ expected(database)}
    assert wrong == {str(truck)}
    assert f"the minutes of vehicle {truck} could not be computed" in caplog.text
    as_owner(server, database_name, "ALTER TABLE measurements_minute DROP CONSTRAINT refused")
    rounds(it, 12)
    assert stored(database) == expected(database)


def test_a_month_is_dropped_only_when_its_minutes_are_computed(
    database: Database, truck: UUID
) -> None:
    now = utc_now()
    old = month_of(now - timedelta(days=100))
    store_rows(database, truck, rows(old + HOUR, 600))
    set_watermark(database, truck, now)
    told: list[str] = []
    policy = RetentionPolicy(None, None, 1, minutes_keep_months=FOR_EVER)
    retention = Retention(database, policy, tell=told.append)

    def drop() -> bool:
        list(retention.steps(utc_now))
        return ask(database, "SELECT to_regclass(%s)", f"measurements_{old:%Y_%m}") == [(None,)]

    assert not drop(), "it is announced first"
    ask(database, "UPDATE fleetsync.retention SET due_at = now(), since = now() - interval '9 d'")
    # Before the first round has begun with them, and after.
    for _ in range(2):
        assert not drop()
        assert "minutes of 1 vehicle(s) are still to be computed from measurements_" in told[-1]
        database.run(minutes.begin)
    keep_all(database)
    before = stored(database)
    assert drop()
    assert stored(database) == before != set()


def drop_expired(database: Database, months: int = 3) -> str:
    """Let retention of measurements run whose announcement is over; return what it told."""
    told: list[str] = []
    policy = RetentionPolicy(None, None, 1, minutes_keep_months=FOR_EVER)
    retention = Retention(database, policy, tell=told.append, warn=told.append)
    list(retention.steps(utc_now))
    ask(database, "UPDATE fleetsync.retention SET due_at = now(), since = now() - interval '9 d'")
    for _ in range(months):
        list(retention.steps(utc_now))
    return "\n".join(told)


def old_hour() -> datetime:
    """Return a time of a month that has expired, far from its ends."""
    return month_of(utc_now() - timedelta(days=100)) + timedelta(days=9)


def test_the_last_minutes_before_a_vehicle_fell_silent_are_computed_before_the_drop(
    database: Database, truck: UUID
) -> None:
    old = old_hour()
    pulled(database, truck, old, 3600)
    keep_all(database)
    assert len(stored(database)) < 2 * 60
    assert "minutes of 1 vehicle(s) are still to be computed" in drop_expired(database)
    rounds(keeper(database), 3)
    before = stored(database)
    assert (len(before), before) == (2 * 60, expected(database))
    assert "dropped partition" in drop_expired(database)
    assert not ask(database, "SELECT FROM measurements")
    assert stored(database) == before


@pytest.mark.parametrize("is_kept", [True, False])
def test_rows_that_no_watermark_has_reached_are_computed_before_the_drop(
    database: Database, truck: UUID, is_kept: bool
) -> None:
    """As after a gap that makes no progress, or of a backfill of a vehicle never pulled."""
    old = old_hour()
    if is_kept:
        pulled(database, truck, old, 600)
        keep_all(database)
    store_rows(database, truck, rows(old + HOUR, 600))
    assert "still to be computed" in drop_expired(database)
    rounds(keeper(database), 3)
    before = stored(database)
    assert (len(before) >= 2 * 10, before) == (True, expected(database))
    assert "dropped partition" in drop_expired(database)
    assert stored(database) == before


def test_a_vehicle_that_comes_back_after_the_drop_goes_on_where_it_is(
    database: Database, truck: UUID
) -> None:
    pulled(database, truck, old_hour(), 600)
    rounds(keeper(database), 2)
    drop_expired(database)
    rounds(keeper(database), 3)
    drop_expired(database)
    before = stored(database)
    pulled(database, truck, utc_now().replace(second=0, microsecond=0) - HOUR, 3600)
    rounds(keeper(database), 3)
    assert stored(database) == before | expected(database)
    assert len(stored(database)) > len(before)


def test_a_lost_database_is_told_to_the_main_loop(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[DatabaseError] = []
    lost = DatabaseLost("gone")

    def fail(_cursor: Cursor, **_arguments: object) -> None:
        raise lost

    monkeypatch.setattr(due_minutes, "crowded_vehicles", fail)
    rounds(keeper(database, on_error=errors.append))
    assert errors == [lost]


def test_a_removed_vehicle_leaves_no_minutes_once_it_is_purged(
    database: Database, truck: UUID
) -> None:
    pulled(database, truck, NOON, 1200)
    rounds(keeper(database), 2)
    assert ask(database, "SELECT count(*) FROM measurements_minute") != [(0,)]
    ask(database, "DELETE FROM measurements")
    (removed,) = removal.remove_vehicles(database, [truck], with_measurements=True)
    # Minutes may be all that is left.
    assert removed.measurements_left
    assert not ask(database, "SELECT FROM fleetsync.minute_state")
    assert purge.purge_by_id(database, truck) == 0
    assert not ask(database, "SELECT FROM measurements_minute")
