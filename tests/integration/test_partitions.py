import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from fleetsyncd.database import measurements, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import DatabaseError
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements

NAME = "partitions"
STRANGER = "fleet_stranger"


@pytest.fixture(scope="module")
def prepared(server: Server) -> Server:
    """Make one database for all: each test has months of its own."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    return server


@pytest.fixture
def database(prepared: Server) -> Iterator[Database]:
    with closing(Database(DatabaseSettings(prepared.parameters(NAME)))) as opened:
        yield opened


def query(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall()

    return database.run(work)


def made(database: Database) -> dict[str, str]:
    """Return the bounds of every partition by its name."""
    partitions = query(
        database,
        "SELECT c.relname::text, pg_get_expr(relpartbound, c.oid)"
        " FROM pg_class c JOIN pg_inherits ON inhrelid = c.oid"
        " WHERE inhparent = 'public.measurements'::regclass",
    )
    return dict(partitions)


def ensure(database: Database, month: date | None) -> bool:
    return bool(query(database, "SELECT fleetsync.ensure_month(%s)", month)[0][0])


def new_months(database: Database, work: Callable[[], None]) -> set[str]:
    before = made(database).keys()
    work()
    return set(made(database).keys() - before)


def test_the_present_month_and_two_ahead_are_made_once(database: Database) -> None:
    ((now,),) = query(database, "SELECT now()")
    partitions = Partitions(database)
    assert len(new_months(database, lambda: partitions.ensure_ahead(now))) == 3
    assert not new_months(database, lambda: partitions.ensure_ahead(now))
    assert not new_months(database, lambda: Partitions(database).ensure_ahead(now))


def test_every_month_of_a_gap_over_new_year_is_made(database: Database) -> None:
    gap = (datetime(2023, 11, 20, tzinfo=UTC), datetime(2024, 2, 10, tzinfo=UTC))
    months = new_months(database, lambda: Partitions(database).ensure(*gap))
    assert months == {f"measurements_{month}" for month in ("2023_11", "2023_12", "2024_01")} | {
        "measurements_2024_02"
    }
    assert made(database)["measurements_2024_02"] == (
        "FOR VALUES FROM ('2024-02-01 00:00:00+00') TO ('2024-03-01 00:00:00+00')"
    )


def test_a_month_long_past_is_made(database: Database) -> None:
    assert ensure(database, date(2000, 1, 1))
    assert not ensure(database, date(2000, 1, 1))


@pytest.mark.parametrize(
    "month", [date(2025, 1, 2), None, date(1999, 12, 1), date(2999, 1, 1), "infinity", "-infinity"]
)
def test_what_is_no_month_of_a_fleet_is_refused(database: Database, month: date | None) -> None:
    with pytest.raises(DatabaseError, match="not the first day of a month between 2000"):
        ensure(database, month)


def test_a_month_that_was_dropped_is_made_again_after_the_cache_is_cleared(
    prepared: Server, database: Database
) -> None:
    moment = datetime(2022, 5, 15, tzinfo=UTC)
    partitions = Partitions(database)
    partitions.ensure(moment, moment)
    prepared.execute(sql.SQL("DROP TABLE measurements_2022_05"), database=NAME)
    assert not new_months(database, lambda: partitions.ensure(moment, moment))
    partitions.forget()
    assert new_months(database, lambda: partitions.ensure(moment, moment)) == {
        "measurements_2022_05"
    }


def test_of_two_that_make_the_same_month_at_once_one_makes_it(database: Database) -> None:
    together = threading.Barrier(2)

    def make(_number: int) -> bool:
        together.wait(10)
        return ensure(database, date(2021, 6, 1))

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(make, range(2))) == [False, True]


def test_a_month_is_made_while_others_read_and_write_measurements(database: Database) -> None:
    truck = database.run(
        lambda cursor: vehicles.add_vehicle(cursor, "Truck-01", "10.4.0.1", 8001, None)
    )
    ensure(database, date(2021, 1, 1))
    row = Measurements.from_rows([(datetime(2021, 1, 10, tzinfo=UTC), 1, 0.5)])
    with database.transaction() as writer, database.transaction() as reader:
        measurements.add_measurements(writer, truck, row)
        reader.execute("SELECT count(*) FROM measurements")
        assert ensure(database, date(2021, 2, 1))


def test_rows_that_no_month_exists_for_are_refused_whole(database: Database) -> None:
    truck = database.run(
        lambda cursor: vehicles.add_vehicle(cursor, "Truck-02", "10.4.0.2", 8001, None)
    )
    ensure(database, date(2020, 1, 1))
    moments = (datetime(2020, 1, 31, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))
    rows = Measurements.from_rows((moment, 1, 0.5) for moment in moments)
    with pytest.raises(DatabaseError, match="no partition of relation"):
        database.run(lambda cursor: measurements.add_measurements(cursor, truck, rows))
    assert query(database, "SELECT 1 FROM measurements WHERE vehicle_id = %s", str(truck)) == []


def test_the_daemons_role_owns_no_month_that_it_had_made(database: Database) -> None:
    ensure(database, date(2019, 1, 1))
    assert query(
        database,
        "SELECT relowner::regrole::text FROM pg_class"
        " WHERE oid = 'public.measurements_2019_01'::regclass",
    ) == [(OWNER,)]


@pytest.mark.parametrize(
    "call", ["ensure_month('2018-01-01')", "make_month('2018-01-01')", "month_bounds()"]
)
def test_a_role_that_was_granted_nothing_cannot_call_the_functions(
    prepared: Server, call: str
) -> None:
    role = sql.Identifier(STRANGER)
    prepared.execute(
        sql.SQL("DROP ROLE IF EXISTS {}").format(role),
        sql.SQL("CREATE ROLE {} LOGIN").format(role),
    )
    prepared.execute(sql.SQL("GRANT USAGE ON SCHEMA fleetsync TO {}").format(role), database=NAME)
    connection = psycopg2.connect(host=prepared.host, user=STRANGER, dbname=NAME)
    with (
        closing(connection),
        connection.cursor() as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege, match="function"),
    ):
        cursor.execute(f"SELECT fleetsync.{call}")
    prepared.execute(
        sql.SQL("DROP OWNED BY {}").format(role),
        sql.SQL("DROP ROLE {}").format(role),
        database=NAME,
    )


def test_a_callers_search_path_cannot_slip_objects_of_its_own_under_the_function(
    prepared: Server, database: Database
) -> None:
    trap = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'captured'; END $$"
    prepared.execute(
        sql.SQL("CREATE SCHEMA evil"),
        sql.SQL("CREATE TABLE evil.measurements (LIKE public.measurements)"),
        sql.SQL("CREATE TABLE evil.pg_class (relkind text, oid oid)"),
        sql.SQL(f"CREATE FUNCTION evil.to_regclass(text) RETURNS regclass {trap}"),
        sql.SQL(f"CREATE FUNCTION evil.to_char(date, text) RETURNS text {trap}"),
        sql.SQL(f"CREATE FUNCTION evil.date_trunc(text, date) RETURNS date {trap}"),
        sql.SQL(f"CREATE FUNCTION evil.month_bounds() RETURNS SETOF text[] {trap}"),
        sql.SQL(f"CREATE FUNCTION evil.ensure_month(date) RETURNS boolean {trap}"),
        sql.SQL("GRANT USAGE ON SCHEMA evil TO PUBLIC"),
        database=NAME,
    )

    def from_an_evil_path(cursor: Cursor) -> None:
        cursor.execute("SET LOCAL search_path = evil, pg_catalog, public")
        with pytest.raises(psycopg2.errors.RaiseException, match="captured"):
            cursor.execute("SAVEPOINT before; SELECT to_char(date '2017-01-01', 'YYYY')")
        cursor.execute("ROLLBACK TO before")
        cursor.execute("CREATE TEMPORARY TABLE measurements (id uuid)")
        cursor.execute("SELECT fleetsync.ensure_month('2017-01-01')")
        assert cursor.fetchone() == (True,)

    database.run(from_an_evil_path)
    assert "measurements_2017_01" in made(database)
    assert query(
        database,
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = %s",
        "measurements_2017_01",
    ) == [("public",)]
