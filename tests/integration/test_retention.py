import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd.database import vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import LOCK, Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseError
from fleetsyncd.times import month_of, utc_now

MONTH = timedelta(days=30)
NOTHING = RetentionPolicy(None, None, None)


def query(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


@pytest.fixture
def truck(database: Database) -> str:
    return str(database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.4.0.1", 8001, None)))


def fill_journal(database: Database, truck: str, days: int) -> None:
    query(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
        " SELECT %s, at, at, 'ok' FROM generate_series(now() - make_interval(days => %s) + '1 min',"
        " now(), interval '1 day') at",
        truck,
        days,
    )


def remove(database: Database, keep: RetentionPolicy, batch: int = 5_000) -> int:
    """Run everything without a wait; return the number of steps."""
    retention = Retention(database, keep, batch=batch, at_once=True)
    return sum(1 for _ in retention.steps(utc_now))


def keep_months_for_long(database: Database, months: int) -> None:
    """Note that daemons have kept so many months for two days."""
    query(
        database,
        "INSERT INTO fleetsync.retention (kind, keep, since)"
        " VALUES ('measurements', %s, now() - interval '2 days')",
        months,
    )


def keep_alarms_for_long(database: Database, days: int) -> None:
    """Note that daemons have kept so many days of alarms for two days."""
    query(
        database,
        "INSERT INTO fleetsync.retention (kind, keep, since)"
        " VALUES ('alarms', %s, now() - interval '2 days')",
        days,
    )


def months(database: Database) -> set[str]:
    rows = query(
        database,
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'public.measurements'::regclass",
    )
    return {row[0] for row in rows}


def past_months(database: Database, *numbers: int) -> dict[int, str]:
    """Make the months so many before the present one; return their partitions' names."""
    names = {}
    for number in numbers:
        first = month_of(utc_now())
        for _ in range(number):
            first = month_of(first - timedelta(days=1))
        query(database, "SELECT fleetsync.ensure_month(%s)", first.date())
        names[number] = f"measurements_{first:%Y_%m}"
    return names


def test_journal_rows_go_by_age_in_batches_and_are_counted_in_the_log(
    database: Database, truck: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill_journal(database, truck, 60)
    with caplog.at_level(logging.INFO):
        steps = remove(database, RetentionPolicy(MONTH, None, None), batch=7)
    assert query(
        database, "SELECT count(*), min(started_at) > now() - interval '30 days' FROM sync_journal"
    ) == [(30, True)]
    assert steps == 5
    assert caplog.messages[-1] == "retention: removed expired journal entries: 30"


def test_what_is_stopped_between_two_batches_has_committed_the_first(
    database: Database, truck: str
) -> None:
    fill_journal(database, truck, 60)
    retention = Retention(database, RetentionPolicy(MONTH, None, None), batch=10, at_once=True)
    steps = retention.steps(utc_now)
    next(steps)
    steps.close()
    assert query(database, "SELECT count(*) FROM sync_journal") == [(50,)]


def test_quarantined_rows_go_by_age(database: Database, truck: str) -> None:
    query(
        database,
        "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason, at)"
        " SELECT %s, md5(d::text)::uuid, '/data', '{}', 'bad', now() - make_interval(days => d)"
        " FROM generate_series(0, 40) d",
        truck,
    )
    remove(database, RetentionPolicy(None, MONTH, None))
    assert query(database, "SELECT count(*) FROM fleetsync.quarantine") == [(30,)]


def test_expired_months_are_dropped_and_the_others_kept(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    names = past_months(database, 0, 1, 2, 3, 4)
    with caplog.at_level(logging.INFO):
        remove(database, RetentionPolicy(None, None, 2))
    assert months(database) == {names[0], names[1], names[2]}
    assert [f"retention: dropped partition {names[n]}" for n in (4, 3)] == caplog.messages[1:3]


def test_nothing_is_removed_for_ever(database: Database, truck: str) -> None:
    fill_journal(database, truck, 60)
    names = past_months(database, 0, 9)
    assert remove(database, NOTHING) == 0
    assert query(database, "SELECT count(*) FROM sync_journal") == [(60,)]
    assert months(database) == set(names.values())


def test_a_second_daemon_leaves_it_to_the_one_that_is_at_it(database: Database, truck: str) -> None:
    fill_journal(database, truck, 60)
    past_months(database, 0, 9)
    daemon = Retention(database, RetentionPolicy(MONTH, MONTH, 1))
    assert list(daemon.steps(utc_now)) == []
    query(database, "UPDATE fleetsync.retention SET due_at = now() WHERE due_at IS NOT NULL")
    with database.transaction() as busy:
        busy.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        assert list(daemon.steps(utc_now)) == []
    assert len(list(daemon.steps(utc_now))) == 2


@pytest.mark.parametrize(
    ("keep_months", "today", "message"),
    [
        (0, "current_date", "must be 1 to 1200"),
        (None, "current_date", "must be 1 to 1200"),
        (1, "current_date + 2", "nothing is dropped"),
        (1, "current_date - 2", "nothing is dropped"),
        (1, "NULL", "nothing is dropped"),
    ],
)
def test_the_owners_function_refuses_what_would_drop_too_much(
    database: Database, keep_months: int | None, today: str, message: str
) -> None:
    past_months(database, 9)
    with pytest.raises(DatabaseError, match=message):
        query(database, f"SELECT fleetsync.drop_expired_month(%s, {today})", keep_months)
    assert len(months(database)) == 1


def test_a_table_that_only_looks_like_a_month_is_not_dropped(
    server: Server, database_name: str, database: Database
) -> None:
    past_months(database, 0)
    server.execute(
        sql.SQL("CREATE TABLE public.measurements_2001_01 (id int)"),
        sql.SQL(
            "CREATE TABLE public.measurements_archive PARTITION OF public.measurements"
            " FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')"
        ),
        database=database_name,
    )
    keep_months_for_long(database, 1)
    assert query(database, "SELECT fleetsync.drop_expired_month(1, current_date)") == [(None,)]


def test_a_callers_search_path_cannot_change_what_is_dropped(
    server: Server, database_name: str, database: Database
) -> None:
    names = past_months(database, 0, 3)
    keep_months_for_long(database, 1)
    server.execute(
        sql.SQL("CREATE SCHEMA evil"),
        sql.SQL(
            "CREATE FUNCTION evil.date_trunc(text, date) RETURNS timestamptz LANGUAGE sql"
            " AS 'SELECT timestamptz ''infinity'''"
        ),
        sql.SQL(
            "CREATE FUNCTION evil.make_interval(months int) RETURNS interval LANGUAGE sql"
            " AS 'SELECT interval ''-100 years'''"
        ),
        sql.SQL("GRANT USAGE ON SCHEMA evil TO PUBLIC"),
        database=database_name,
    )

    def drop_all(cursor: Cursor) -> list[object]:
        cursor.execute("SET LOCAL search_path = evil, pg_catalog, public")
        dropped = []
        for _ in range(2):
            cursor.execute("SELECT fleetsync.drop_expired_month(1, current_date)")
            dropped.append(cursor.fetchall()[0][0])
        return dropped

    assert database.run(drop_all) == [names[3], None]


def test_a_month_in_use_is_left_for_later(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    names = past_months(database, 0, 3)
    with database.transaction() as reader:
        reader.execute("SELECT count(*) FROM measurements")
        remove(database, RetentionPolicy(None, None, 1))
        assert "months of measurements could not be removed" in caplog.text
        assert f"(pid {reader.connection.info.backend_pid}, role" in caplog.text
        assert "pg_terminate_backend" in caplog.text
    remove(database, RetentionPolicy(None, None, 1))
    assert months(database) == {names[0]}


@pytest.mark.parametrize("table", ["sync_journal", "alarms_log"])
def test_a_removal_at_work_is_not_waited_for_and_is_no_warning(
    database: Database, truck: str, table: str
) -> None:
    fill_journal(database, truck, 60)
    query(
        database,
        "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at,"
        " resolved_at, synced_at) SELECT %s, n, 1, 'Oil', now() - interval '40 days', now(), now()"
        " FROM generate_series(1, 30) n",
        truck,
    )
    told: list[str] = []
    warned: list[str] = []
    policy = RetentionPolicy(MONTH, None, None, alarms_keep=MONTH)
    removal = Retention(database, policy, at_once=True, tell=told.append, warn=warned.append)
    other = {"sync_journal": "alarms_log", "alarms_log": "sync_journal"}[table]
    counts = {
        name: f"SELECT count(*) FROM {name} WHERE {column} < now() - interval '30 days'"  # noqa: S608  ours
        for name, column in (("sync_journal", "started_at"), ("alarms_log", "triggered_at"))
    }
    with database.transaction() as busy:
        busy.execute(f"DELETE FROM {table} WHERE vehicle_id = %s", (truck,))  # noqa: S608  ours
        started = time.monotonic()
        list(removal.steps(utc_now))
        assert time.monotonic() - started < 5
        busy.execute("ROLLBACK")
    assert query(database, counts[table]) == [(30,)]
    assert query(database, counts[other]) == [(0,)]
    assert (warned, removal.failed) == ([], True)
    assert any("another program is deleting" in line for line in told)
    assert len(list(removal.steps(utc_now))) == 1
    assert query(database, counts[table]) == [(0,)]


def test_the_daemons_role_may_not_drop_a_month_by_itself(database: Database) -> None:
    names = past_months(database, 3)
    with pytest.raises(DatabaseError, match="must be owner"):
        query(database, f"DROP TABLE {names[3]}")


def test_a_months_local_end_counts_not_its_name(
    server: Server, database_name: str, database: Database
) -> None:
    now = utc_now()
    first = month_of(month_of(now) - timedelta(days=1))
    server.execute(
        sql.SQL(
            "CREATE TABLE {} PARTITION OF public.measurements FOR VALUES FROM ({}) TO ({})"
        ).format(
            sql.Identifier(f"measurements_{month_of(first - timedelta(days=1)):%Y_%m}"),
            sql.Literal(datetime(2001, 1, 1, tzinfo=UTC)),
            sql.Literal(first + timedelta(hours=5)),
        ),
        database=database_name,
    )
    keep_months_for_long(database, 1)
    dropped = query(database, "SELECT fleetsync.drop_expired_month(1, %s)", utc_now().date())
    assert dropped == [(None,)]
