"""Measurements in a hidden table behind a view: what is true over a table is true there.

`make test ARGS="--hidden-table tests/integration"` runs every test over such a table; those fail
that look into months, or make a trigger on measurements.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from fleetsyncd.database import measurements, removal, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.purge import purge_by_id
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema import checks, migrate
from fleetsyncd.database.views.storage import storage
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.findings import Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from fleetsyncd.times import utc_now
from tests.hidden import hide
from tests.integration import (
    test_audits,
    test_backfill,
    test_cycle,
    test_gaps,
    test_late_rows,
    test_leftovers,
    test_quarantine,
    test_series,
)
from tests.integration.test_adoption import as_owner
from tests.integration.test_retention import query

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
ROWS = Measurements.from_rows((NOON + timedelta(seconds=n), 1, float(n)) for n in range(5))
OLGA = UUID(int=1)
REPEATED: dict[ModuleType, tuple[str, ...]] = {
    test_cycle: (
        "test_two_cycles_store_every_row_once_and_the_journal_has_their_numbers",
        "test_rows_committed_late_are_met_by_the_next_cycle",
        "test_a_vehicle_removed_in_mid_cycle_leaves_nothing_behind",
    ),
    test_gaps: (
        "away",
        "test_the_watermark_jumps_to_the_end_of_what_is_live_when_the_gap_is_pulled",
    ),
    test_backfill: ("test_pulling_the_same_again_adds_nothing",),
    test_audits: (
        "pulled",
        "test_missing_rows_are_stored_and_told",
        "test_rows_that_the_vehicle_has_no_longer_are_counted_and_kept",
        "test_without_a_beginning_all_that_is_stored_is_compared",
    ),
    test_quarantine: (
        "test_what_has_become_valid_is_stored_and_the_rest_stays",
        "test_a_row_that_is_stored_already_is_released_and_not_doubled",
    ),
    test_leftovers: ("removed", "test_each_vehicle_is_listed_before_the_next_one_is_read"),
    test_series: (
        "test_values_lie_in_the_slices_of_their_times",
        "test_a_channel_with_more_rows_than_its_share_is_sampled_and_others_are_exact",
    ),
    test_late_rows: ("test_rows_that_others_stored_meanwhile_are_not_late",),
}
"""Tests, and their fixtures, that are run again over the hidden table."""
for module, names in REPEATED.items():
    globals().update({name: getattr(module, name) for name in names})


@pytest.fixture
def database_name(server: Server, database_name: str) -> str:
    """Return a database whose measurements are behind a view."""
    hide(server, database_name)
    return database_name


@pytest.fixture
def truck(database: Database) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.0.0.1", 8001, None))


@pytest.fixture
def filled(server: Server, database: Database, database_name: str, truck: UUID) -> UUID:
    """Return a vehicle with five rows, granted to Olga; another has five as well."""
    other = database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.0.0.2", 8001, None))
    for each in (truck, other):
        added = [database.run(partial(add, each)) for _ in range(2)]
        assert added == [5, 0]
    grant = "INSERT INTO vehicle_access VALUES ('{}', '{}')"
    as_owner(server, database_name, grant.format(OLGA, truck))
    return truck


def add(vehicle: UUID, cursor: Cursor) -> int:
    return measurements.add_measurements(cursor, vehicle, ROWS)


@contextmanager
def connected(server: Server, name: str, **variables: str) -> Iterator[Any]:
    """Give a cursor of the daemon's role, with these `app.` variables."""
    connection = psycopg2.connect(make_dsn(**server.parameters(name)))
    with closing(connection), connection.cursor() as cursor:
        for variable, value in variables.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (f"app.{variable}", value))
        connection.commit()
        yield cursor


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({"user_role": "superuser"}, 10),
        ({"user_role": "owner", "user_id": str(OLGA)}, 5),
        ({"user_role": "owner", "user_id": str(UUID(int=2))}, 0),
        ({"user_role": "owner"}, 0),
        ({"user_role": "somebody"}, 0),
        ({}, 0),
    ],
)
def test_the_view_shows_what_the_policies_showed(
    server: Server, database_name: str, filled: UUID, variables: dict[str, str], seen: int
) -> None:
    with connected(server, database_name, **variables) as cursor:
        cursor.execute("SELECT vehicle_id::text FROM measurements")
        rows = cursor.fetchall()
        assert len(rows) == seen
        assert seen != 5 or {UUID(key) for (key,) in rows} == {filled}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO measurements VALUES ('{truck}', 9, now(), 1)",
        "INSERT INTO measurements VALUES ('{truck}', 9, now(), 1) ON CONFLICT DO NOTHING",
        "UPDATE measurements SET value = 9",
        "DELETE FROM measurements",
    ],
)
def test_only_superusers_write_whatever_rights_a_role_has(
    server: Server, database_name: str, filled: UUID, statement: str
) -> None:
    as_owner(server, database_name, f"GRANT ALL ON measurements TO {APP}")
    for variables in ({"user_role": "owner", "user_id": str(OLGA)}, {"user_role": ""}, {}):
        with (
            connected(server, database_name, **variables) as cursor,
            pytest.raises(psycopg2.errors.InsufficientPrivilege, match="superuser only"),
        ):
            cursor.execute(statement.format(truck=filled))
    kept = "SELECT count(*), sum(value) FROM measurements"
    assert as_owner(server, database_name, kept) == [(10, 20.0)]


