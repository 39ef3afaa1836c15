"""Tables that were there before and do not fit: named with the statement that mends each."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from click.testing import CliRunner
from psycopg2 import sql

from fleetsyncd.commands.migrate import migrate_command
from fleetsyncd.database import (
    loading,
    vehicles,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import adoption, checks, migrate
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import CommandError, MigrationFailed
from fleetsyncd.findings import Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now
from tests.integration.rig import rig
from tests.integration.test_adoption import adopt, as_owner, catalog, installation  # noqa: F401

MENDED_BY_STATEMENT = {
    "a time without zone": "ALTER TABLE vehicles ALTER last_sync_at TYPE timestamp",
    "a time of whole seconds": "ALTER TABLE alarms_log ALTER synced_at TYPE timestamptz(0)",
    "an address as text": "ALTER TABLE vehicles ALTER vpn_ip TYPE text",
    "no port": "ALTER TABLE vehicles DROP COLUMN api_port",
    "no software version": "ALTER TABLE vehicles DROP COLUMN software_version",
    "small integer ids of channels": "ALTER TABLE channel_config ALTER channel_id TYPE smallint",
    "integer ids of alarms": "DELETE FROM alarms_log; ALTER TABLE alarms_log"
    " ALTER alarm_id TYPE integer",
    "a limited text": "ALTER TABLE sync_journal ALTER error_msg TYPE varchar(40)",
    "single precision": "ALTER TABLE measurements ALTER value TYPE real",
    "a unit that must be there": "ALTER TABLE channel_config ALTER unit SET NOT NULL",
    "a further column to be filled": "ALTER TABLE sync_journal ADD depot text NOT NULL DEFAULT 'x';"
    " ALTER TABLE sync_journal ALTER depot DROP DEFAULT",
    "no number of its own": "ALTER TABLE sync_journal ALTER id DROP DEFAULT",
    "a journal that does not know ok": "ALTER TABLE sync_journal DROP CONSTRAINT"
    " sync_journal_status_check, ADD CHECK (status IN ('success', 'error')) NOT VALID",
    "a status that must not be unknown": "ALTER TABLE vehicles DROP CONSTRAINT known_status,"
    " ADD CONSTRAINT some_status CHECK (sync_status <> 'unknown') NOT VALID",
    "no key of channels": "ALTER TABLE channel_config DROP CONSTRAINT one_channel",
    "a key of alarms that is checked late": "ALTER TABLE alarms_log DROP CONSTRAINT one_alarm,"
    " ADD UNIQUE (vehicle_id, alarm_id) DEFERRABLE",
    "a key of measurements that is checked late": "ALTER TABLE measurements"
    " DROP CONSTRAINT one_measurement, ADD UNIQUE (vehicle_id, channel_id, time) DEFERRABLE",
    "a journal that hides its rows": "ALTER TABLE sync_journal ENABLE ROW LEVEL SECURITY,"
    " FORCE ROW LEVEL SECURITY",
    "channels that can be read only": "ALTER TABLE channel_config ENABLE ROW LEVEL SECURITY;"
    " CREATE POLICY reading ON channel_config FOR SELECT USING (true)",
}
MENDED_BY_HAND = {
    "measurements that are a time without zone": (
        "DROP TABLE measurements; CREATE TABLE measurements (vehicle_id uuid NOT NULL,"
        " channel_id integer NOT NULL, time timestamp NOT NULL, value double precision NOT NULL,"
        " UNIQUE (vehicle_id, channel_id, time)) PARTITION BY RANGE (time)",
        "RENAME TO measurements_before",
    ),
    "integer ids of vehicles": (
        "ALTER TABLE vehicle_access DROP CONSTRAINT vehicle_access_vehicle_id_fkey;"
        " ALTER TABLE vehicle_access DROP COLUMN vehicle_id CASCADE;"
        " ALTER TABLE vehicle_access ADD vehicle_id integer",
        "RENAME TO vehicle_access_before",
    ),
    "a view instead of a table": (
        "DROP TABLE vehicle_access CASCADE; CREATE VIEW vehicle_access AS"
        " SELECT id AS user_id, id AS vehicle_id FROM vehicles",
        "rename it",
    ),
}

FORGET_LAST = """
DELETE FROM fleetsync.migration WHERE migration_id =
    (SELECT max(migration_id) FROM fleetsync.migration)
