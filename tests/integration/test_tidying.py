"""Closed months are tidied: smaller, while everybody goes on, and with nothing left behind."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

from fleetsyncd.database import closed_months
from fleetsyncd.database.closed_months import due_months
from fleetsyncd.database.connections import Connector
from fleetsyncd.database.housekeeping import Task, Work
from fleetsyncd.database.maintenance import maintenance_session
from fleetsyncd.database.partitions import make_month
from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.schema.grants import MAINTAIN_SINCE
from fleetsyncd.database.schema.lock_waits import Patience, PatientSession
from fleetsyncd.database.schema.tidy import tidy_all
from fleetsyncd.database.schema.tidy_check import check_tidying
from fleetsyncd.database.tidying import LOCK, RETRY_AFTER, Tidying
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import MigrationFailed, NotTidied, OthersTidy, PoolerUnfit
from fleetsyncd.findings import Finding, Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import month_of, next_month, utc_now
from tests.integration.closed_month import (
    BYTES_A_ROW,
    INVALID,
    fill,
    held_up,
    old_snapshot,
    query,
    until,
)
from tests.integration.test_adoption import INSTALLATION, as_owner
from tests.pgbouncer import HOST, pgbouncer

AT_ONCE = timedelta(0)
SECONDS = 500
"""Of rows: 27,000 of them, enough for a key of more than a megabyte."""
OLD = "SELECT pid FROM pg_stat_activity WHERE pid = %s AND xact_start < now() - interval '1.1 s'"
JOURNAL = (
    "SELECT subject, finished_at IS NOT NULL, bytes_before, bytes_after, error"
    " FROM fleetsync.housekeeping WHERE task = 'tidy'"
)


@pytest.fixture
def month(server: Server, database: Database) -> str:
    return fill(server, database, SECONDS)


def rows(database: Database) -> int:
    return int(query(database, "SELECT count(*) FROM measurements")[0][0])


def may_be_granted(server: Server) -> bool:
    with closing(server.connect("postgres")) as connection:
        return bool(connection.server_version >= MAINTAIN_SINCE)


@pytest.fixture(autouse=True)
def _right(server: Server) -> Iterator[None]:
    """Before PostgreSQL 17 only an owner may: let the daemon's role be a member of it."""
    if may_be_granted(server):
        yield
        return
    roles = tuple(map(sql.Identifier, (OWNER, APP)))
    server.execute(sql.SQL("GRANT {} TO {}").format(*roles))
    yield
    server.execute(sql.SQL("REVOKE {} FROM {}").format(*roles))


def findings(database: Database, keep_months: int | None = None) -> list[Finding]:
    check = partial(check_tidying, utc_now(), AT_ONCE, keep_months)
    return database.run(lambda cursor: list(check(cursor)))


def owners(server: Server, name: str) -> DatabaseSettings:
    return DatabaseSettings(server.parameters(name, OWNER))


