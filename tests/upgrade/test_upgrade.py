from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd.database import (
    loading,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.settings import DatabaseSettings
from tests.upgrade import first_release

DUMP = Path(__file__).with_name("first_release.sql")
TRUCK = "a236acc8-79cd-4aa4-868b-d8eb42054b94"
TABLES = (
    "public.alarms_log",
    "public.channel_config",
    "public.measurements",
    "public.sync_journal",
    "public.vehicles",
    "fleetsync.quarantine",
    "fleetsync.vehicle_state",
)
# Months belong to the data, and what the migration library notes for itself to nobody.
_CATALOG = """
WITH ours AS (
    SELECT c.oid, c.oid::regclass::text AS name FROM pg_class c
    WHERE c.relnamespace IN ('public'::regnamespace, 'fleetsync'::regnamespace)
      AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE '%%yoyo%%'
)
SELECT 'column', o.name || '.' || a.attname, format_type(a.atttypid, a.atttypmod) || a.attnotnull
       || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
UNION ALL
SELECT 'index', o.name, pg_get_indexdef(i.indexrelid)
FROM ours o JOIN pg_index i ON indrelid = o.oid
UNION ALL
SELECT 'constraint', o.name, conname || pg_get_constraintdef(k.oid)
FROM ours o JOIN pg_constraint k ON conrelid = o.oid
UNION ALL
SELECT 'policy', o.name, polname || polcmd::text || pg_get_expr(polqual, polrelid)
FROM ours o JOIN pg_policy ON polrelid = o.oid
UNION ALL
SELECT 'security', o.name, relrowsecurity::text || relforcerowsecurity
FROM ours o JOIN pg_class c ON c.oid = o.oid
UNION ALL
SELECT 'rights', o.name, acl::text FROM ours o JOIN pg_class c ON c.oid = o.oid, unnest(relacl) acl
UNION ALL
SELECT 'function', p.oid::regprocedure::text,
    pg_get_functiondef(p.oid) || array_to_string(proacl, ',')
FROM pg_proc p WHERE pronamespace = 'fleetsync'::regnamespace
"""


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement)
        return cursor.fetchall()

    return database.run(work)


def content(database: Database, table: str) -> list[tuple[Any, ...]]:
    return rows(database, f"SELECT * FROM {table}")  # noqa: S608  a table of the list above


@pytest.fixture
def first(server: Server, empty_database: str) -> Iterator[Database]:
    """Return a database as the first release left it."""
    server.execute(sql.SQL(DUMP.read_text()), database=empty_database)
    settings = DatabaseSettings(server.parameters(empty_database), pool_size=4)
    with closing(Database(settings)) as opened:
        yield opened


def migrated(server: Server, name: str) -> list[str]:
    return migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP).migrations


def test_the_first_releases_database_gets_the_schema_of_a_new_one_and_keeps_every_row(
    server: Server, empty_database: str, first: Database, database: Database
) -> None:
    before = {table: content(first, table) for table in TABLES}
    assert len(before["public.measurements"]) > 200
    assert len(before["public.sync_journal"]) == 12
    applied = migrated(server, empty_database)
    assert applied == [name for name in migrate.expected_migrations() if name >= "0003"]
    assert migrate.missing_migrations(first) == []
    for table in TABLES:
        after = content(first, table)
        width = len(before[table][0])
        assert sorted(map(str, (row[:width] for row in after))) == sorted(map(str, before[table]))
    new, upgraded = set(rows(database, _CATALOG)), set(rows(first, _CATALOG))
    assert upgraded - new == set()
    assert new - upgraded == set()


def test_a_daemon_of_the_first_release_goes_on_while_its_database_is_migrated(
    server: Server, empty_database: str, first: Database
) -> None:
    before = rows(first, "SELECT count(*) FROM measurements")[0][0]
    old = first_release.Daemon(server.parameters(empty_database), TRUCK)
    old.start()
    try:
        old.wait_for(20)
        migrated(server, empty_database)
        old.wait_for(20)
    finally:
        old.stop()
    stored = (
        "SELECT count(*) FROM measurements WHERE time >= '2026-11-25Z'",
        "SELECT count(*) * 2 FROM sync_journal WHERE started_at >= '2026-11-25Z'",
        "SELECT count(*) * 2 FROM alarms_log WHERE triggered_at >= '2026-11-25Z'",
        "SELECT (count(*) - 1) * 2 FROM fleetsync.quarantine",
    )
    assert [rows(first, query) for query in stored] == [[(2 * old.cycles,)]] * 4
    assert rows(first, "SELECT count(*) FROM measurements")[0][0] == before + 2 * old.cycles


def test_the_present_release_reads_what_the_first_one_wrote(
    server: Server, empty_database: str, first: Database
) -> None:
    migrated(server, empty_database)
    fleet = {vehicle.name: vehicle for vehicle in first.run(loading.load_vehicles)}
    assert set(fleet) == {"Truck-01", "Excavator-02", "Loader-03", "Paused-01"}
    assert fleet["Paused-01"].paused
    assert fleet["Excavator-02"].failures == 4
    assert fleet["Truck-01"].software_version == "1.1.0"
    shown = {
        vehicle.name: vehicle for vehicle in first.run(lambda cursor: fleet_overview(cursor, 30))
    }
    assert "HTTP 401" in (shown["Loader-03"].last_error or "")
    assert shown["Truck-01"].rows == 6


def test_a_migration_that_a_daemon_at_work_deadlocks_with_is_tried_again(
    server: Server, empty_database: str, first: Database
) -> None:
    # Whoever waits longer than its deadlock_timeout gives way: the migration, after 4 s.
    owner = sql.Identifier(OWNER)
    server.execute(sql.SQL("ALTER ROLE {} SET deadlock_timeout = '4s'").format(owner))
    waiting = "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
    try:
        with (
            ThreadPoolExecutor(1) as threads,
            closing(server.connect(empty_database)) as daemon,
            daemon.cursor() as cursor,
        ):
            cursor.execute("SET deadlock_timeout = '60s'; LOCK public.vehicles IN SHARE MODE")
            migration = threads.submit(migrated, server, empty_database)
            while rows(first, waiting) == [(False,)]:
                assert not migration.done()
            cursor.execute("SELECT count(*) FROM fleetsync.vehicle_state")
            daemon.commit()
            assert migration.result(60)[0].startswith("0003")
    finally:
        server.execute(sql.SQL("ALTER ROLE {} RESET deadlock_timeout").format(owner))
    assert migrate.missing_migrations(first) == []