@pytest.mark.usefixtures("filled")
def test_nobody_but_the_owner_reaches_what_is_hidden(server: Server, database_name: str) -> None:
    with connected(server, database_name, user_role="superuser") as cursor:
        for statement in ("SELECT FROM {}", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement.format("fleetsync.samples"))
            cursor.connection.rollback()


def test_daemons_of_the_version_before_insert_into_the_view(
    database: Database, filled: UUID
) -> None:
    insert = (
        "INSERT INTO public.measurements (vehicle_id, channel_id, time, value)"
        " SELECT %s::uuid, 1, t, 1 FROM generate_series(%s, %s, interval '1 s') t"
        " ON CONFLICT (vehicle_id, channel_id, time) DO NOTHING RETURNING time"
    )
    rows = query(database, insert, str(filled), NOON, NOON + timedelta(seconds=6))
    assert [time for (time,) in rows] == [NOON + timedelta(seconds=n) for n in (5, 6)]


def test_a_removed_vehicles_rows_are_purged(database: Database, filled: UUID) -> None:
    removal.remove_vehicles(database, [filled], with_measurements=True)
    assert purge_by_id(database, filled) == 5
    assert query(database, "SELECT count(*) FROM measurements") == [(5,)]


@pytest.mark.usefixtures("filled")
def test_doctor_knows_the_view_and_migrate_leaves_it_alone(
    server: Server, database_name: str, database: Database
) -> None:
    done = migrate.migrate(DatabaseSettings(server.parameters(database_name, OWNER)), APP)
    assert (done.migrations, done.indexes) == ([], [])
    findings = list(checks.run_checks(database, 4, utc_now))
    assert {finding.level for finding in findings} == {Level.OK}
    assert any(finding.text.startswith("a view over ") for finding in findings)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (f"GRANT SELECT ON fleetsync.samples TO {APP}", f"{APP} has rights on fleetsync.samples"),
        ("GRANT DELETE ON fleetsync.samples TO PUBLIC", "PUBLIC has rights on"),
        (
            "DROP TRIGGER only_superusers_write ON fleetsync.samples",
            "the trigger only_superusers_write of fleetsync.samples is off",
        ),
    ],
)
def test_doctor_tells_what_opens_the_hidden_table(
    server: Server, database_name: str, database: Database, spoil: str, told: str
) -> None:
    as_owner(server, database_name, spoil)
    faults = [f.text for f in checks.run_checks(database, 4, utc_now) if f.level is Level.FAULT]
    assert [text.startswith(told) for text in faults] == [True]


@pytest.mark.usefixtures("filled")
def test_its_size_is_that_of_measurements_and_no_month_of_it_can_be_dropped(
    database: Database,
) -> None:
    if query(database, "SELECT fleetsync.timescale_schema()") != [(None,)]:
        pytest.skip("of a hypertable, months can be dropped: see test_timescale")
    found = database.run(storage)
    stored = [table for table in found.tables if table.is_measurements]
    assert [(table.name, table.begins, table.ends) for table in stored] == [
        ("measurements", None, None)
    ]
    assert found.measurement_bytes > 0
    told: list[str] = []
    keep = RetentionPolicy(None, None, 1)
    retention = Retention(database, keep, at_once=True, tell=told.append, warn=told.append)
    list(retention.steps(utc_now))
    assert told == ["retention: measurements has no monthly partitions, nothing is dropped"]


def test_the_rights_of_a_viewer_are_kept(server: Server, empty_database: str) -> None:
    owner = DatabaseSettings(server.parameters(empty_database, OWNER))
    migrate.migrate(owner, APP)
    server.execute(
        sql.SQL("DO $$ BEGIN CREATE ROLE grafana_17; EXCEPTION WHEN duplicate_object THEN END $$")
    )
    rights = (
        "SELECT privilege_type, is_grantable, grantee::regrole::text, attname::text FROM ("
        " SELECT relowner, relacl, NULL::name FROM pg_class WHERE oid = 'measurements'::regclass"
        " UNION ALL SELECT 0, attacl, attname FROM pg_attribute"
        " WHERE attrelid = 'measurements'::regclass) o(owner, acl, attname), aclexplode(o.acl)"
        " WHERE grantee <> o.owner ORDER BY 1, 2, 3, 4"
    )
    before = as_owner(
        server,
        empty_database,
        "GRANT SELECT (time, value) ON measurements TO grafana_17",
        "GRANT DELETE ON measurements TO grafana_17 WITH GRANT OPTION",
        "GRANT INSERT ON measurements TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO grafana_17",
        rights,
    )
    assert len(before) > 5
    hide(server, empty_database)
    assert as_owner(server, empty_database, rights) == before