def test_a_closed_month_takes_at_most_120_bytes_a_row_once_it_is_tidied(
    server: Server, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.tidy")
    month = fill(server, database, 3_700)
    before = rows(database)
    assert query(database, BYTES_A_ROW, month)[0][0] > 145
    tidied = Tidying(database, AT_ONCE).run(utc_now())
    assert tidied is not None
    assert (tidied.name, tidied.saved_bytes > 0) == (month, True)
    assert query(database, BYTES_A_ROW, month)[0][0] <= 120
    assert rows(database) == before
    assert query(database, JOURNAL) == [
        (f"public.{month}", True, tidied.bytes_before, tidied.bytes_after, None)
    ]
    assert [message.split(":")[0] for message in caplog.messages] == [
        f"tidying {month}",
        f"tidied {month}",
    ]
    assert query(database, INVALID) == []


def test_a_month_that_was_tidied_is_left_alone_until_its_key_has_grown(
    server: Server, database: Database, month: str
) -> None:
    tidying = Tidying(database, AT_ONCE)
    assert tidying.run(utc_now()) is not None
    assert tidying.run(utc_now()) is None
    query(database, "UPDATE fleetsync.housekeeping SET bytes_after = bytes_after - 9000000")
    again = tidying.run(utc_now())
    assert again is not None
    assert again.name == month
    # Twice as much, but no more than a few megabytes: it is not worth it yet.
    fill(server, database, SECONDS)
    assert tidying.run(utc_now()) is None


def test_only_what_ended_long_enough_ago_is_tidied_the_newest_first(
    server: Server, database: Database
) -> None:
    earlier, newest = fill(server, database, SECONDS, 2), fill(server, database, SECONDS, 1)
    fill(server, database, SECONDS, 0)
    ended = month_of(utc_now())

    def due(now: datetime) -> list[str]:
        after = timedelta(days=3)
        return [m.name for m in database.run(lambda c: due_months(c, now, after))]

    assert due(ended + timedelta(days=2, hours=23)) == [earlier]
    assert due(ended + timedelta(days=3)) == [newest, earlier]
    assert Tidying(database, None).run(utc_now()) is None


def test_what_retention_drops_is_not_tidied_before(server: Server, database: Database) -> None:
    fill(server, database, SECONDS, 3)
    kept = fill(server, database, SECONDS, 2)
    due = database.run(lambda c: due_months(c, utc_now(), AT_ONCE, 2))
    assert [each.name for each in due] == [kept]


def test_what_a_killed_one_has_left_is_told_and_dropped(
    server: Server, database: Database, month: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.tidy")
    ((key,),) = query(
        database,
        "SELECT indexrelid::regclass::text FROM pg_index"
        " WHERE indrelid = to_regclass(%s) AND indisunique",
        month,
    )
    with old_snapshot(server, database):
        with pytest.raises(psycopg2.Error), maintenance_session(database, 0.3) as session:
            session.execute(f"REINDEX INDEX CONCURRENTLY {key}")
        ((left,),) = query(database, INVALID)
    told = [each for each in findings(database) if each.level is Level.WARNING]
    assert f"an interrupted tidying of {month} has left the index {left}" in told[0].text
    Tidying(database, None).clean_up()
    assert query(database, INVALID) == []
    assert caplog.messages == [f"dropped index {left}, which an interrupted tidying had left"]
    assert Tidying(database, AT_ONCE).run(utc_now()) is not None


def test_a_backend_that_is_killed_leaves_nothing_and_the_next_round_does_it(
    server: Server, database: Database, month: str
) -> None:
    tidying = Tidying(database, AT_ONCE)
    with held_up(server, database, tidying) as (running, pid):
        server.execute(sql.SQL("SELECT pg_terminate_backend({})").format(sql.Literal(pid)))
        error = running.exception(30)
    assert isinstance(error, NotTidied)
    assert query(database, INVALID) == []
    ((_, finished, _, _, reason),) = query(database, JOURNAL)
    assert not finished
    assert reason in str(error)
    tidied = tidying.run(utc_now() + RETRY_AFTER)
    assert tidied is not None
    assert tidied.name == month


def test_a_new_index_that_is_still_built_is_not_taken_for_a_leftover(
    server: Server, database: Database, month: str
) -> None:
    with held_up(server, database, Tidying(database, AT_ONCE)) as (running, _):
        Tidying(database, AT_ONCE).clean_up()
        assert len(query(database, INVALID)) == 1
        assert [each.level for each in findings(database)] == [Level.OK]
    tidied = running.result(0)
    assert tidied is not None
    assert tidied.name == month


@pytest.mark.usefixtures("month")
def test_one_daemon_at_a_time_tidies_and_the_other_does_not_wait(
    server: Server, database: Database
) -> None:
    with held_up(server, database, Tidying(database, AT_ONCE)) as (running, _):
        with pytest.raises(OthersTidy):
            Tidying(database, AT_ONCE, retry_after=AT_ONCE, lock_sec=0.5).run(utc_now())
        assert not running.done()
    assert running.result(0) is not None
    assert Tidying(database, AT_ONCE).run(utc_now()) is None


def test_who_is_in_its_way_for_too_long_is_named_and_nothing_is_left(
    server: Server, database: Database, month: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.tidy")
    tidying = Tidying(database, AT_ONCE, lock_sec=1.5, report_sec=0.05)
    with old_snapshot(server, database) as reader:
        who = f"pg_dump (pid {reader.info.backend_pid}, role postgres"
        with pytest.raises(NotTidied) as caught:
            tidying.run(utc_now())
    assert str(caught.value).startswith(f"{month} could not be tidied: {who}")
    assert any(each.startswith(f"tidying {month}: waits for {who}") for each in caplog.messages)
    assert query(database, INVALID) == []
    (told,) = findings(database)
    assert (told.level, who in told.text) == (Level.WARNING, True)
    assert tidying.run(utc_now() + RETRY_AFTER - timedelta(minutes=1)) is None
    assert tidying.run(utc_now() + RETRY_AFTER) is not None
    assert [each.level for each in findings(database)] == [Level.OK]


def test_a_month_that_fails_keeps_no_other_from_being_tidied(
    server: Server, database: Database
) -> None:
    other, failing = fill(server, database, SECONDS, 2), fill(server, database, SECONDS, 1)
    tidying = Tidying(database, AT_ONCE, lock_sec=0.2)
    with old_snapshot(server, database), pytest.raises(NotTidied, match=failing):
        tidying.run(utc_now())
    tidied = tidying.run(utc_now())
    assert tidied is not None
    assert tidied.name == other


def test_one_that_is_stopped_ends_at_once_and_leaves_nothing(
    server: Server, database: Database, month: str
) -> None:
    tidying = Tidying(database, AT_ONCE)
    with held_up(server, database, tidying) as (running, _):
        began = time.monotonic()
        tidying.stop()
        with pytest.raises(NotTidied, match=f"{month} could not be tidied: it was stopped"):
            running.result(30)
        assert time.monotonic() - began < 5
    assert query(database, INVALID) == []
    assert query(database, JOURNAL) == []
    assert tidying.run(utc_now()) is None
    assert Tidying(database, AT_ONCE).run(utc_now()) is not None


def test_one_that_ended_without_a_word_is_not_tried_again_at_once(
    database: Database, month: str
) -> None:
    # As after a daemon or a server that broke down under it.
    begun = Work(Task.TIDY, f"public.{month}")
    database.run(partial(begun.begin, bytes_before=1))
    assert Tidying(database, AT_ONCE).run(utc_now()) is None
    assert Tidying(database, AT_ONCE).run(utc_now() + RETRY_AFTER) is not None


@pytest.mark.usefixtures("month")
def test_rows_are_written_once_each_meanwhile(server: Server, database: Database) -> None:
    before = rows(database)
    insert = "SELECT added FROM fleetsync.add_measurements(%s, '{1,2}', %s, '{1,1}', now(), null)"
    ((vehicle, stored),) = query(
        database, "SELECT vehicle_id::text, min(time) FROM measurements GROUP BY 1 LIMIT 1"
    )
    times = f"{{{stored},{stored + timedelta(milliseconds=1)}}}"

    def add() -> int:
        return int(query(database, insert, vehicle, times)[0][0])

    with held_up(server, database, Tidying(database, AT_ONCE)) as (running, _):
        assert (add(), add()) == (1, 0)
        assert not running.done()
    assert running.result(0) is not None
    assert add() == 0
    assert rows(database) == before + 1


def test_without_the_right_nothing_is_tried_and_doctor_names_the_owners_command(
    server: Server, database: Database, database_name: str, month: str
) -> None:
    revoke = "REVOKE MAINTAIN ON {} FROM {}" if may_be_granted(server) else "REVOKE {1} FROM {2}"
    names = map(sql.Identifier, (month, *((APP,) if may_be_granted(server) else (OWNER, APP))))
    server.execute(sql.SQL(revoke).format(*names), database=database_name)
    assert Tidying(database, AT_ONCE).run(utc_now()) is None
    assert query(database, JOURNAL) == []
    (told,) = findings(database)
    assert told.level is Level.WARNING
    assert month in told.text
    assert "`fleetsyncd migrate --tidy`" in str(told.remedy)
    done = tidy_all(owners(server, database_name), utc_now)
    assert [each.name for each in done.tidied] == [month]
    assert [each.level for each in findings(database)] == [Level.OK]


def test_a_new_month_may_be_tidied_by_those_who_may_tidy_the_table(
    server: Server, database: Database
) -> None:
    if not may_be_granted(server):
        pytest.skip("before PostgreSQL 17 there is no such right")
    coming = next_month(next_month(month_of(utc_now())))
    database.run(partial(make_month, coming))
    grants = query(
        database,
        "SELECT grantee::regrole::text FROM pg_class c, aclexplode(c.relacl)"
        " WHERE c.oid = to_regclass(%s) AND privilege_type = 'MAINTAIN'",
        f"measurements_{coming:%Y_%m}",
    )
    assert sorted(role for (role,) in grants) == [APP, OWNER]


def test_adopted_months_may_be_tidied_but_for_those_of_another_owner(
    server: Server, empty_database: str
) -> None:
    if not may_be_granted(server):
        pytest.skip("before PostgreSQL 17 there is no such right")
    as_owner(server, empty_database, INSTALLATION)
    foreign = (
        "CREATE TABLE others PARTITION OF measurements FOR VALUES FROM ('2001-01-01')"
        " TO ('2001-02-01')",
        "ALTER TABLE others OWNER TO postgres",
    )
    server.execute(*map(sql.SQL, foreign), database=empty_database)
    migrate.migrate(owners(server, empty_database), APP)
    with closing(Database(DatabaseSettings(server.parameters(empty_database)))) as database:
        allowed = query(
            database,
            "SELECT relid::regclass::text, has_table_privilege(relid, 'MAINTAIN')"
            " FROM pg_partition_tree('measurements')",
        )
    assert len(allowed) > 2
    assert [name for name, may in allowed if not may] == ["others"]


def test_the_owner_tidies_every_closed_month_however_young_and_goes_on_after_a_failure(
    server: Server, database: Database, database_name: str
) -> None:
    names = [fill(server, database, SECONDS, ago) for ago in (1, 2)]
    fill(server, database, SECONDS, 0)
    owner = owners(server, database_name)
    with old_snapshot(server, database):
        done = tidy_all(owner, utc_now, patience=Patience(0.2, 0.05))
    assert (done.tidied, len(done.failed)) == ([], 2)
    done = tidy_all(owner, utc_now)
    assert sorted(each.name for each in done.tidied) == sorted(names)
    assert tidy_all(owner, utc_now).tidied == []


@pytest.mark.usefixtures("month")
def test_the_owner_waits_for_a_daemon_that_tidies(
    server: Server, database: Database, database_name: str
) -> None:
    owner = owners(server, database_name)
    with (
        held_up(server, database, Tidying(database, AT_ONCE)),
        pytest.raises(MigrationFailed, match="a daemon has been tidying a month"),
    ):
        tidy_all(owner, utc_now, patience=Patience(0.2, 0.05))
    assert tidy_all(owner, utc_now).tidied == []


def test_retention_leaves_a_month_that_is_tidied_to_a_later_round_and_says_so(
    server: Server, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.retention")
    month = fill(server, database, SECONDS, 3)

    def drop() -> bool:
        retention = Retention(database, RetentionPolicy(None, None, 1), at_once=True)
        began = time.monotonic()
        for _step in retention.steps(utc_now):
            pass
        assert not retention.failed
        assert time.monotonic() - began < 3, "as long as locks are waited for"
        return query(database, "SELECT to_regclass(%s)", month) == [(None,)]

    with held_up(server, database, Tidying(database, AT_ONCE)) as (running, _):
        assert not drop()
        told = f"retention: {month} is being tidied: it is dropped in a later round"
        assert told in caplog.messages
    assert running.result(0) is not None
    assert drop()


def test_a_statement_of_migrate_gives_way_and_names_the_tidying(
    server: Server, database: Database, database_name: str, month: str
) -> None:
    owner = owners(server, database_name)
    with held_up(server, database, Tidying(database, AT_ONCE)) as (running, pid):
        until(lambda: bool(query(database, OLD, pid)))
        with closing(Connector(owner).connect()) as connection:
            session = PatientSession(Connector(owner), connection, Patience(0.2, 0.05))
            with pytest.raises(MigrationFailed, match=rf"fleetsyncd tidy \(pid {pid}, role"):
                session.execute(
                    "a step", f"ALTER TABLE {month} ALTER COLUMN value SET STATISTICS 9"
                )
        assert not running.done()
    assert running.result(0) is not None


def test_a_server_that_may_damage_the_new_index_is_left_alone(
    database: Database, month: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = query(database, "SELECT current_setting('server_version_num')::int")[0][0]
    monkeypatch.setattr(closed_months, "UNSAFE_SERVERS", range(version, version + 1))
    assert Tidying(database, AT_ONCE).run(utc_now()) is None
    (told,) = findings(database)
    assert "no month is tidied: PostgreSQL 14 before 14.4" in told.text
    assert query(database, "SELECT to_regclass(%s) IS NOT NULL", month) == [(True,)]


def test_a_month_that_is_made_anew_is_another_one(
    server: Server, database: Database, database_name: str, month: str
) -> None:
    tidying = Tidying(database, AT_ONCE)
    assert tidying.run(utc_now()) is not None
    drop = sql.SQL("DROP TABLE {}").format(sql.Identifier(month))
    server.execute(drop, database=database_name)
    assert tidying.run(utc_now()) is None
    assert query(database, JOURNAL) == []
    fill(server, database, SECONDS)
    assert tidying.run(utc_now()) is not None


def test_progress_is_told(
    server: Server, database: Database, month: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sync.tidy")
    tidying = Tidying(database, AT_ONCE, report_sec=0.02)
    with held_up(server, database, tidying):
        until(lambda: any(f"tidying {month}: waits for " in each for each in caplog.messages))


@contextmanager
def pooled(server: Server, name: str, folder: Path, mode: str) -> Iterator[Database]:
    with pgbouncer(server, folder, mode) as port:
        parameters = {"host": HOST, "port": str(port), "dbname": name, "user": APP}
        with closing(Database(DatabaseSettings(parameters))) as database:
            yield database


@pytest.mark.usefixtures("month")
def test_a_pooler_that_shares_connections_is_refused_and_keeps_no_lock(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with pooled(server, database_name, tmp_path, "transaction") as shared:
        with pytest.raises(PoolerUnfit):
            Tidying(shared, AT_ONCE).run(utc_now())
        assert locks(server, database_name) == 0


def test_a_month_is_tidied_and_stopped_through_a_pooler_in_session_mode(
    server: Server, database_name: str, month: str, tmp_path: Path
) -> None:
    with pooled(server, database_name, tmp_path, "session") as database:
        tidying = Tidying(database, AT_ONCE)
        with held_up(server, database, tidying) as (running, _):
            tidying.stop()
            with pytest.raises(NotTidied, match="it was stopped"):
                running.result(30)
        tidied = Tidying(database, AT_ONCE).run(utc_now())
    assert tidied is not None
    assert tidied.name == month


def locks(server: Server, name: str) -> int:
    with closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*)::int FROM pg_locks WHERE objid = %s", (LOCK,))
        return int(cursor.fetchall()[0][0])


def test_the_function_drops_no_index_but_what_a_reindex_has_left(
    server: Server, database: Database, database_name: str, month: str
) -> None:
    server.execute(
        sql.SQL("CREATE INDEX stays_ccnew ON {} (value)").format(sql.Identifier(month)),
        sql.SQL("CREATE INDEX others ON {} (value)").format(sql.Identifier(month)),
        sql.SQL("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'others'::regclass"),
        database=database_name,
    )
    assert query(database, "SELECT fleetsync.drop_broken_index()") == [(None,)]
    assert query(database, INVALID) == [("others",)]
