"""Default privileges that give new functions to nobody: each has the grants that it needs."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database import vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import checks, migrate
from fleetsyncd.database.views.coverage import vehicle_coverage
from fleetsyncd.database.views.minute_series import read_minutes
from fleetsyncd.database.views.series import Slices
from fleetsyncd.database.views.storage import storage
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.findings import Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now
from tests.acceptance.grafana import TimeRange
from tests.clustered import distribute
from tests.integration.rig import rig
from tests.integration.test_minutes import HOUR, keep_all, rows, set_watermark, store_rows
from tests.integration.viewers import made_viewer, panels_shown, reading
from tui.gateway import Gateway

VIEWER = "closed_viewer"
CLOSED = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 10 * HOUR


@contextmanager
def as_role(server: Server, name: str, role: str) -> Iterator[Database]:
    with closing(Database(DatabaseSettings(server.parameters(name, role)))) as opened:
        yield opened


def migrated(server: Server, name: str) -> None:
    """Migrate a database in which new functions are for nobody."""
    for node in server.nodes:
        node.execute(sql.SQL(CLOSED), database=name)
    migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP)


def a_truck(database: Database) -> UUID:
    """Return a vehicle with ten hours of rows, whose minutes are kept, and a newest value."""
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.2", 8001, None))
    store_rows(database, truck, rows(START, 600, step=timedelta(minutes=1)))
    set_watermark(database, truck, START + 10 * HOUR)
    keep_all(database)
    return truck


def plotted(database: Database, truck: UUID) -> int:
    slices = Slices.until((START + 10 * HOUR).timestamp(), 10 * 3600.0, 60)
    read = partial(read_minutes, vehicle_id=truck, channels=[1], slices=slices)
    series = database.run(read)
    assert series is not None
    return sum(each.count for each in series[0].values)


def the_daemon_does_everything(database: Database) -> UUID:
    with rig(database) as it:
        assert it.cycle().outcome == "ok"
        assert it.cycle(after=30).outcome == "ok"
        assert it.compare().clean
    truck = a_truck(database)
    Partitions(database).ensure(START, START + timedelta(days=40))
    assert plotted(database, truck) > 590
    assert database.run(storage).tables
    assert database.run(partial(vehicle_coverage, vehicle_id=truck))
    told = checks.run_checks(database, 4, utc_now)
    assert [each for each in told if each.level is Level.FAULT] == []
    return truck


def the_viewer_sees_everything(server: Server, name: str, truck: UUID) -> None:
    with made_viewer(server, name, VIEWER) as role:
        if isinstance(server, CitusCluster):
            distribute(server, name)
        with as_role(server, name, role) as viewer:
            assert plotted(viewer, truck) > 590
            gateway = Gateway(viewer, 30.0)
            assert len(gateway.snapshot([truck], tail=True).vehicles) == 2
            assert gateway.coverage(truck)
            assert gateway.channels(truck) == []
        with reading(server, name, role) as cursor:
            shown = panels_shown(cursor, TimeRange(START, START + 10 * HOUR), truck, 7)
        assert len(shown["Fleet"]) == 2


def test_daemon_and_viewer_do_all_they_do(server: Server, empty_database: str) -> None:
    migrated(server, empty_database)
    with as_role(server, empty_database, APP) as database:
        truck = the_daemon_does_everything(database)
    the_viewer_sees_everything(server, empty_database, truck)


def test_daemon_and_viewer_do_all_they_do_on_a_cluster(
    cluster: CitusCluster, cluster_database_name: str
) -> None:
    name = cluster_database_name
    migrated(cluster, name)
    distribute(cluster, name)
    with as_role(cluster, name, APP) as database:
        truck = the_daemon_does_everything(database)
    the_viewer_sees_everything(cluster, name, truck)


def test_viewers_of_before_may_call_what_they_read_by(server: Server, empty_database: str) -> None:
    migrated(server, empty_database)
    name = empty_database
    with made_viewer(server, name, VIEWER) as role:
        revoke = "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA fleetsync FROM {}"
        late = "DELETE FROM fleetsync.migration WHERE migration_id >= '0036'"
        for statement in (revoke, late):
            server.execute(sql.SQL(statement).format(sql.Identifier(role)), database=name)
        with as_role(server, name, APP) as database:
            truck = a_truck(database)
        with as_role(server, name, role) as viewer:
            with pytest.raises(Exception, match="permission denied for function"):
                plotted(viewer, truck)
            migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP)
            assert plotted(viewer, truck) > 590


def test_readers_of_the_coverage_of_before_may_read_what_it_is_told_by_now(
    server: Server, empty_database: str
) -> None:
    migrated(server, empty_database)
    name = empty_database
    with made_viewer(server, name, VIEWER) as role:
        less = (
            "REVOKE SELECT ON fleetsync.vehicle_terms, fleetsync.replica FROM {0}",
            "REVOKE SELECT ON fleetsync.vehicle_state FROM {0}",
            "GRANT SELECT (vehicle_id, covered_from, asked_to, islands)"
            " ON fleetsync.vehicle_state TO {0}",
            "DELETE FROM fleetsync.migration WHERE migration_id >= '0042'",
        )
        for statement in less:
            server.execute(sql.SQL(statement).format(sql.Identifier(role)), database=name)
        with as_role(server, name, APP) as database:
            truck = a_truck(database)
        with as_role(server, name, role) as viewer:
            with pytest.raises(Exception, match="permission denied for table"):
                viewer.run(partial(vehicle_coverage, vehicle_id=truck))
            migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP)
            assert viewer.run(partial(vehicle_coverage, vehicle_id=truck))
