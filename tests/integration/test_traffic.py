from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg2 import sql

from fleetsyncd.database import replicas, traffic, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.replicas import Replica
from fleetsyncd.database.traffic import Batch, add_batch
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.database.views.traffic import (
    TrafficPeriod,
    traffic_by_day,
    traffic_by_month,
    with_traffic,
)
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseError
from fleetsyncd.states import LinkTraffic
from fleetsyncd.sync.traffic import EVERY_SEC, TrafficCounts, TrafficKeeper
from fleetsyncd.traffic import Traffic

DAEMON = Replica(30.0)
NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)
ROWS = "SELECT day, received_bytes, sent_bytes, requests FROM fleetsync.traffic ORDER BY day"


def rows(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def add_vehicle(database: Database, name: str, host: str) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, name, host, 8001, None))


@pytest.fixture
def truck(database: Database) -> UUID:
    return add_vehicle(database, "Truck-01", "10.8.0.1")


def beat(database: Database) -> None:
    database.run(lambda cursor: replicas.write_heartbeat(cursor, DAEMON, None, 1))


class Kept:
    """A daemon's keeper of traffic over a clock that the test sets; rounds run when they start."""

    def __init__(self, database: Database) -> None:
        self.now = NOON
        self.counts = TrafficCounts(lambda: self.now)
        self.errors: list[DatabaseError] = []
        self.keeper = TrafficKeeper(
            database, self.counts, DAEMON.id, lambda work: work(), self.errors.append
        )


@pytest.fixture
def kept(database: Database) -> Kept:
    beat(database)
    return Kept(database)


def test_a_batch_that_is_sent_twice_counts_once(database: Database, truck: UUID) -> None:
    beat(database)
    batch = Batch(1, {(truck, NOON.date()): Traffic(1000, 100, 4)})
    for _ in range(2):
        assert database.run(lambda c: add_batch(c, DAEMON.id, batch))
    following = Batch(2, batch.carried)
    assert rows(database, ROWS) == [(NOON.date(), 1000, 100, 4)]
    assert database.run(lambda c: add_batch(c, DAEMON.id, following))
    assert rows(database, ROWS) == [(NOON.date(), 2000, 200, 8)]


def test_what_two_daemons_count_of_a_vehicle_adds_up(database: Database, truck: UUID) -> None:
    other = Replica(30.0)
    beat(database)
    database.run(lambda c: replicas.write_heartbeat(c, other, None, 1))
    for daemon in (DAEMON, other):
        batch = Batch(1, {(truck, NOON.date()): Traffic(7, 5, 1)})
        assert database.run(partial(add_batch, replica_id=daemon.id, batch=batch))
    assert rows(database, ROWS) == [(NOON.date(), 14, 10, 2)]


def test_a_batch_waits_for_the_daemons_heartbeat(database: Database, truck: UUID) -> None:
    it = Kept(database)
    it.counts.note(truck, Traffic(1000, 100, 4))
    it.keeper.store()
    assert rows(database, ROWS) == []
    beat(database)
    it.counts.note(truck, Traffic(1, 1, 1))
    it.keeper.store()
    assert rows(database, ROWS) == [(NOON.date(), 1001, 101, 5)]


def test_a_vehicle_that_was_removed_keeps_no_other_from_being_counted(
    database: Database, kept: Kept, truck: UUID
) -> None:
    kept.counts.note(uuid4(), Traffic(5, 5, 5))
    kept.keeper.store()
    kept.counts.note(uuid4(), Traffic(5, 5, 5))
    kept.counts.note(truck, Traffic(1, 2, 3))
    kept.keeper.store()
    assert rows(database, ROWS) == [(NOON.date(), 1, 2, 3)]
    rows(database, "DELETE FROM vehicles")
    assert rows(database, ROWS) == []


