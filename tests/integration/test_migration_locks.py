import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import connection, make_dsn

from fleetsyncd.database import blocking
from fleetsyncd.database.connections import Connector
from fleetsyncd.database.schema import indexes, lock_waits, migrate
from fleetsyncd.database.schema.applying import statements
from fleetsyncd.database.schema.lock_waits import Patience, PatientSession
from fleetsyncd.database.schema.owner_session import owner_session
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import MigrationFailed
from fleetsyncd.settings import DatabaseSettings
from tests.integration.test_adoption import INSTALLATION, as_owner

ROOT = Path(__file__).parents[2]
MIGRATIONS = sorted((ROOT / "fleetsyncd/database/schema/migrations").glob("*.sql"))
FIRST_RELEASE = ROOT / "tests/upgrade/first_release.sql"
LONGEST_SEC = 3.0
"""What a daemon may wait for a migration."""
QUICK = Patience(60, 0.05)
STRONG = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
# Tables that the statement made itself are not in the way of anybody.
LOCKED = """
SELECT DISTINCT c.oid::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.granted AND l.mode = ANY (%s) AND c.relkind IN ('r', 'p')
  AND c.oid = ANY (%s)
"""
TABLES = """
SELECT c.oid FROM pg_class c WHERE c.relkind IN ('r', 'p')
  AND c.relnamespace IN ('public'::regnamespace, 'fleetsync'::regnamespace)
"""
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
SUPERUSER = "SET app.user_role = 'superuser'"
EVERYTHING = "SELECT FROM vehicles, measurements, alarms_log, sync_journal, channel_config LIMIT 0"


def settings(server: Server, name: str) -> DatabaseSettings:
    return DatabaseSettings(server.parameters(name, OWNER))


@contextmanager
def session(server: Server, name: str, role: str = OWNER) -> Iterator[connection]:
    with closing(psycopg2.connect(make_dsn(**server.parameters(name, role)))) as opened:
        opened.autocommit = True
        with opened.cursor() as cursor:
            cursor.execute(SUPERUSER)
        yield opened


