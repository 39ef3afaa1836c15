import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import migrate, preconditions
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import DatabaseError, DatabaseLost, MigrationFailed, SchemaOutdated
from fleetsyncd.settings import DatabaseSettings

COLUMNS = {
    "vehicles": {
        "id": "uuid",
        "name": "text",
        "vpn_ip": "inet",
        "api_port": "integer",
        "api_key": "text",
        "last_seen_at": "timestamp with time zone",
        "last_sync_at": "timestamp with time zone",
        "sync_status": "text",
        "software_version": "text",
        "created_at": "timestamp with time zone",
    },
    "channel_config": {
        "vehicle_id": "uuid",
        "channel_id": "integer",
        "name": "text",
        "unit": "text",
        "min_value": "double precision",
        "max_value": "double precision",
        "synced_at": "timestamp with time zone",
    },
    "measurements": {
        "vehicle_id": "uuid",
        "channel_id": "integer",
        "time": "timestamp with time zone",
        "value": "double precision",
    },
    "alarms_log": {
        "vehicle_id": "uuid",
        "alarm_id": "bigint",
        "channel_id": "integer",
        "severity": "text",
        "message": "text",
        "triggered_at": "timestamp with time zone",
        "resolved_at": "timestamp with time zone",
        "synced_at": "timestamp with time zone",
    },
    "sync_journal": {
        "id": "bigint",
        "vehicle_id": "uuid",
        "started_at": "timestamp with time zone",
        "finished_at": "timestamp with time zone",
        "status": "text",
        "rows_written": "integer",
        "error_msg": "text",
    },
    "vehicle_access": {"user_id": "uuid", "vehicle_id": "uuid"},
    "measurements_minute": {
        "vehicle_id": "uuid",
        "channel_id": "integer",
        "minute": "timestamp with time zone",
        "count": "integer",
        "min": "double precision",
        "max": "double precision",
        "sum": "double precision",
        "first": "double precision",
        "last": "double precision",
    },
}
KEYS = {
    "vehicles": "PRIMARY KEY (id)",
    "channel_config": "PRIMARY KEY (vehicle_id, channel_id)",
    "measurements": 'PRIMARY KEY (vehicle_id, channel_id, "time")',
    "alarms_log": "PRIMARY KEY (vehicle_id, alarm_id)",
    "sync_journal": "PRIMARY KEY (vehicle_id, id)",
    "vehicle_access": "PRIMARY KEY (user_id, vehicle_id)",
    "measurements_minute": "PRIMARY KEY (vehicle_id, channel_id, minute)",
}
GUARDED = {"vehicles", "measurements", "measurements_minute", "alarms_log"}


def settings(server: Server, name: str, user: str = OWNER) -> DatabaseSettings:
    return DatabaseSettings(server.parameters(name, user))


@contextmanager
def opened(server: Server, name: str, user: str = OWNER) -> Iterator[Database]:
    database = Database(settings(server, name, user))
    yield database
    database.close()


@pytest.fixture(scope="module")
def fresh(server: Server) -> Iterator[Database]:
    """Return one migrated database, to be looked at only, as the daemon's role sees it."""
    server.create_database("fresh")
    migrate.migrate(settings(server, "fresh"), APP)
    with opened(server, "fresh", APP) as database:
        yield database


def query(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Any) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return list(cursor.fetchall())

    return database.run(work)


def tables(database: Database, schema: str) -> set[str]:
    tables = query(database, "SELECT tablename FROM pg_tables WHERE schemaname = %s", schema)
    return {row[0] for row in tables}


@pytest.mark.parametrize("table", COLUMNS)
def test_an_empty_database_gets_the_table_as_other_services_know_it(
    fresh: Database, table: str
) -> None:
    columns = query(
        fresh,
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        f"public.{table}",
    )
    keys = query(
        fresh,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'p'",
        f"public.{table}",
    )
    assert dict(columns) == COLUMNS[table]
    assert keys == [(KEYS[table],)]


