from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from fleetsyncd.actions import Action, Actor
from fleetsyncd.database import (
    action_log,
    alarms,
    loading,
    losses,
    measurements,
    outcomes,
    replicas,
    store,
    traffic,
    vehicles,
)
from fleetsyncd.database.channel_changes import record_changes
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.replicas import Replica
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.traffic import Batch
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.models import Window
from fleetsyncd.reports import JournalEntry, Outcome
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Alarm, BadRow, Channel, Measurements
from fleetsyncd.traffic import Traffic

NAME = "rls"
WEB = "fleet_web"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
OLGA, PETER, NOBODY = UUID(int=1), UUID(int=2), UUID(int=3)
KEYS = {
    "vehicles": "id",
    "measurements": "vehicle_id",
    "alarms_log": "vehicle_id",
    "sync_journal": "vehicle_id",
    "fleetsync.quarantine": "vehicle_id",
    "fleetsync.replaced_alarm": "vehicle_id",
    "fleetsync.channel_change": "vehicle_id",
    "fleetsync.lost_interval": "vehicle_id",
    "fleetsync.action_log": "vehicle_id",
    "fleetsync.traffic": "vehicle_id",
}
VIEWS = {"fleetsync.coverage": "vehicle_id"}
CHANGES = [
    "UPDATE vehicles SET name = 'stolen'",
    "UPDATE measurements SET value = 0",
    "UPDATE alarms_log SET message = 'nothing'",
    "DELETE FROM vehicles",
    "DELETE FROM measurements",
    "DELETE FROM alarms_log",
    "UPDATE sync_journal SET status = 'ok'",
    "DELETE FROM sync_journal",
    "DELETE FROM fleetsync.quarantine",
    "DELETE FROM fleetsync.replaced_alarm",
    "UPDATE fleetsync.channel_change SET old_name = 'nothing'",
    "DELETE FROM fleetsync.lost_interval",
    "UPDATE fleetsync.action_log SET login = 'nobody'",
    "DELETE FROM fleetsync.action_log",
    "UPDATE fleetsync.traffic SET received_bytes = 0",
]
INSERTS = {
    "vehicles": "(name, vpn_ip) VALUES ('mine', '10.9.9.9')",
    "measurements": "(vehicle_id, channel_id, time, value) VALUES (%(truck)s, 9, %(now)s, 1)",
    "alarms_log": "(vehicle_id, alarm_id, channel_id, message, triggered_at)"
    " VALUES (%(truck)s, 9, 9, 'mine', %(now)s)",
    "sync_journal": "(vehicle_id, started_at, finished_at, status)"
    " VALUES (%(truck)s, %(now)s, %(now)s, 'ok')",
    "fleetsync.quarantine": "(vehicle_id, digest, call, raw, reason)"
    " VALUES (%(truck)s, gen_random_uuid(), '/data', '{}', 'mine')",
    "fleetsync.replaced_alarm": "(vehicle_id, alarm_id, triggered_at)"
    " VALUES (%(truck)s, 9, %(now)s)",
    "fleetsync.channel_change": "(vehicle_id, channel_id) VALUES (%(truck)s, 9)",
    "fleetsync.lost_interval": "(vehicle_id, kind, from_at, to_at)"
    " VALUES (%(truck)s, 'gone for good', %(now)s, 'infinity')",
    "fleetsync.traffic": "(vehicle_id, day) VALUES (%(truck)s, '2026-02-11')",
    "fleetsync.action_log": "(id, login, action, vehicle_id)"
    " VALUES (gen_random_uuid(), 'olga', 'vehicle pause', %(truck)s)",
}


