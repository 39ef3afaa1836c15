"""Whatever role, database or server have as defaults, the same is stored and read."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database import (
    loading,
    store,
    vehicles,
)
from fleetsyncd.database.connections import Connector
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema import checks, migrate
from fleetsyncd.database.schema.applying import Backend
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import DatabaseError, MigrationFailed
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Channel
from fleetsyncd.times import utc_now
from tests.integration.rig import rig

DEFAULTS = {
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "row_security": "off",
    "extra_float_digits": "-5",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "search_path": "pg_catalog",
    "bytea_output": "escape",
}


LIMITS = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
SHORT = "50ms"
LONGER_SEC = 0.1


def set_default(server: Server, database: str, name: str, value: str) -> None:
    """Set what sessions of this database begin with; skip if this server has no such setting."""
    with closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_settings WHERE name = %s", (name,))
        if cursor.rowcount == 0:
            pytest.skip(f"this PostgreSQL has no {name}")
    statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
    quoted = (sql.Identifier(database), sql.Identifier(name), sql.Literal(value))
    server.execute(statement.format(*quoted))


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_cycle_stores_and_reads_the_same_under_any_default(
    server: Server, database_name: str, name: str
) -> None:
    set_default(server, database_name, name, DEFAULTS[name])
    database = Database(DatabaseSettings(server.parameters(database_name)))
    with closing(database), rig(database) as it:
        assert it.cycle().outcome == "ok"
        assert it.cycle(after=30).outcome == "ok"
        assert it.compare().clean
        assert database.run(lambda cursor: fleet_overview(cursor, 30.0))[0].name == "Truck-01"


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_schema_is_made_under_any_default(
    server: Server, empty_database: str, name: str
) -> None:
    set_default(server, empty_database, name, DEFAULTS[name])
    owner = DatabaseSettings(server.parameters(empty_database, OWNER))
    assert migrate.migrate(owner, APP).migrations == migrate.expected_migrations()


@pytest.mark.parametrize("name", LIMITS)
def test_no_time_limit_is_inherited(server: Server, database_name: str, name: str) -> None:
    set_default(server, database_name, name, SHORT)

    def work(cursor: Cursor) -> None:
        cursor.execute("SELECT pg_sleep(%s)", (LONGER_SEC,))
        time.sleep(LONGER_SEC)
        cursor.execute("SELECT 1")

    settings = DatabaseSettings(server.parameters(database_name))
    with closing(Database(settings)) as database, database.transaction() as cursor:
        work(cursor)
    with (
        closing(Backend(Connector(settings), "fleetsync", "migration")) as backend,
        backend.transaction(),
        backend.connection.cursor() as cursor,
    ):
        work(cursor)


def test_a_lock_is_waited_for_longer_than_the_inherited_limit(
    server: Server, database_name: str
) -> None:
    set_default(server, database_name, "lock_timeout", "1ms")
    settings = DatabaseSettings(server.parameters(database_name), pool_size=2)
    lock = "SELECT pg_advisory_xact_lock(1)"
    with closing(Database(settings)) as database, ThreadPoolExecutor(1) as thread:
        with database.transaction() as holder:
            holder.execute(lock)
            waiting = thread.submit(database.run, lambda cursor: cursor.execute(lock))
            time.sleep(LONGER_SEC)
            assert not waiting.done()
        waiting.result(10)


def test_two_that_write_at_once_are_no_conflict_where_serializable_is_the_default(
    server: Server, database_name: str
) -> None:
    set_default(server, database_name, "default_transaction_isolation", "serializable")
    settings = DatabaseSettings(server.parameters(database_name))
    with closing(Database(settings)) as database, database.transaction() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchall() == [("read committed",)]


def test_retention_drops_what_has_expired_under_another_rule_for_backslashes(
    server: Server, database_name: str
) -> None:
    set_default(server, database_name, "standard_conforming_strings", "off")
    settings = DatabaseSettings(server.parameters(database_name))
    with closing(Database(settings)) as database:
        old = datetime(2020, 1, 1, tzinfo=UTC)
        Partitions(database).ensure(old, old)
        policy = RetentionPolicy(None, None, measurements_keep_months=1)
        retention = Retention(database, policy, at_once=True)
        for _ in retention.steps(utc_now):
            pass
        ranges = (
            "SELECT count(*)::int FROM fleetsync.partition_ranges() WHERE begins < '2021-01-01'"
        )

        def left(cursor: Cursor) -> int:
            cursor.execute(ranges)
            return int(cursor.fetchall()[0][0])

        assert database.run(left) == 0


def test_names_and_units_of_any_language_are_stored_whatever_the_clients_encoding_is(
    server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    database = Database(DatabaseSettings(server.parameters(database_name)))

    def register(cursor: Cursor) -> UUID:
        truck = vehicles.add_vehicle(cursor, "Грузовик-07", "10.8.0.7", 8001, None)
        store.save_channels(cursor, truck, [Channel(1, "Widerstand", "Ω", 0.0, 1.0)])
        return truck

    with closing(database):
        truck = database.run(register)
        assert [each.name for each in database.run(loading.load_vehicles)] == ["Грузовик-07"]

        def unit(cursor: Cursor) -> Any:
            cursor.execute("SELECT unit FROM channel_config WHERE vehicle_id = %s", (str(truck),))
            return cursor.fetchall()

        assert database.run(unit) == [("Ω",)]


@pytest.fixture
def other_encoding(server: Server, request: pytest.FixtureRequest) -> Any:
    name = f"encoded_{request.param.lower()}"
    server.execute(
        sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)),
        sql.SQL(
            "CREATE DATABASE {} OWNER {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ).format(sql.Identifier(name), sql.Identifier(OWNER), sql.Literal(request.param)),
    )
    yield name
    server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("other_encoding", ["LATIN1", "SQL_ASCII"], indirect=True)
def test_a_database_that_is_not_utf8_is_refused_before_anything_is_made(
    server: Server, other_encoding: str
) -> None:
    owner = DatabaseSettings(server.parameters(other_encoding, OWNER))
    with pytest.raises(MigrationFailed, match="ENCODING 'UTF8' TEMPLATE template0"):
        migrate.migrate(owner, APP)
    with closing(Database(owner)) as database:
        assert migrate.missing_migrations(database) == migrate.expected_migrations()
        found = [each for each in checks.run_checks(database, 4, utc_now) if each.remedy]
    assert any("ENCODING 'UTF8' TEMPLATE template0" in str(each.remedy) for each in found)


@pytest.mark.parametrize("other_encoding", ["SQL_ASCII"], indirect=True)
def test_bytes_that_are_no_text_are_an_error_of_the_database(
    server: Server, other_encoding: str
) -> None:
    database = Database(DatabaseSettings(server.parameters(other_encoding)))

    def read(cursor: Cursor) -> Any:
        cursor.execute("SELECT convert_from('\\xcf'::bytea, 'SQL_ASCII')")
        return cursor.fetchall()

    with closing(database), pytest.raises(DatabaseError, match="ENCODING 'UTF8'"):
        database.run(read)


def test_text_that_cannot_be_sent_is_an_error_of_the_database(database: Database) -> None:
    with pytest.raises(DatabaseError, match="not valid in UTF-8"):
        database.run(lambda cursor: cursor.execute("SELECT %s", ("\udcd0",)))