def test_an_empty_database_gets_our_own_tables_in_their_own_schema(fresh: Database) -> None:
    assert tables(fresh, "fleetsync") >= {"vehicle_state", "replica", "quarantine", "migration"}
    assert tables(fresh, "public") == set(COLUMNS)


def test_an_empty_database_gets_measurements_partitioned_by_time(fresh: Database) -> None:
    assert query(fresh, "SELECT pg_get_partkeydef('public.measurements'::regclass)") == [
        ('RANGE ("time")',)
    ]


def test_row_level_security_is_forced_with_two_policies_on_what_owners_may_see(
    fresh: Database,
) -> None:
    forced = query(
        fresh,
        "SELECT relname::text, count(policyname)::int FROM pg_class"
        " LEFT JOIN pg_policies ON schemaname = 'public' AND tablename = relname"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND relrowsecurity AND relforcerowsecurity GROUP BY relname",
    )
    assert dict(forced) == dict.fromkeys((*GUARDED, "sync_journal"), 2)


def test_running_again_applies_nothing(server: Server, empty_database: str) -> None:
    owner = settings(server, empty_database)
    assert migrate.migrate(owner, APP).migrations == migrate.expected_migrations()
    assert migrate.migrate(owner, APP) == migrate.Migrated([], [])


def test_two_at_once_wait_for_each_other_and_apply_everything_once(
    server: Server, empty_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.migrate")
    owner = settings(server, empty_database)
    with ThreadPoolExecutor(2) as threads, opened(server, empty_database, APP) as database:
        with database.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (migrate.LOCK,))
            both = [threads.submit(migrate.migrate, owner, APP) for _ in range(2)]
            while caplog.messages.count("waiting for another `fleetsyncd migrate`") < 2:
                assert not any(future.done() for future in both)
                time.sleep(0.01)
            assert tables(database, "fleetsync") == set()
        done = sorted(future.result(30).migrations for future in both)
        assert done == [[], migrate.expected_migrations()]


def test_a_migration_that_ended_before_it_was_recorded_is_run_again_without_harm(
    server: Server, empty_database: str
) -> None:
    owner = settings(server, empty_database)
    migrate.migrate(owner, APP)
    server.execute(sql.SQL("DELETE FROM fleetsync.migration"), database=empty_database)
    assert migrate.migrate(owner, APP).migrations == migrate.expected_migrations()


def test_a_check_of_an_empty_database_names_the_command_that_mends_it(
    server: Server, empty_database: str
) -> None:
    with opened(server, empty_database, APP) as database:
        assert migrate.missing_migrations(database) == migrate.expected_migrations()
        with pytest.raises(SchemaOutdated, match="run `fleetsyncd migrate` as the tables' owner"):
            migrate.require_current(database)


def test_a_check_of_an_older_schema_names_what_is_missing_and_the_command(
    server: Server, database_name: str, database: Database
) -> None:
    last = migrate.expected_migrations()[-1]
    server.execute(
        sql.SQL("DELETE FROM fleetsync.migration WHERE migration_id = {}").format(
            sql.Literal(last)
        ),
        database=database_name,
    )
    assert migrate.missing_migrations(database) == [last]
    with pytest.raises(SchemaOutdated, match=f"lacks 1 migration.*{last}.*fleetsyncd migrate"):
        migrate.require_current(database)


def test_a_check_of_a_migrated_database_is_silent(fresh: Database) -> None:
    migrate.require_current(fresh)
    assert migrate.missing_migrations(fresh) == []


def test_a_role_that_is_missing_is_named_with_the_statement_that_creates_it(
    server: Server, empty_database: str
) -> None:
    with pytest.raises(MigrationFailed, match="CREATE ROLE fleet_missing LOGIN PASSWORD"):
        migrate.migrate(settings(server, empty_database), "fleet_missing")


def test_a_role_without_rights_cannot_migrate_and_gets_the_statements_that_grant_them(
    server: Server, empty_database: str
) -> None:
    with pytest.raises(MigrationFailed) as refused:
        migrate.migrate(settings(server, empty_database, APP))
    assert f"GRANT CREATE ON DATABASE {empty_database} TO {APP}" in str(refused.value)
    assert f"GRANT CREATE ON SCHEMA public TO {APP}" in str(refused.value)