@pytest.fixture(scope="module")
def granted(server: Server) -> dict[UUID, UUID]:
    """Make a fleet of two vehicles with rows; return each owner's vehicle."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as database:
        Partitions(database).ensure(NOW, NOW)
        trucks = {
            owner: database.run(partial(add_vehicle, host))
            for owner, host in ((OLGA, "10.5.0.1"), (PETER, "10.5.0.2"))
        }
    web = sql.Identifier(WEB)
    access = "INSERT INTO vehicle_access VALUES ({}, {})"
    server.execute(
        sql.SQL("CREATE ROLE {} LOGIN").format(web),
        # The widest rights there are: what an owner may not do, the policies alone prevent.
        sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public, fleetsync TO {}").format(web),
        sql.SQL("GRANT USAGE ON SCHEMA fleetsync TO {}").format(web),
        sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public, fleetsync TO {}").format(web),
        *(
            sql.SQL(access).format(sql.Literal(str(owner)), sql.Literal(str(truck)))
            for owner, truck in trucks.items()
        ),
        database=NAME,
    )
    return trucks


def add_vehicle(host: str, cursor: Cursor) -> UUID:
    truck = vehicles.add_vehicle(cursor, f"Truck {host}", host, 8001, None)
    measurements.add_measurements(
        cursor, truck, Measurements.from_rows([(NOW, 1, 0.5), (NOW, 2, 1.5)])
    )
    for minute in range(2):
        low = Alarm(1, 1, None, "Oil low", NOW + timedelta(minutes=minute), None)
        alarms.save_alarms(cursor, truck, [low])
    before, after = Channel(1, "Oil", "bar", 0.0, 1.0), Channel(1, "Fuel", "%", 0.0, 1.0)
    record_changes(cursor, truck, {1: before}, [after])
    outcomes.add_journal_entry(cursor, JournalEntry(truck, NOW, NOW, Outcome.OK, 2, None))
    cursor.execute("UPDATE vehicles SET last_sync_at = %s WHERE id = %s::uuid", (NOW, str(truck)))
    losses.record_loss(cursor, truck, Window(NOW - timedelta(hours=1), NOW))
    store.quarantine_rows(cursor, truck, [BadRow("/data", "{}", "no time")])
    action = Action(f"vehicle add {host}", Actor("olga"))
    action_log.record_since(cursor, action, {}, [truck])
    daemon = Replica(30.0)
    replicas.write_heartbeat(cursor, daemon, None, 1)
    assert traffic.add_batch(cursor, daemon.id, Batch(1, {(truck, NOW.date()): Traffic(9, 9, 9)}))
    return truck


@contextmanager
def connected(server: Server, role: str, **variables: str) -> Iterator[Any]:
    """Give a cursor of one transaction, with these `app.` variables, that leaves nothing behind."""
    connection = psycopg2.connect(make_dsn(**server.parameters(NAME, role)))
    with closing(connection), connection.cursor() as cursor:
        for name, value in variables.items():
            cursor.execute("SELECT set_config(%s, %s, true)", (f"app.{name}", value))
        yield cursor


def seen(cursor: Any, table: str) -> set[UUID]:
    cursor.execute(f"SELECT {(KEYS | VIEWS)[table]}::text FROM {table}")  # noqa: S608  constants
    return {UUID(row[0]) for row in cursor.fetchall()}


@pytest.mark.parametrize("table", KEYS | VIEWS)
def test_an_owner_sees_the_rows_of_the_vehicles_granted_and_no_others(
    server: Server, granted: dict[UUID, UUID], table: str
) -> None:
    for owner, truck in granted.items():
        with connected(server, WEB, user_role="owner", user_id=str(owner)) as cursor:
            assert seen(cursor, table) == {truck}


@pytest.mark.parametrize("table", KEYS | VIEWS)
@pytest.mark.parametrize("user_id", ["", str(NOBODY)])
@pytest.mark.usefixtures("granted")
def test_an_owner_without_an_id_or_a_grant_sees_nothing_and_meets_no_error(
    server: Server, table: str, user_id: str
) -> None:
    with connected(server, WEB, user_role="owner", user_id=user_id) as cursor:
        assert seen(cursor, table) == set()


@pytest.mark.parametrize("table", KEYS | VIEWS)
@pytest.mark.usefixtures("granted")
def test_an_owner_whose_id_was_never_set_sees_nothing_and_meets_no_error(
    server: Server, table: str
) -> None:
    with connected(server, WEB, user_role="owner") as cursor:
        assert seen(cursor, table) == set()


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.usefixtures("granted")
def test_an_owner_can_change_nothing_whatever_was_granted_to_the_role(
    server: Server, statement: str
) -> None:
    with connected(server, WEB, user_role="owner", user_id=str(OLGA)) as cursor:
        cursor.execute(statement)
        assert cursor.rowcount == 0


@pytest.mark.parametrize("table", KEYS)
def test_an_owner_can_add_nothing_even_to_a_vehicle_of_their_own(
    server: Server, granted: dict[UUID, UUID], table: str
) -> None:
    values = {"truck": str(granted[OLGA]), "now": NOW}
    with (
        connected(server, WEB, user_role="owner", user_id=str(OLGA)) as cursor,
        pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"),
    ):
        cursor.execute(f"INSERT INTO {table} {INSERTS[table]}", values)


@pytest.mark.parametrize("role", [APP, OWNER, WEB])
@pytest.mark.parametrize("table", KEYS)
@pytest.mark.usefixtures("granted")
def test_without_the_role_variable_even_the_tables_owner_sees_nothing_without_an_error(
    server: Server, role: str, table: str
) -> None:
    with connected(server, role) as cursor:
        assert seen(cursor, table) == set()


def test_without_the_role_variable_the_watermarks_update_hits_no_row_without_an_error(
    server: Server, granted: dict[UUID, UUID]
) -> None:
    with connected(server, APP) as cursor:
        cursor.execute(
            "UPDATE vehicles SET last_sync_at = now() WHERE id = %s", (str(granted[OLGA]),)
        )
        assert cursor.rowcount == 0


def test_the_daemons_transaction_sees_the_whole_fleet(
    server: Server, granted: dict[UUID, UUID]
) -> None:
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as database:
        assert {truck.id for truck in database.run(loading.load_vehicles)} == set(granted.values())


def test_an_adopted_journal_is_left_as_open_as_it_was(server: Server) -> None:
    name = "rls_adopted"
    server.create_database(name)
    server.execute(
        sql.SQL(
            "SET ROLE fleet_owner; CREATE TABLE public.vehicles (id uuid PRIMARY KEY, name text,"
            " vpn_ip inet UNIQUE, api_port int DEFAULT 8001, api_key text,"
            " last_seen_at timestamptz, last_sync_at timestamptz, sync_status text,"
            " software_version text, created_at timestamptz DEFAULT now());"
            " CREATE TABLE public.sync_journal (id bigserial PRIMARY KEY, vehicle_id uuid,"
            " started_at timestamptz, finished_at timestamptz, status text, rows_written int,"
            " error_msg text)"
        ),
        database=name,
    )
    migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP)
    connection = psycopg2.connect(make_dsn(**server.parameters(name, APP)))
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relforcerowsecurity FROM pg_class"
            " WHERE relname IN ('sync_journal', 'quarantine') AND relkind = 'r' ORDER BY 1"
        )
        assert cursor.fetchall() == [("quarantine", True), ("sync_journal", False)]
