"""What is asked of one server takes no more round trips than it did before there were clusters."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from psycopg2 import extensions

from fleetsyncd.database import audits, cluster, due_minutes, vehicles
from fleetsyncd.database.connections import Connection
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views import minute_series, vehicle
from fleetsyncd.database.views.series import Slices
from tests.integration.test_minutes import (
    HOUR,
    NOON,
    ask,
    keep_all,
    rows,
    set_watermark,
    store_rows,
)


@pytest.fixture
def truck(database: Database) -> UUID:
    """Return a vehicle with six hours of rows, whose minutes are kept."""
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    store_rows(database, truck, rows(NOON, 6 * 60, (1, 7), timedelta(minutes=1)))
    set_watermark(database, truck, NOON + 6 * HOUR)
    keep_all(database)
    ask(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name, min_value)"
        " VALUES (%s::uuid, 1, 'load, {0} %%s', 'NaN'), (%s::uuid, 7, '', '-Infinity')"
        " RETURNING 1",
        str(truck),
        str(truck),
    )
    return truck


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is sent to the server from now on."""
    sent: list[str] = []
    execute = Cursor.execute

    def counted(cursor: Cursor, query: str, arguments: object = None) -> None:
        if not query.startswith("COMMIT"):
            sent.append(query)
        execute(cursor, query, arguments)

    monkeypatch.setattr(Cursor, "execute", counted)
    return sent


def test_newest_values(database: Database, truck: UUID, trips: list[str]) -> None:
    shown = database.run(partial(vehicle.channel_values, vehicle_id=truck))
    assert [(each.channel_id, each.name) for each in shown] == [(1, "load, {0} %s"), (7, "")]
    assert [str(each.min_value) for each in shown] == ["nan", "-inf"]
    assert len(trips) == 2


def test_minutes_of_a_plot(database: Database, truck: UUID, trips: list[str]) -> None:
    slices = Slices.until((NOON + 6 * HOUR).timestamp(), 6 * 3600.0, 60)
    read = partial(minute_series.read_minutes, vehicle_id=truck, channels=[1, 7], slices=slices)
    assert database.run(read) is not None
    assert len(trips) == 6


def test_minutes_that_are_due(database: Database, truck: UUID, trips: list[str]) -> None:
    store_rows(database, truck, rows(NOON + timedelta(seconds=30), 1, (1,)))
    trips.clear()
    due = database.run(partial(due_minutes.next_due, vehicle_id=truck))
    assert due is not None
    assert due.end == NOON + timedelta(minutes=1)
    assert len(trips) == 2


def test_an_audit_of_all_that_is_stored(database: Database, truck: UUID, trips: list[str]) -> None:
    ask_for = partial(audits.request_audit, start=None, end=datetime.now(UTC), report_only=True)
    asked = database.run(partial(ask_for, vehicle_id=truck))
    assert asked.start == NOON
    assert len(trips) == 1


def test_what_a_connection_is_comes_with_the_first_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute = extensions.cursor.execute

    def counted(cursor: Cursor, query: str, arguments: Any = None) -> None:
        if not cursor.begun:
            query, cursor.begun = f"{cursor.opening}; {query}", True
        sent.append(query.rpartition("; ")[2])
        execute(cursor, query, arguments)

    def asked_apart(_connection: Connection) -> bool:
        raise AssertionError("a round trip of its own")

    monkeypatch.setattr(Cursor, "execute", counted)
    monkeypatch.setattr(cluster, "is_on_cluster", asked_apart)
    database.close()
    with database.transaction() as first, database.transaction() as second:
        for cursor in (first, second):
            cursor.execute("SELECT 1")
    database.run(lambda cursor: cursor.execute("SELECT 2"))
    learnt = cluster.HAS_CITUS
    assert sent == ["SELECT 1", "SELECT 1", learnt, learnt, "SELECT 2", "COMMIT"]