def wait_for_lock(database: Database, future: Future[Any]) -> None:
    """Return once the transaction of `future` waits for a row that another one holds."""
    while rows(database, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
        assert not future.done()


def test_a_heartbeat_does_not_wait_for_the_vehicle_that_a_batch_waits_for(
    database: Database, kept: Kept, truck: UUID
) -> None:
    kept.counts.note(truck, Traffic(1, 2, 3))
    with ThreadPoolExecutor(2) as threads:
        with database.transaction() as removal:
            removal.execute("SELECT FROM vehicles FOR UPDATE")
            storing = threads.submit(kept.keeper.store)
            wait_for_lock(database, storing)
            threads.submit(beat, database).result(10)
        with suppress(DatabaseError):
            storing.result(10)
    kept.keeper.store()
    assert rows(database, ROWS) == [(NOON.date(), 1, 2, 3)]


def test_days_are_those_of_utc_when_a_call_ends(
    database: Database, kept: Kept, truck: UUID
) -> None:
    kept.now = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    kept.counts.note(truck, Traffic(1, 0, 1))
    kept.now += timedelta(seconds=1)
    kept.counts.note(truck, Traffic(2, 0, 1))
    kept.keeper.store()
    assert rows(database, ROWS) == [(date(2026, 2, 28), 1, 0, 1), (date(2026, 3, 1), 2, 0, 1)]


def test_it_is_stored_once_a_minute_and_at_the_end(
    database: Database, kept: Kept, truck: UUID
) -> None:
    stored = []
    for monotonic in (1000.0, 1001.0, 1000.0 + EVERY_SEC):
        kept.counts.note(truck, Traffic(1, 0, 1))
        kept.keeper.run_if_due(monotonic)
        stored.append(rows(database, ROWS)[0][1])
    kept.counts.note(truck, Traffic(1, 0, 1))
    kept.keeper.end(1)
    assert [*stored, rows(database, ROWS)[0][1]] == [1, 1, 3, 4]


def test_what_cannot_be_stored_is_kept_and_counts_once(
    database: Database, server: Server, database_name: str, kept: Kept, truck: UUID
) -> None:
    refuse = "ALTER TABLE fleetsync.traffic ADD CONSTRAINT refused CHECK (sent_bytes <> 2)"
    allow = "ALTER TABLE fleetsync.traffic DROP CONSTRAINT refused"
    server.execute(sql.SQL(refuse), database=database_name)
    kept.counts.note(truck, Traffic(1, 2, 1))
    for monotonic in (1000.0, 2000.0):
        kept.keeper.run_if_due(monotonic)
    kept.keeper.end(1)
    assert rows(database, ROWS) == []
    server.execute(sql.SQL(allow), database=database_name)
    kept.counts.note(truck, Traffic(10, 20, 10))
    kept.keeper.run_if_due(3000.0)
    assert rows(database, ROWS) == [(NOON.date(), 11, 22, 11)]


def test_the_end_of_a_daemon_tells_what_a_round_may_still_store_and_nothing_that_is_stored(
    database: Database, kept: Kept, truck: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    kept.counts.note(truck, Traffic(1000, 100, 1))
    started: list[Callable[[], None]] = []
    slow = TrafficKeeper(database, kept.counts, DAEMON.id, started.append, kept.errors.append)
    slow.run_if_due(1000.0)
    slow.end(0)
    assert rows(database, ROWS) == []
    started[0]()
    slow.tell_loss(None)
    assert (rows(database, ROWS), caplog.messages) == ([(NOON.date(), 1000, 100, 1)], [])
    kept.counts.note(truck, Traffic(2_000_000, 0, 1))
    slow.run_if_due(2000.0)
    slow.end(0)
    slow.tell_loss(None)
    assert [line.split(" that")[0] for line in caplog.messages] == ["2 MB"]


def test_thirteen_months_are_kept_beside_the_present_one(database: Database, truck: UUID) -> None:
    rows(
        database,
        "INSERT INTO fleetsync.traffic SELECT %s::uuid, (date_trunc('month', now())"
        " - interval '13 months')::date - n FROM generate_series(-400, 20) n",
        str(truck),
    )
    for _step in traffic.expire(database):
        pass
    oldest = "SELECT min(day) = (date_trunc('month', now()) - interval '13 months')::date, count(*)"
    assert rows(database, oldest + " FROM fleetsync.traffic") == [(True, 401)]


def test_the_overview_has_today_this_month_and_the_last_one(
    database: Database, truck: UUID
) -> None:
    quiet = add_vehicle(database, "Truck-02", "10.8.0.2")
    rows(
        database,
        "INSERT INTO fleetsync.traffic (vehicle_id, day, received_bytes, sent_bytes)"
        " SELECT %s::uuid, day, received, 1 FROM (VALUES"
        " (current_date, 10), (date_trunc('month', current_date)::date - 1, 200),"
        " ((date_trunc('month', current_date) - interval '1 month')::date, 3000),"
        " ((date_trunc('month', current_date) - interval '1 month')::date - 1, 40000))"
        " n(day, received)",
        str(truck),
    )
    shown = database.run(lambda c: with_traffic(c, fleet_overview(c, 30)))
    assert {each.id: each.traffic for each in shown} == {
        truck: LinkTraffic(11, 11, 3202),
        quiet: LinkTraffic(),
    }


def test_months_and_days_of_the_named_vehicles_are_listed_the_newest_first(
    database: Database, kept: Kept, truck: UUID
) -> None:
    other = add_vehicle(database, "Truck-02", "10.8.0.2")
    for moment, key in ((NOON, truck), (NOON - timedelta(days=1), truck), (NOON, other)):
        kept.now = moment
        kept.counts.note(key, Traffic(10, 1, 2))
    kept.now = NOON + timedelta(days=1)
    kept.counts.note(truck, Traffic(5, 1, 1))
    kept.keeper.store()
    assert database.run(lambda c: traffic_by_month(c, date(2026, 2, 1), [truck])) == [
        TrafficPeriod(truck, "Truck-01", "2026-03", 5, 1, 1),
        TrafficPeriod(truck, "Truck-01", "2026-02", 20, 2, 4),
    ]
    everyone = database.run(lambda c: traffic_by_day(c, NOON.date()))
    assert [(each.name, each.period) for each in everyone] == [
        ("Truck-01", "2026-03-01"),
        ("Truck-01", "2026-02-28"),
        ("Truck-02", "2026-02-28"),
    ]