"""


def refused(server: Server, name: str) -> str:
    before = catalog(server, name)
    with pytest.raises(MigrationFailed, match="nothing was changed") as refusal:
        adopt(server, name)
    assert catalog(server, name) == before
    return str(refusal.value)


@pytest.mark.parametrize("case", MENDED_BY_STATEMENT)
def test_what_does_not_fit_is_refused_and_fits_after_the_statement_that_is_named(
    server: Server,
    installation: str,  # noqa: F811  a fixture
    case: str,
) -> None:
    as_owner(server, installation, MENDED_BY_STATEMENT[case])
    lines = refused(server, installation).splitlines()[1:]
    assert len(lines) == 1, lines
    remedy = re.search(r": ((?:ALTER TABLE|CREATE POLICY) .*)$", lines[0])
    assert remedy is not None, lines
    as_owner(server, installation, remedy[1])
    adopt(server, installation)
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        Partitions(database).ensure_ahead(utc_now())
        faults = [each for each in checks.run_checks(database, 4, utc_now) if is_fault(each)]
        assert faults == []
        with rig(database, name="Truck-09") as it:
            assert it.cycle().outcome == "ok"


@pytest.mark.parametrize("case", MENDED_BY_HAND)
def test_what_no_statement_can_mend_is_refused_with_a_way_out(
    server: Server,
    installation: str,  # noqa: F811  a fixture
    case: str,
) -> None:
    statement, way_out = MENDED_BY_HAND[case]
    as_owner(server, installation, statement)
    assert way_out in refused(server, installation)


def test_a_check_tells_what_does_not_fit_of_a_schema_that_is_up_to_date(
    server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_owner(server, database_name, MENDED_BY_STATEMENT["a time without zone"])
    for name, value in server.environment(database_name).items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(migrate_command, ["--check"], standalone_mode=False)
    assert told.return_value == 1
    assert "up to date" in told.output
    assert "does not fit: public.vehicles.last_sync_at is timestamp without" in told.output


WORKS = {
    "a short text for a status": "ALTER TABLE vehicles ALTER sync_status TYPE varchar(16)",
    "a range of numerics": "ALTER TABLE channel_config ALTER min_value TYPE numeric",
    "a key that holds more": "ALTER TABLE alarms_log DROP CONSTRAINT one_alarm,"
    " ADD UNIQUE (vehicle_id, alarm_id) INCLUDE (message)",
    "a policy of its own": "ALTER TABLE channel_config ENABLE ROW LEVEL SECURITY,"
    " FORCE ROW LEVEL SECURITY; CREATE POLICY ours ON channel_config TO fleet_app, fleet_owner"
    " USING (vehicle_id IS NOT NULL)",
    "access that another role owns": "SELECT 1",
}


@pytest.mark.parametrize("case", WORKS)
def test_what_is_other_and_works_is_adopted(
    server: Server,
    installation: str,  # noqa: F811  a fixture
    case: str,
) -> None:
    as_owner(server, installation, WORKS[case])
    if "another role" in case:
        server.execute(
            sql.SQL("ALTER TABLE vehicle_access OWNER TO postgres"),
            sql.SQL("GRANT ALL ON vehicle_access TO fleet_owner WITH GRANT OPTION"),
            database=installation,
        )
    adopt(server, installation)
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        Partitions(database).ensure_ahead(utc_now())
        assert [each for each in checks.run_checks(database, 4, utc_now) if is_fault(each)] == []
        with rig(database, name="Truck-09") as it:
            assert it.cycle().outcome == "ok"


def test_an_installation_that_was_adopted_long_ago_is_upgraded_and_told_what_does_not_fit(
    server: Server, database_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    as_owner(server, database_name, "ALTER TABLE sync_journal ALTER error_msg TYPE varchar(40)")
    as_owner(server, database_name, FORGET_LAST)
    with caplog.at_level(logging.WARNING):
        adopt(server, database_name)
    assert "ALTER COLUMN error_msg TYPE text" in caplog.text
    with closing(Database(DatabaseSettings(server.parameters(database_name)))) as database:
        assert migrate.missing_migrations(database) == []


REFUSING = {
    "a check over two columns": (
        "ALTER TABLE sync_journal ADD CONSTRAINT rows CHECK (status <> 'ok' OR rows_written > 0)",
        'DROP CONSTRAINT "rows"',
    ),
    "a restrictive policy": (
        "CREATE POLICY never ON vehicles AS RESTRICTIVE USING (name = 'x')",
        "restrictive ones too",
    ),
    "a policy for everybody but us": (
        "DROP POLICY alarms_log_superuser ON alarms_log; CREATE POLICY a ON alarms_log"
        " USING (current_setting('app.user_role', true) <> 'superuser')",
        "widen the policies",
    ),
    "a key that was dropped": (
        "ALTER TABLE measurements DROP CONSTRAINT measurements_pkey",
        "run `fleetsyncd migrate`",
    ),
    "a trigger": (
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not today'; END $$;"
        " CREATE TRIGGER no BEFORE INSERT ON alarms_log FOR EACH ROW EXECUTE FUNCTION no()",
        "triggers",
    ),
    "a trigger that swallows rows": (
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$;"
        " CREATE TRIGGER swallow BEFORE INSERT ON channel_config FOR EACH ROW"
        " EXECUTE FUNCTION swallow()",
        "triggers",
    ),
    "a domain": (
        "CREATE DOMAIN small AS integer CHECK (VALUE < 100);"
        " ALTER TABLE channel_config ALTER channel_id TYPE small",
        "ALTER DOMAIN public.small DROP CONSTRAINT",
    ),
}


@pytest.mark.parametrize("case", REFUSING)
def test_doctor_tries_what_no_look_can_tell(
    server: Server, database_name: str, database: Database, case: str
) -> None:
    Partitions(database).ensure_ahead(utc_now())
    with rig(database) as it:
        it.cycle()
        counts = "SELECT (SELECT count(*) FROM vehicles), (SELECT count(*) FROM measurements)"
        before = it.run(counts)
        statement, remedy = REFUSING[case]
        as_owner(server, database_name, statement)
        (told,) = [each for each in checks.run_checks(database, 4, utc_now) if is_fault(each)]
        assert remedy in str(told.remedy)
        if "policy" not in case:
            assert it.run(counts) == before


def test_doctor_finds_a_partition_that_is_missing_below_a_partition(
    server: Server, database_name: str, database: Database
) -> None:
    as_owner(
        server,
        database_name,
        "CREATE TABLE all_time PARTITION OF measurements"
        " FOR VALUES FROM ('2000-01-01') TO ('2100-01-01') PARTITION BY RANGE (time)",
    )
    (told,) = [each for each in checks.run_checks(database, 4, utc_now) if is_fault(each)]
    assert "make the missing partition" in str(told.remedy)


def test_everything_that_does_not_fit_is_told_at_once(
    server: Server,
    installation: str,  # noqa: F811  a fixture
) -> None:
    as_owner(server, installation, *list(MENDED_BY_STATEMENT.values())[:4])
    assert len(refused(server, installation).splitlines()) == 5
    with pytest.raises(MigrationFailed, match="CREATE ROLE fleet_missing") as refusal:
        migrate.migrate(DatabaseSettings(server.parameters(installation, OWNER)), "fleet_missing")
    assert len(str(refusal.value).splitlines()) == 6


def test_a_database_without_the_schema_public_is_told_as_one(
    server: Server, empty_database: str
) -> None:
    server.execute(sql.SQL("DROP SCHEMA public"), database=empty_database)
    with pytest.raises(MigrationFailed, match="CREATE SCHEMA public"):
        adopt(server, empty_database)


def is_fault(finding: Any) -> bool:
    return finding.level is Level.FAULT


@pytest.mark.parametrize("case", MENDED_BY_STATEMENT)
def test_doctor_finds_what_was_changed_later(
    server: Server,
    installation: str,  # noqa: F811  a fixture
    case: str,
) -> None:
    adopt(server, installation)
    as_owner(server, installation, MENDED_BY_STATEMENT[case])
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        faults = [each for each in checks.run_checks(database, 4, utc_now) if is_fault(each)]
    assert faults
    assert any("ALTER TABLE" in str(e.remedy) or "CREATE POLICY" in str(e.remedy) for e in faults)


def test_an_installation_as_it_is_known_fits(
    server: Server,
    installation: str,  # noqa: F811  a fixture
) -> None:
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        assert database.run(adoption.misfits) == []


def test_numbers_of_rows_that_run_out_are_a_warning_and_no_obstacle(
    server: Server,
    installation: str,  # noqa: F811  a fixture
) -> None:
    as_owner(server, installation, "ALTER TABLE sync_journal ALTER id TYPE integer")
    adopt(server, installation)
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        (told,) = [e for e in checks.run_checks(database, 4, utc_now) if e.check == "tables"]
        assert told.level is Level.WARNING
        as_owner(server, installation, *str(told.remedy).removeprefix("as owner: ").split("; "))
        assert database.run(adoption.narrow_ids) == []


def test_a_time_without_zone_is_read_as_utc_until_it_is_mended(
    server: Server, database_name: str, database: Database
) -> None:
    as_owner(server, database_name, "ALTER TABLE vehicles ALTER last_sync_at TYPE timestamp")
    with rig(database) as it:
        assert it.cycle().outcome == "ok"
        assert it.cycle(after=30).outcome == "ok"
        assert it.watermark() == it.now


def test_tables_of_another_owner_are_named_with_both_ways_to_go_on(
    server: Server,
    installation: str,  # noqa: F811  a fixture
) -> None:
    server.execute(sql.SQL("ALTER TABLE alarms_log OWNER TO postgres"), database=installation)
    told = refused(server, installation)
    assert "public.alarms_log belongs to postgres" in told
    assert "ALTER TABLE public.alarms_log OWNER TO fleet_owner" in told


BAD_ROWS = {
    "without a name": "name = NULL",
    "without an address": "vpn_ip = NULL",
    "with a port that cannot be": "api_port = 70000",
    "with port 0": "api_port = 0",
    "synchronised for ever": "last_sync_at = 'infinity'",
    "synchronised before all time": "last_sync_at = '-infinity'",
    "in a year that Python cannot hold": "last_sync_at = '20000-01-01'",
}


@pytest.fixture
def loose(server: Server, installation: str) -> Iterator[Database]:  # noqa: F811  a fixture
    """Return an adopted installation whose vehicles may lack a name and an address."""
    as_owner(
        server,
        installation,
        "ALTER TABLE vehicles ALTER name DROP NOT NULL, ALTER vpn_ip DROP NOT NULL",
    )
    adopt(server, installation)
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        yield database


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_costs_its_own_vehicle_only(loose: Database, case: str) -> None:
    with rig(loose, name="Truck-09") as it:
        it.run(f"UPDATE vehicles SET {BAD_ROWS[case]} WHERE name = 'Truck-02'")  # noqa: S608
        assert len(loose.run(loading.load_vehicles)) == 3
        assert len(loose.run(lambda cursor: fleet_overview(cursor, 30.0))) == 3
        assert len(loose.run(vehicles.list_vehicles)) == 3
        assert it.cycle().outcome == "ok"


@pytest.mark.parametrize("change", ["vpn_ip = NULL", "api_port = 0", "api_port = 70000"])
def test_a_vehicle_without_a_usable_address_is_an_error_that_says_so(
    loose: Database, change: str
) -> None:
    with rig(loose, name="Truck-09") as it:
        it.run(f"UPDATE vehicles SET {change} WHERE id = %s", str(it.vehicle_id))  # noqa: S608
        vehicle = it.vehicle()
        it.client = it.connect(vehicle.host, vehicle.port)
        report = it.cycle(after=30)
        assert report.outcome == "error"
        assert "without an address that can be asked" in str(report.reason)
        assert it.journal()[-1][0] == "error"


def test_a_vehicle_without_a_name_is_found_by_its_id(loose: Database) -> None:
    def unname(cursor: Cursor) -> None:
        cursor.execute("UPDATE vehicles SET name = NULL")

    loose.run(unname)
    first = loose.run(loading.load_vehicles)[0]
    assert first.name == str(first.id)
    assert loose.run(lambda cursor: vehicles.find_vehicle(cursor, first.name)).id == first.id
    with pytest.raises(CommandError):
        loose.run(lambda cursor: vehicles.find_vehicle(cursor, "None"))