def ask(opened: connection, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with opened.cursor() as cursor:
        cursor.execute(query, arguments or None)
        return cursor.fetchall() if cursor.description else []


def wait_for_message(caplog: pytest.LogCaptureFixture, text: str, count: int) -> None:
    ends = time.monotonic() + 30
    while sum(text in message for message in caplog.messages) < count:
        assert time.monotonic() < ends, caplog.messages
        time.sleep(0.01)


@pytest.fixture
def first(server: Server, empty_database: str) -> str:
    """Return a database as the first release left it."""
    server.execute(sql.SQL(FIRST_RELEASE.read_text()), database=empty_database)
    return empty_database


@pytest.fixture
def installation(server: Server, empty_database: str) -> str:
    """Return a database that others made."""
    as_owner(server, empty_database, INSTALLATION)
    return empty_database


@pytest.fixture
def nothing(empty_database: str) -> str:
    """Return an empty database."""
    return empty_database


@pytest.mark.parametrize("origin", ["nothing", "first", "installation"])
def test_each_statement_of_a_migration_locks_one_table_at_most(
    origin: str, server: Server, request: pytest.FixtureRequest
) -> None:
    name = request.getfixturevalue(origin)
    with session(server, name) as opened:
        ask(opened, "CREATE SCHEMA IF NOT EXISTS fleetsync")
        indexes.build_missing(
            PatientSession(Connector(settings(server, name)), opened, QUICK), keys_only=True
        )
        for path in MIGRATIONS:
            for statement in statements(str(path)):
                before = [oid for (oid,) in ask(opened, TABLES)]
                ask(opened, "BEGIN")
                ask(opened, statement)
                locked = ask(opened, LOCKED, list(STRONG), before)
                ask(opened, "COMMIT")
                assert len(locked) <= 1, (path.name, statement)


def test_no_migration_builds_an_index_over_rows_that_are_there() -> None:
    for path in MIGRATIONS:
        text = path.read_text()
        for table in re.findall(r"CREATE (?:UNIQUE )?INDEX[^;]*? ON ([\w.]+)", text):
            assert table.startswith("fleetsync."), path.name
            assert f"CREATE TABLE IF NOT EXISTS {table} " in text, path.name


def test_a_statement_that_needs_a_lock_gives_way_to_those_behind_it(
    server: Server, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.migrate")
    stop, waits = threading.Event(), []

    def daemon() -> None:
        with session(server, first, APP) as opened:
            while not stop.is_set():
                began = time.monotonic()
                ask(opened, "UPDATE fleetsync.vehicle_state SET updated_at = now()")
                ask(opened, "UPDATE vehicles SET last_seen_at = now()")
                waits.append(time.monotonic() - began)
                time.sleep(0.01)

    with ThreadPoolExecutor(2) as threads, ExitStack() as ending:
        ending.callback(stop.set)
        reader = ending.enter_context(session(server, first))
        ask(reader, "BEGIN")
        ask(reader, EVERYTHING)
        ask(reader, "SELECT FROM fleetsync.vehicle_state")
        working = threads.submit(daemon)
        migrating = threads.submit(migrate.migrate, settings(server, first), APP, patience=QUICK)
        wait_for_message(caplog, "gives way to", 2)
        pid = reader.info.backend_pid
        ask(reader, "COMMIT")
        assert migrating.result(60).migrations[-1] == migrate.expected_migrations()[-1]
    working.result(60)
    assert 0.5 < max(waits) < LONGEST_SEC
    assert any(f"(pid {pid}, role {OWNER}, for " in message for message in caplog.messages)


@contextmanager
def eager_autovacuum(server: Server) -> Iterator[None]:
    """Let the server look every second what is to be vacuumed."""
    reload_ = sql.SQL("SELECT pg_reload_conf()")
    changed = {"autovacuum": "on", "autovacuum_naptime": "1s"}
    set_ = [sql.SQL(f"ALTER SYSTEM SET {name} = '{to}'") for name, to in changed.items()]
    server.execute(*set_, reload_)
    try:
        yield
    finally:
        server.execute(*(sql.SQL(f"ALTER SYSTEM RESET {name}") for name in changed), reload_)


def test_an_autovacuum_in_the_way_is_ended(server: Server, database_name: str) -> None:
    with session(server, database_name) as opened, eager_autovacuum(server):
        ask(
            opened,
            "CREATE TABLE public.busy WITH (autovacuum_vacuum_cost_delay = 100,"
            " autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1)"
            " AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 50000) n;"
            " DELETE FROM public.busy WHERE n % 2 = 0",
        )
        vacuumed = (
            "SELECT count(*) FROM pg_locks WHERE relation = 'public.busy'::regclass"
            " AND mode = 'ShareUpdateExclusiveLock' AND granted"
        )
        ends = time.monotonic() + 60
        while ask(opened, vacuumed) == [(0,)]:
            assert time.monotonic() < ends
            time.sleep(0.05)
        patient = PatientSession(
            Connector(settings(server, database_name)), opened, Patience(6, 0.02)
        )
        patient.execute("a change", "ALTER TABLE public.busy ADD COLUMN more int")


@pytest.mark.usefixtures("database")
def test_what_drops_or_compresses_waits_until_an_autovacuum_is_ended(
    server: Server, database_name: str
) -> None:
    with session(server, database_name) as opened:
        waits = ask(
            opened,
            "SELECT p.proname::text, split_part(c.set, '=', 2)::interval"
            " > current_setting('deadlock_timeout')::interval"
            " FROM pg_proc p, unnest(p.proconfig) c(set) WHERE c.set LIKE 'lock_timeout=%'"
            " AND p.pronamespace = 'fleetsync'::regnamespace ORDER BY 1",
        )
    ended = {name for name, is_longer in waits if is_longer}
    assert ended >= {"compress_chunk", "drop_expired_minutes", "drop_expired_month"}


def test_who_stands_in_the_way_for_too_long_is_named(server: Server, first: str) -> None:
    with session(server, first) as reader:
        ask(reader, "SET application_name = 'pg_dump'")
        ask(reader, "BEGIN")
        ask(reader, "SELECT FROM fleetsync.vehicle_state")
        time.sleep(1.1)
        named = rf"found no moment.*pg_dump \(pid {reader.info.backend_pid}, .*--wait"
        with pytest.raises(MigrationFailed, match=named):
            migrate.migrate(settings(server, first), APP, patience=Patience(0.5, 0.05))


def test_an_index_is_built_while_others_read_and_write(
    server: Server, installation: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.migrate")
    key = "(vehicle_id, channel_id, time)"
    drop = "ALTER TABLE measurements DROP CONSTRAINT one_measurement"
    as_owner(server, installation, drop)
    row = "INSERT INTO measurements (vehicle_id, channel_id, time, value) SELECT vehicle_id, %s,"
    row += " time, value FROM measurements LIMIT 1"
    with ThreadPoolExecutor(1) as threads, session(server, installation) as reader:
        ask(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        ask(reader, "SELECT FROM measurements LIMIT 1")
        migrating = threads.submit(migrate.migrate, settings(server, installation), APP)
        wait_for_message(caplog, "building index measurements_vehicle_channel_time", 1)
        with session(server, installation) as writer:
            ask(writer, f"SET lock_timeout = '{LONGEST_SEC}s'")
            while ask(writer, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") != [(2,)]:
                time.sleep(0.01)
            for channel in range(100, 110):
                ask(writer, row, channel)
        assert not migrating.done()
        ask(reader, "COMMIT")
        assert "measurements_vehicle_channel_time" in migrating.result(60).indexes
    with session(server, installation) as opened:
        assert indexes.missing_indexes(opened.cursor()) == []
        assert ask(opened, INVALID) == []
        with pytest.raises(psycopg2.errors.UniqueViolation):
            ask(opened, row, 100)
        assert ask(opened, f"{row} ON CONFLICT {key} DO NOTHING", 100) == []


def test_an_index_of_parts_of_parts_is_built_from_those_that_are_there(
    server: Server, installation: str
) -> None:
    part = '"A ""day"" of parts"'
    as_owner(
        server,
        installation,
        "ALTER TABLE measurements DROP CONSTRAINT one_measurement",
        "CREATE TABLE day_parts PARTITION OF measurements FOR VALUES FROM ('2030-01-01')"
        " TO ('2030-02-01') PARTITION BY RANGE (time)",
        f"CREATE TABLE {part} PARTITION OF day_parts FOR VALUES FROM ('2030-01-01')"
        " TO ('2030-01-02')",
        f"CREATE UNIQUE INDEX of_their_own ON {part} (vehicle_id, channel_id, time)",
    )
    built = migrate.migrate(settings(server, installation), APP).indexes
    assert built[0] == "measurements_vehicle_channel_time"
    with session(server, installation) as opened:
        assert indexes.missing_indexes(opened.cursor()) == []
        unique = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = to_regclass(%s)"
        assert ask(opened, f"{unique} AND indnatts = 3", part) == [("of_their_own",)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_migration_leaves_nobody_behind_and_is_begun_again(
    number: signal.Signals, server: Server, installation: str
) -> None:
    as_owner(server, installation, "ALTER TABLE measurements DROP CONSTRAINT one_measurement")
    parameters = server.parameters(installation, OWNER)
    variables = {
        "DB_HOST": parameters["host"],
        "DB_NAME": installation,
        "DB_USER": OWNER,
        "DB_APP_ROLE": APP,
    }
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = %s"
    mine = (migrate.APPLICATION, installation)
    building = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE %%CONCURRENTLY%%'"
    building += " AND datname = %s AND pid <> pg_backend_pid()"
    with session(server, installation) as reader, session(server, installation) as watcher:
        ask(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        ask(reader, "SELECT FROM measurements LIMIT 1")
        command = [sys.executable, "-m", "fleetsyncd", "migrate"]
        with subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **variables}, stdout=subprocess.DEVNULL
        ) as migrating:
            while ask(watcher, building, installation) != [(1,)]:
                assert migrating.poll() is None
                time.sleep(0.02)
            migrating.send_signal(number)
            migrating.wait(30)
        ends = time.monotonic() + 15
        while ask(watcher, left, *mine) != [(0,)]:
            assert time.monotonic() < ends
            time.sleep(0.1)
        ask(reader, "COMMIT")
    migrate.migrate(settings(server, installation), APP)
    with session(server, installation) as opened:
        assert indexes.missing_indexes(opened.cursor()) == []
        assert ask(opened, INVALID) == []


PARTS = (
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'measurements'::regclass"
)
WHOLE = "measurements_vehicle_channel_time"
WITHOUT_KEY = "ALTER TABLE measurements DROP CONSTRAINT one_measurement"
ON_KEY = "(vehicle_id, channel_id, time)"


def assert_key_is_whole(server: Server, name: str) -> None:
    with session(server, name) as opened:
        assert indexes.missing_indexes(opened.cursor()) == []
        assert ask(opened, INVALID) == []
        row = "INSERT INTO measurements (vehicle_id, channel_id, time, value) SELECT vehicle_id,"
        row += " channel_id, time, value FROM measurements LIMIT 1"
        assert ask(opened, f"{row} ON CONFLICT {ON_KEY} DO NOTHING") == []


def test_an_index_whose_last_part_was_dropped_is_finished(
    server: Server, installation: str
) -> None:
    as_owner(server, installation, WITHOUT_KEY)
    with session(server, installation) as opened:
        *parts, last = [part for (part,) in ask(opened, PARTS)]
        assert parts
        ask(opened, f"CREATE UNIQUE INDEX {WHOLE} ON ONLY measurements {ON_KEY}")
        for number, part in enumerate(parts):
            ask(opened, f"CREATE UNIQUE INDEX part_{number} ON {part} {ON_KEY}")
            ask(opened, f"ALTER INDEX {WHOLE} ATTACH PARTITION part_{number}")
        ask(opened, f"DROP TABLE {last}")
        assert ask(opened, INVALID) == [(WHOLE,)]
    migrate.migrate(settings(server, installation), APP)
    assert_key_is_whole(server, installation)


def test_a_partition_that_is_dropped_while_its_index_is_to_be_built_is_left_out(
    server: Server, installation: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.migrate")
    as_owner(server, installation, WITHOUT_KEY)
    with ThreadPoolExecutor(1) as threads, session(server, installation) as reader:
        first_part, *_, last = sorted(part for (part,) in ask(reader, PARTS))
        ask(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        ask(reader, f"SELECT FROM {first_part} LIMIT 1")
        migrating = threads.submit(migrate.migrate, settings(server, installation), APP)
        with session(server, installation) as other:
            while len(ask(other, INVALID)) < 2:
                assert not migrating.done()
                time.sleep(0.01)
            ask(other, f"DROP TABLE {last}")
        ask(reader, "COMMIT")
        migrating.result(60)
    assert_key_is_whole(server, installation)


def test_a_build_that_deadlocks_with_a_foreign_migration_is_begun_again(
    server: Server, database_name: str
) -> None:
    while not the_build_gives_way(server, database_name):
        pass  # The other one began its wait too late: it found the deadlock.
    with session(server, database_name) as opened:
        assert ask(opened, INVALID) == []


def the_build_gives_way(server: Server, database_name: str) -> bool:
    """Deadlock the build with another's transaction; return whether the build found it."""
    with ThreadPoolExecutor(1) as threads, session(server, database_name) as other:
        ask(other, "DROP INDEX sync_journal_started")
        ask(other, "BEGIN")
        ask(other, "UPDATE sync_journal SET rows_written = rows_written")
        owner = settings(server, database_name)
        migrating = threads.submit(migrate.migrate, owner, APP, patience=QUICK)
        with session(server, database_name) as watcher:
            while ("sync_journal_started",) not in ask(watcher, INVALID):
                assert not migrating.done()
                time.sleep(0.01)
        try:
            ask(other, "ALTER TABLE sync_journal ALTER COLUMN error_msg SET STATISTICS 100")
        except psycopg2.errors.DeadlockDetected:
            gives_way = False
        else:
            gives_way = True
        ask(other, "COMMIT")
        assert migrating.result(60) == migrate.Migrated([], ["sync_journal_started"])
        return gives_way


def test_who_a_build_waits_for_is_told_and_it_waits_no_longer_than_it_may(
    server: Server,
    first: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, logger="sync.migrate")
    monkeypatch.setattr(lock_waits, "REPORT_SEC", 0.1)
    with session(server, first) as reader:
        ask(reader, "SET application_name = 'pg_dump'")
        ask(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        ask(reader, "SELECT FROM measurements LIMIT 1")
        pid = reader.info.backend_pid
        with pytest.raises(MigrationFailed, match=rf"index sync_journal_started.*\(pid {pid}, "):
            migrate.migrate(settings(server, first), APP, patience=Patience(1.5, 0.05))
        told = f"index sync_journal_started waits for pg_dump (pid {pid}, role {OWNER}"
        assert any(message.startswith(told) for message in caplog.messages)
    done = migrate.migrate(settings(server, first), APP)
    assert done.migrations == [], "they do not wait for the indexes"
    assert "sync_journal_started" in done.indexes


def test_a_table_that_somebody_rewrites_does_not_stop_migrate_without_a_word(
    server: Server, installation: str
) -> None:
    with session(server, installation) as other:
        ask(other, "BEGIN")
        ask(other, "LOCK TABLE sync_journal IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(MigrationFailed, match="the look at what is there found no moment"):
            migrate.migrate(settings(server, installation), APP, patience=Patience(0.5, 0.05))


def test_whatever_stands_in_the_way_is_named_the_servers_own_processes_too(
    server: Server, empty_database: str
) -> None:
    with session(server, empty_database) as opened, opened.cursor() as cursor:
        cursor.execute("SET application_name = 'psql'")
        cursor.execute(f"{blocking.SESSIONS} WHERE a.usename IS NULL OR a.pid = pg_backend_pid()")
        sessions = cursor.fetchall()
        cursor.execute("RESET ROLE; SELECT pg_backend_pid()")
        mine = cursor.fetchall()[0][0]
    assert len(sessions) > 1, "the server has processes of its own"
    for each in sessions:
        told = blocking.named([each])
        assert f"(pid {each[0]}" in told
        assert (f"role {OWNER}" in told) == (each[0] == mine)


@pytest.mark.parametrize(
    ("code", "said", "remedy"),
    [
        (
            "XX000",
            'could not extend file "base/1/2": No space left on device',
            "free space on the disk of the node whose log says so",
        ),
        (
            "58030",
            "failed to COPY to shard 102017 on 10.0.0.2:5432",
            "look at the log of the server there, and at its disk",
        ),
    ],
)
def test_a_node_that_fails_while_rows_are_moved_is_told_with_what_to_do_and_to_run_it_again(
    server: Server, database_name: str, code: str, said: str, remedy: str
) -> None:
    refused = f"DO $do$ BEGIN RAISE '{said}' USING ERRCODE = '{code}'; END $do$"
    with (
        pytest.raises(MigrationFailed) as failed,
        owner_session(settings(server, database_name), QUICK) as opened,
    ):
        opened.execute("the rows", refused)
    again = "then run it again: what is done stays done"
    assert str(failed.value) == f"migration failed: {said}: {remedy}; {again}"


def test_what_a_statement_does_before_it_is_blocked_takes_nothing_of_the_patience(
    server: Server, database_name: str
) -> None:
    tries = 0

    def copy() -> None:
        nonlocal tries
        tries += 1
        time.sleep(0.1)
        if tries < 3:
            raise psycopg2.errors.LockNotAvailable

    with owner_session(settings(server, database_name), Patience(0.05, 0.001)) as opened:
        opened.repeat("the rows", copy, 0.01)
    assert tries == 3


def test_what_a_role_may_already_is_not_granted_again(server: Server, database_name: str) -> None:
    refused = sql.SQL("""
        CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''no node may be asked''; END';
        CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('GRANT', 'CREATE SCHEMA')
        EXECUTE FUNCTION public.refuse()
    """)
    server.execute(refused, database=database_name)
    migrate.migrate(settings(server, database_name), APP)
    server.execute(
        sql.SQL("ALTER EVENT TRIGGER refuse DISABLE"),
        sql.SQL("REVOKE INSERT ON sync_journal FROM {}").format(sql.Identifier(APP)),
        sql.SQL("ALTER EVENT TRIGGER refuse ENABLE"),
        database=database_name,
    )
    with pytest.raises(MigrationFailed, match="no node may be asked"):
        migrate.migrate(settings(server, database_name), APP)