def test_a_server_that_is_too_old_is_refused_before_anything_changes(
    server: Server, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preconditions, "OLDEST_SERVER", 990_000)
    with pytest.raises(MigrationFailed, match="is too old: upgrade it to 14 or newer"):
        migrate.migrate(settings(server, empty_database))


def test_a_server_that_is_not_there_is_lost(server: Server) -> None:
    with pytest.raises(DatabaseLost, match=r"no connection to .*nowhere"):
        migrate.migrate(settings(server, "nowhere"))


def test_the_daemons_role_owns_nothing_and_has_no_power_over_rows(fresh: Database) -> None:
    assert query(
        fresh,
        "SELECT rolsuper, rolbypassrls, (SELECT count(*)::int FROM pg_class WHERE relowner = r.oid)"
        " FROM pg_roles r WHERE rolname = current_user",
    ) == [(False, False, 0)]


@pytest.mark.parametrize("schema", ["public", "fleetsync"])
def test_the_daemons_role_cannot_create_tables(fresh: Database, schema: str) -> None:
    with pytest.raises(DatabaseError, match=f"permission denied for schema {schema}"):
        query(fresh, f"CREATE TABLE {schema}.mine (id integer)")


def test_a_migration_that_failed_goes_on_where_it_ended(
    server: Server, empty_database: str
) -> None:
    with opened(server, empty_database) as database:
        obstacle = sql.SQL("CREATE DOMAIN public.alarms_log AS integer")
        server.execute(obstacle, database=empty_database)
        with pytest.raises(MigrationFailed, match="already exists"):
            migrate.migrate(settings(server, empty_database), APP)
        assert "measurements" in tables(database, "public")
        assert migrate.missing_migrations(database) == migrate.expected_migrations()

        server.execute(sql.SQL("DROP DOMAIN public.alarms_log"), database=empty_database)
        done = migrate.migrate(settings(server, empty_database), APP)
        assert done.migrations == migrate.expected_migrations()
        assert tables(database, "public") == set(COLUMNS)


NEW_ARE_NOT_FOR_ALL = f"""
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
"""
CALLED_BY_OTHERS = (
    "is_distributed()",
    "measured_channels(uuid, timestamptz, timestamptz)",
    "measured_minutes(uuid, integer, timestamptz, timestamptz)",
    "part_bytes(regclass)",
)


def forbidden(database: Database) -> list[str]:
    """Return which functions that others call the daemon's role may not call."""
    may = "has_function_privilege('fleetsync.' || f, 'EXECUTE')"
    ask = f"SELECT f FROM unnest(%s) f WHERE NOT {may}"  # noqa: S608
    return [name for (name,) in query(database, ask, list(CALLED_BY_OTHERS))]


def test_the_daemon_may_call_what_its_functions_call_where_new_ones_are_not_for_everybody(
    server: Server, empty_database: str
) -> None:
    server.execute(sql.SQL(NEW_ARE_NOT_FOR_ALL), database=empty_database)
    migrate.migrate(settings(server, empty_database), APP)
    with opened(server, empty_database, APP) as database:
        assert forbidden(database) == []


def test_a_daemon_of_before_may_call_what_is_new_before_anything_is_granted(
    server: Server, empty_database: str
) -> None:
    owner = settings(server, empty_database)
    migrate.migrate(owner, APP)
    for name in CALLED_BY_OTHERS:
        server.execute(sql.SQL(f"DROP FUNCTION fleetsync.{name}"), database=empty_database)
    server.execute(sql.SQL(NEW_ARE_NOT_FOR_ALL), database=empty_database)
    late = "DELETE FROM fleetsync.migration WHERE migration_id >= '0031'"
    server.execute(sql.SQL(late), database=empty_database)
    migrate.migrate(owner, None)
    with opened(server, empty_database, APP) as database:
        assert forbidden(database) == []
