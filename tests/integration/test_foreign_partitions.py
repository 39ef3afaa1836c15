"""Partitions that others make, name, cut or detach: every row that has a place is stored."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd.database import partitions
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.models import Window
from fleetsyncd.telemetry import Measurements
from fleetsyncd.times import month_of, next_month
from tests.integration.rig import Rig, rig

HOUR = timedelta(hours=1)
DAY, QUARTER, YEAR = timedelta(days=1), timedelta(days=91), timedelta(days=366)
HASHED = """
DROP TABLE public.measurements;
CREATE TABLE public.measurements (LIKE public.measurements_was INCLUDING ALL)
    PARTITION BY HASH (vehicle_id);
CREATE TABLE public.measurements_h0 PARTITION OF public.measurements
    FOR VALUES WITH (MODULUS 1, REMAINDER 0);
"""


def as_owner(server: Server, name: str, *statements: str) -> None:
    with closing(server.connect(name)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"SET ROLE {OWNER}")
        for statement in statements:
            cursor.execute(statement)


def partition(name: str, start: datetime | str, end: datetime | str) -> str:
    bounds = [at if isinstance(at, str) else f"'{at:%Y-%m-%d %H:%M}+00'" for at in (start, end)]
    return (
        f"CREATE TABLE public.{name} PARTITION OF public.measurements"
        f" FOR VALUES FROM ({bounds[0]}) TO ({bounds[1]})"
    )


def of_length(length: timedelta, count: int) -> list[str]:
    """Return so many partitions of one length, about the present, named as pg_partman does."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [today + length * (number - count // 2) - DAY for number in range(count)]
    return [partition(f"measurements_p{at:%Y%m%d}", at, at + length) for at in starts]


def months_named_otherwise() -> list[str]:
    month = month_of(datetime.now(UTC))
    months = [month_of(month - DAY), month, next_month(month)]
    return [partition(f"measurements_p{at:%Y%m%d}", at, next_month(at)) for at in months]


SCHEMES = {
    "pg_partman's names": months_named_otherwise(),
    "a partition a day": of_length(DAY, 9),
    "a partition a quarter": of_length(QUARTER, 3),
    "a partition a year": of_length(YEAR, 3),
    "a default partition that is in use": [
        "CREATE TABLE public.other PARTITION OF public.measurements DEFAULT",
        "INSERT INTO public.other VALUES (gen_random_uuid(), 1, '2020-01-01', 1)",
    ],
    "one partition for all time": [partition("everything", "MINVALUE", "MAXVALUE")],
    "all that is past in one": [partition("past", "MINVALUE", month_of(datetime.now(UTC)))],
    "a finite past in one": [
        partition("past", datetime(2020, 1, 1, tzinfo=UTC), month_of(datetime.now(UTC)))
    ],
    "a past that ends within the month": [
        partition("past", datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) - DAY)
    ],
    "a past of a year": [
        partition("past", month_of(datetime.now(UTC)) - YEAR, month_of(datetime.now(UTC)))
    ],
    "an empty default partition": [
        "CREATE TABLE public.other PARTITION OF public.measurements DEFAULT"
    ],
    "by vehicle": [
        "CREATE TABLE public.measurements_was (LIKE public.measurements INCLUDING ALL)",
        HASHED,
        f"GRANT SELECT, INSERT, DELETE ON public.measurements TO {APP}",
        "ALTER TABLE public.measurements ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY superuser ON public.measurements"
        " USING (current_setting('app.user_role', true) = 'superuser')",
    ],
    "by vehicle, each by time": [
        "DROP TABLE public.measurements",
        "CREATE TABLE public.measurements (vehicle_id uuid NOT NULL, channel_id integer NOT NULL,"
        " time timestamptz NOT NULL, value double precision NOT NULL,"
        " PRIMARY KEY (vehicle_id, channel_id, time)) PARTITION BY RANGE (time, channel_id)",
        "CREATE TABLE public.measurements_all PARTITION OF public.measurements"
        " FOR VALUES FROM ('2000-01-01', 0) TO ('2100-01-01', 0)",
        f"GRANT SELECT, INSERT, DELETE ON public.measurements TO {APP}",
    ],
}


