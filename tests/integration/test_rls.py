from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import cursor as owners_cursor

from fleetsyncd.database import fleet, migrate, store
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.models import Alarm, Measurements
from fleetsyncd.settings import DatabaseSettings

NAME = "rls"
WEB = "fleet_web"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
OLGA, PETER = uuid4(), uuid4()
KEYS = {"vehicles": "id", "measurements": "vehicle_id", "alarms_log": "vehicle_id"}
CHANGES = {
    "vehicles": "name = 'stolen'",
    "measurements": "value = 0",
    "alarms_log": "message = 'nothing'",
}


def register(database: Database, number: int) -> UUID:
    host = f"10.5.0.{number}"
    return database.run(lambda cursor: fleet.add(cursor, f"Truck-{number}", host, 1, None))


def fill(database: Database, truck: UUID) -> None:
    """Store a measurement and an alarm of a vehicle."""

    def work(cursor: Cursor) -> None:
        store.add_measurements(cursor, truck, Measurements.of([(NOW, 1, 0.5)]))
        store.save_alarms(cursor, truck, [Alarm(1, 1, None, "hot", NOW, None)])

    database.run(work)


@pytest.fixture(scope="module")
def trucks(server: Server) -> dict[UUID, UUID]:
    """Make a fleet of two vehicles with rows, and return which owner was granted which."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    web, app = sql.Identifier(WEB), sql.Identifier(APP)
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as database:
        Partitions(database).ensure(NOW, NOW)
        granted = {OLGA: register(database, 1), PETER: register(database, 2)}
        for truck in granted.values():
            fill(database, truck)
    # The widest rights there are: what an owner may not do, the policies alone prevent.
    server.execute(
        sql.SQL("DROP ROLE IF EXISTS {}").format(web),
        sql.SQL("CREATE ROLE {} LOGIN").format(web),
        sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(web),
        sql.SQL("GRANT UPDATE ON measurements TO {}").format(app),
        *(
            sql.SQL("INSERT INTO vehicle_access VALUES ({}, {})").format(
                sql.Literal(str(owner)), sql.Literal(str(truck))
            )
            for owner, truck in granted.items()
        ),
        database=NAME,
    )
    return granted


@contextmanager
def session(server: Server, user: str, role: str = "owner") -> Iterator[owners_cursor]:
    """Open a transaction as the web service does for one of its users."""
    with (
        closing(psycopg2.connect(host=server.host, user=WEB, dbname=NAME)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT set_config('app.user_role', %s, true), set_config('app.user_id', %s, true)",
            (role, user),
        )
        yield cursor


def select(cursor: owners_cursor, table: str) -> list[tuple[Any, ...]]:
    query = sql.SQL("SELECT {}::text FROM {}")
    cursor.execute(query.format(sql.Identifier(KEYS[table]), sql.Identifier(table)))
    return cursor.fetchall()


@pytest.mark.parametrize("table", KEYS)
def test_an_owner_sees_what_was_granted_and_nothing_else(
    server: Server, trucks: dict[UUID, UUID], table: str
) -> None:
    with session(server, str(OLGA)) as cursor:
        assert select(cursor, table) == [(str(trucks[OLGA]),)]


@pytest.mark.parametrize("table", KEYS)
@pytest.mark.parametrize("user", ["", str(uuid4())], ids=["no user", "a stranger"])
def test_a_session_without_grants_sees_nothing_and_no_error(
    server: Server, trucks: dict[UUID, UUID], table: str, user: str
) -> None:
    assert trucks
    with session(server, user) as cursor:
        assert select(cursor, table) == []


@pytest.mark.parametrize("table", KEYS)
def test_a_session_without_a_role_sees_nothing(
    server: Server, trucks: dict[UUID, UUID], table: str
) -> None:
    with session(server, str(OLGA), role="") as cursor:
        assert trucks
        assert select(cursor, table) == []


@pytest.mark.parametrize("table", KEYS)
def test_an_owner_changes_and_deletes_nothing_though_the_tables_allow_it(
    server: Server, trucks: dict[UUID, UUID], table: str
) -> None:
    assert trucks
    with session(server, str(OLGA)) as cursor:
        name = sql.Identifier(table)
        cursor.execute(sql.SQL("UPDATE {} SET {}").format(name, sql.SQL(CHANGES[table])))
        assert cursor.rowcount == 0
        cursor.execute(sql.SQL("DELETE FROM {}").format(name))
        assert cursor.rowcount == 0


def test_an_owner_adds_no_vehicle(server: Server, trucks: dict[UUID, UUID]) -> None:
    assert trucks
    insert = "INSERT INTO vehicles (name, vpn_ip) VALUES ('mine', '10.9.9.9')"
    with (
        session(server, str(OLGA)) as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"),
    ):
        cursor.execute(insert)
