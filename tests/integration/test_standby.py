"""A standby after a failover: nothing can be written there, which is told, and left alone."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from fleetsyncd.database import (
    loading,
    vehicles,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import checks, migrate
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import DatabaseReadOnly, MigrationFailed
from fleetsyncd.findings import Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now
from tests.standby import standby

NAME = "replicated"


@pytest.fixture(scope="module")
def replica(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a standby that holds a migrated database with one vehicle."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as primary:
        primary.run(add)
    with standby(server, tmp_path_factory.mktemp("standby")) as host:
        yield replace(server, host=host)


def add(cursor: Cursor) -> None:
    vehicles.add_vehicle(cursor, "Truck-01", "10.8.0.1", 8001, None)


def add_another(cursor: Cursor) -> None:
    vehicles.add_vehicle(cursor, "Truck-03", "10.8.0.3", 8001, None)


def test_a_standby_can_be_looked_at(replica: Server) -> None:
    with closing(Database(DatabaseSettings(replica.parameters(NAME)))) as database:
        assert len(database.run(loading.load_vehicles)) == 1
        assert len(database.run(lambda cursor: fleet_overview(cursor, 30.0))) == 1


def test_what_is_to_be_written_there_is_a_lost_database_with_the_remedy(replica: Server) -> None:
    with (
        closing(Database(DatabaseSettings(replica.parameters(NAME)))) as database,
        pytest.raises(DatabaseReadOnly, match="DB_HOST must name the primary"),
    ):
        database.run(add_another)


def test_doctor_names_the_standby(replica: Server) -> None:
    with closing(Database(DatabaseSettings(replica.parameters(NAME)))) as database:
        faults = [e for e in checks.run_checks(database, 4, utc_now) if e.level is Level.FAULT]
    assert [(each.check, "standby" in each.text) for each in faults] == [("database", True)]
    assert "must name the primary" in str(faults[0].remedy)


def test_migrate_refuses_a_standby(replica: Server) -> None:
    owner = DatabaseSettings(replica.parameters(NAME, OWNER))
    with pytest.raises(MigrationFailed, match="DB_HOST must name the primary"):
        migrate.migrate(owner, APP)


def test_of_a_standby_and_its_primary_the_primary_is_taken(server: Server, replica: Server) -> None:
    parameters = {
        **server.parameters(NAME),
        "host": f"{replica.host},{server.host}",
        "port": "5432,5432",
        "target_session_attrs": "read-write",
    }
    with closing(Database(DatabaseSettings(parameters))) as database:
        database.run(lambda cursor: vehicles.add_vehicle(cursor, "Truck-02", "10.8.0.2", 1, None))