CONTINUED = {
    "all that is past in one",
    "a finite past in one",
    "a past that ends within the month",
    "a past of a year",
    "an empty default partition",
}
"""What was there before has a place of its own, and months follow."""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_row_is_stored_and_nothing_is_made_beside_what_others_made(
    server: Server, database_name: str, database: Database, scheme: str
) -> None:
    as_owner(server, database_name, *SCHEMES[scheme])
    with rig(database) as it:
        before = partitions_of(it)
        assert it.cycle().outcome == "ok"
        assert it.cycle(after=30).outcome == "ok"
        assert it.compare().clean
        assert partitions_of(it) >= before
        if scheme not in CONTINUED:
            assert partitions_of(it) == before


def partitions_of(it: Rig) -> set[str]:
    rows = it.run(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'public.measurements'::regclass"
    )
    return {row[0] for row in rows}


def test_a_month_between_a_long_past_and_months_is_made_for_a_gap(
    server: Server, database_name: str, database: Database
) -> None:
    present = month_of(datetime.now(UTC))
    last = month_of(present - HOUR)
    as_owner(server, database_name, partition("past", datetime(2020, 1, 1, tzinfo=UTC), last))
    Partitions(database).ensure_ahead(present)
    with over_a_months_end(database) as it:
        assert it.cycle().outcome == "ok"
        assert it.compare().clean


def test_a_generated_column_does_not_keep_months_from_being_made(
    server: Server, database_name: str, database: Database
) -> None:
    as_owner(
        server,
        database_name,
        "ALTER TABLE measurements ADD doubled double precision"
        " GENERATED ALWAYS AS (value * 2) STORED",
    )
    with rig(database) as it:
        assert it.cycle().outcome == "ok"
        assert it.compare().clean


def test_where_others_have_made_none_for_the_present_nothing_is_lost_and_they_are_named(
    server: Server, database_name: str, database: Database
) -> None:
    days = of_length(DAY, 9)
    as_owner(server, database_name, *days[:3])
    with rig(database) as it:
        before = it.watermark()
        report = it.cycle()
        assert report.outcome == "error"
        assert "no partition of relation" in str(report.reason)
        assert "others make these partitions" in str(report.reason)
        assert it.watermark() == before
        as_owner(server, database_name, *days[3:])
        assert it.cycle(after=30).outcome == "ok"
        assert it.compare().clean


@contextmanager
def over_a_months_end(database: Database) -> Iterator[Rig]:
    """Begin an hour and a half before the present month, and look at it half an hour within it."""
    with rig(database, channels=1) as it:
        month = month_of(datetime.now(UTC))
        it.now = month + HOUR / 2
        it.start = month - 1.5 * HOUR
        it.set_watermark(it.start)
        yield it


def make_both(database: Database) -> tuple[datetime, str]:
    """Make the last month and the present one; return the last one and its table."""
    present = month_of(datetime.now(UTC))
    Partitions(database).ensure(present - HOUR, present)
    last = month_of(present - HOUR)
    return last, f"measurements_{last:%Y_%m}"


def test_a_detached_month_is_told_and_does_not_stand_in_the_way_of_newer_rows(
    server: Server, database_name: str, database: Database
) -> None:
    last, table = make_both(database)
    as_owner(server, database_name, f"ALTER TABLE measurements DETACH PARTITION {table}")
    with over_a_months_end(database) as it:
        report = it.cycle()
        present = next_month(last)
        assert it.watermark() == it.now
        stored = it.run("SELECT count(*), min(time) FROM measurements")[0]
        assert stored[0] >= 1800
        assert stored[1] >= present
        assert report.outcome == "error"
        attach = database.run(partial(partitions.attach_statement, last))
        assert f"{table} is detached: {attach}" in str(report.error_msg)
        ((kept,),) = it.run("SELECT string_agg(reason, '') FROM fleetsync.quarantine")
        assert f"{table} is detached" in kept, "also if the daemon had ended here"
        assert "5405 row(s) of" in str(report.error_msg), "an hour and a half, and the overlap"
        assert report.unstored is None, "no fault of storing, which would fail the health check"
        assert it.cycle(after=30).outcome == "ok"

        as_owner(server, database_name, attach)
        it.run(
            "INSERT INTO fleetsync.backfill (vehicle_id, from_at, to_at, reached_at)"
            " VALUES (%s, %s, %s, %s)",
            str(it.vehicle_id),
            it.start,
            present,
            it.start,
        )
        assert "complete" in it.backfill()
        assert it.compare().clean


