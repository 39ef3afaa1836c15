"""The one function through which measurements are written, and the one that names their table."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from fleetsyncd.database import measurements, replicas, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import checks, grants, migrate
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import DatabaseError
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from fleetsyncd.times import utc_now
from tests.integration.test_adoption import INSTALLATION, TRUCK_1, as_owner

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
ROWS = Measurements.from_rows((NOON + timedelta(seconds=n), 1, float(n)) for n in range(5))
REVOKE = f"REVOKE INSERT ON public.measurements FROM {APP}"
HIDDEN = (
    "CREATE TABLE fleetsync.samples (LIKE public.measurements INCLUDING INDEXES)",
    "CREATE OR REPLACE FUNCTION fleetsync.storage_table(vehicle uuid) RETURNS text"
    " LANGUAGE sql IMMUTABLE AS $$ SELECT 'fleetsync.samples' $$",
)


@pytest.fixture
def truck(database: Database) -> UUID:
    Partitions(database).ensure(NOON, NOON)
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))


def add(database: Database, truck: UUID, rows: Measurements = ROWS) -> int:
    return database.run(lambda cursor: measurements.add_measurements(cursor, truck, rows, None))


def rights(database: Database) -> str:
    """Return what doctor says of the rights of the daemon's role."""
    findings = checks.run_checks(database, 4, utc_now)
    return next(finding.text for finding in findings if finding.check == "rights")


def test_the_daemons_role_needs_no_right_to_insert(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    as_owner(server, database_name, REVOKE)
    assert add(database, truck) == 5
    assert rights(database) == "the daemon's role has what it needs"
    # Whoever migrates later does not give it back.
    migrate.migrate(DatabaseSettings(server.parameters(database_name, OWNER)), APP)
    with pytest.raises(DatabaseError, match="permission denied"):
        database.run(lambda c: c.execute("INSERT INTO public.measurements DEFAULT VALUES"))


def test_the_right_to_insert_is_kept_while_daemons_of_an_older_version_may_need_it(
    database: Database,
) -> None:
    assert rights(database).endswith("was for older daemons only: REVOKE it")
    now, former = replicas.Replica(30, migration=grants.DOOR), replicas.Replica(30, host="old")
    database.run(lambda c: replicas.write_heartbeat(c, now, 1.0, 2))
    assert rights(database).endswith("was for older daemons only: REVOKE it")
    database.run(lambda c: replicas.write_heartbeat(c, former, 1.0, 2))
    assert rights(database).endswith("INSERT on public.measurements for older daemons: old")


@pytest.mark.parametrize("role", ["owner", ""])
@pytest.mark.parametrize("door", ["add_measurements", "store_measurements"])
def test_nobody_else_comes_in_through_the_door(
    server: Server, database_name: str, database: Database, truck: UUID, role: str, door: str
) -> None:
    # The table's owner is not bound by its policies here.
    as_owner(server, database_name, "ALTER TABLE public.measurements NO FORCE ROW LEVEL SECURITY")
    connection = psycopg2.connect(make_dsn(**server.parameters(database_name)))
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.user_role', %s, true)", (role,))
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match=r"app\.user_role"):
            cursor.execute(
                f"SELECT fleetsync.{door}(%s::uuid, '{{1}}', '{{2026-02-10}}', '{{1}}', null,"
                " null)",
                (str(truck),),
            )
    assert add(database, truck) == 5


@pytest.mark.parametrize("forced", ["FORCE", "NO FORCE"])
def test_the_policies_of_an_adopted_table_need_not_name_its_owner(
    server: Server, empty_database: str, forced: str
) -> None:
    as_owner(
        server,
        empty_database,
        INSTALLATION,
        f"ALTER TABLE measurements {forced} ROW LEVEL SECURITY",
        "DROP POLICY staff ON measurements",
        f"CREATE POLICY daemon ON measurements TO {APP}"
        " USING ((SELECT current_setting('app.user_role', true)) = 'superuser')",
    )
    migrate.migrate(DatabaseSettings(server.parameters(empty_database, OWNER)), APP)
    made = as_owner(server, empty_database, "SELECT polname FROM pg_policy")
    assert (("measurements_writer",) in made) == (forced == "FORCE")
    with closing(Database(DatabaseSettings(server.parameters(empty_database)))) as database:
        Partitions(database).ensure(NOON, NOON)
        assert add(database, TRUCK_1, ROWS) == 5


def test_where_measurements_are_kept_is_told_by_one_line(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    as_owner(server, database_name, *HIDDEN)
    assert [add(database, truck) for _ in range(2)] == [5, 0]
    kept = "SELECT (SELECT count(*) FROM fleetsync.samples), (SELECT count(*) FROM measurements)"
    assert as_owner(server, database_name, kept) == [(5, 0)]


def test_a_transaction_goes_on_after_rows_that_another_writer_had_stored(
    database: Database, truck: UUID
) -> None:
    add(database, truck)

    def mistaken(cursor: Cursor) -> list[tuple[Any, ...]]:
        before = NOON - timedelta(seconds=1)
        assert measurements.add_measurements(cursor, truck, ROWS, before) == 0
        cursor.execute("SELECT count(*) FROM public.measurements")
        return cursor.fetchall()

    assert database.run(mistaken) == [(5,)]