def test_a_backfill_of_a_detached_month_says_that_it_stored_nothing(
    server: Server, database_name: str, database: Database
) -> None:
    _, table = make_both(database)
    as_owner(server, database_name, f"ALTER TABLE measurements DETACH PARTITION {table}")
    with over_a_months_end(database) as it:
        it.cycle()
        assert it.start is not None
        it.run(
            "INSERT INTO fleetsync.backfill (vehicle_id, from_at, to_at, reached_at)"
            " VALUES (%s, %s, %s, %s)",
            str(it.vehicle_id),
            it.start,
            it.start + HOUR,
            it.start,
        )
        assert f"{table} is detached" in it.backfill()
        assert it.journal()[-1][0] == "error"
        assert it.backfill() == "none"


def test_the_present_month_detached_by_mistake_loses_nothing(
    server: Server, database_name: str, database: Database
) -> None:
    last, _ = make_both(database)
    present = next_month(last)
    table = f"measurements_{present:%Y_%m}"
    as_owner(server, database_name, f"ALTER TABLE measurements DETACH PARTITION {table}")
    with over_a_months_end(database) as it:
        report = it.cycle()
        assert report.outcome == "error"
        reached = it.watermark()
        assert reached is not None
        assert reached <= present
        as_owner(server, database_name, database.run(partial(partitions.attach_statement, present)))
        assert it.cycle(after=30).outcome == "ok"
        assert it.compare().clean


def test_a_month_that_cannot_be_made_at_the_moment_is_waited_for(
    server: Server, database_name: str, database: Database
) -> None:
    present = month_of(datetime.now(UTC))
    Partitions(database).ensure(present + HOUR, present + 15 * DAY)
    last = f"measurements_{month_of(present - HOUR):%Y_%m}"
    server.execute(sql.SQL(f"DROP TABLE IF EXISTS {last}"), database=database_name)
    as_owner(
        server,
        database_name,
        "CREATE OR REPLACE FUNCTION fleetsync.make_month(month date) RETURNS text"
        " LANGUAGE plpgsql AS $$ BEGIN RAISE lock_not_available; END $$",
    )
    with over_a_months_end(database) as it:
        report = it.cycle()
        assert report.outcome == "error"
        assert "the month cannot be made: lock not available" in str(report.reason)
        assert it.watermark() == it.start


def test_rows_outside_of_windows_are_those_that_no_window_holds() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = Measurements.from_rows((start + n * HOUR, 1, float(n)) for n in range(10))
    windows = [Window(start + HOUR, start + 3 * HOUR), Window(start + 8 * HOUR, start + 20 * HOUR)]
    assert rows.outside(windows).values == (0.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    assert rows.outside([]) == rows


def test_an_interrupted_detach_is_a_hole_as_well(
    server: Server, database_name: str, database: Database
) -> None:
    if database.run(lambda cursor: cursor.connection.server_version) < 140_000:
        pytest.skip("DETACH CONCURRENTLY came with PostgreSQL 14")
    _, table = make_both(database)
    server.execute(
        sql.SQL(
            "UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = {}::regclass"
        ).format(sql.Literal(f"public.{table}")),
        database=database_name,
    )
    with over_a_months_end(database) as it:
        report: Any = it.cycle()
        assert f"{table} is detached" in str(report.error_msg)
        assert it.watermark() == it.now


def test_rows_that_are_left_out_are_not_taken_for_the_newest_that_are_stored(
    server: Server, database_name: str, database: Database
) -> None:
    _, table = make_both(database)
    as_owner(server, database_name, f"ALTER TABLE measurements DETACH PARTITION {table}")
    with over_a_months_end(database) as it:
        it.offset = -2 * HOUR  # the vehicle's clock has not come to the present month
        it.set_watermark(it.now - 3 * HOUR)
        assert "are not stored" in str(it.cycle().error_msg)
        assert it.run("SELECT newest_measurement_at FROM fleetsync.vehicle_state") == [(None,)]
