"""The dashboard that queries PostgreSQL, on a real cluster: for everybody, and for an owner."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.database import access, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.settings import DatabaseSettings
from tests.acceptance.grafana import TimeRange
from tests.clustered import distribute, migrated, owner_of
from tests.integration.test_minutes import HOUR, keep_all, rows, set_watermark, store_rows
from tests.integration.viewers import made_viewer, panels_shown, reading

VIEWER, OF_AN_OWNER = "cluster_viewer", "cluster_owners_viewer"
OLGA = UUID(int=7)
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
SHOWN = TimeRange(NOW - 10 * HOUR, NOW)
NEWEST = """
INSERT INTO fleetsync.vehicle_state (vehicle_id, newest_measurement_at) SELECT id, %s FROM vehicles
"""
# Each a query string of its own: Citus sends the workers the whole text that a SET stands in.
AS_OLGA = (
    "SET citus.propagate_set_commands = 'local'",
    "SET LOCAL app.user_role = 'owner'",
    f"SET LOCAL app.user_id = '{OLGA}'",
)
TOTAL = """
SELECT date_bin(%(step)s, time, %(start)s), min(value), avg(value), max(value)
FROM measurements WHERE vehicle_id = %(truck)s::uuid AND channel_id = 7 GROUP BY 1 ORDER BY 1
"""


@pytest.fixture
def name(cluster: CitusCluster, cluster_database_name: str) -> Iterator[str]:
    """Return a database of the cluster with both viewers, distributed."""
    name = cluster_database_name
    migrated(cluster, name)
    with (
        made_viewer(cluster, name, VIEWER),
        made_viewer(cluster, name, OF_AN_OWNER, sees_all=False),
    ):
        distribute(cluster, name)
        yield name


@pytest.fixture
def trucks(cluster: CitusCluster, name: str) -> list[UUID]:
    """Return two vehicles with rows every ten seconds; Olga may see the first."""
    with closing(Database(DatabaseSettings(cluster.parameters(name), pool_size=4))) as database:
        made = [a_truck(database, number) for number in (1, 2)]
        keep_all(database)
        late = rows(NOW - 5 * HOUR, 30, (7,), timedelta(seconds=1.5))
        store_rows(database, made[0], late)  # makes minutes due, so that rows are read, too
        database.run(lambda cursor: cursor.execute(NEWEST, (NOW - timedelta(seconds=10),)))
    with closing(Database(owner_of(cluster, name))) as owner:
        owner.run(partial(access.grant, user_id=OLGA, vehicles=made[:1]))
    return made


def a_truck(database: Database, number: int) -> UUID:
    def add(cursor: Cursor) -> UUID:
        return vehicles.add_vehicle(cursor, f"Truck-{number}", f"10.8.0.{number}", 80, None)

    truck = database.run(add)
    store_rows(database, truck, rows(SHOWN.start, 3600, step=timedelta(seconds=10)))
    set_watermark(database, truck, NOW)
    return truck


def stored(cluster: CitusCluster, name: str, truck: UUID) -> list[tuple[Any, ...]]:
    step = {"step": timedelta(minutes=1), "start": SHOWN.start, "truck": str(truck)}
    with closing(Database(DatabaseSettings(cluster.parameters(name)))) as database:

        def read(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(TOTAL, step)
            return cursor.fetchall()

        return database.run(read)


def test_a_session_that_sees_all_vehicles_is_shown_every_panel(
    cluster: CitusCluster, name: str, trucks: list[UUID]
) -> None:
    for truck in trucks:
        with reading(cluster, name, VIEWER) as cursor:
            shown = panels_shown(cursor, SHOWN, truck, 7)
        assert shown["Channel of a vehicle"] == [
            pytest.approx(row) for row in stored(cluster, name, truck)
        ]
        assert {row[0] for row in shown["Fleet"]} == {"Truck-1", "Truck-2"}


def test_an_owners_session_is_shown_its_vehicles_only(
    cluster: CitusCluster, name: str, trucks: list[UUID]
) -> None:
    own, other = trucks
    for truck, is_shown in ((own, True), (other, False)):
        with reading(cluster, name, OF_AN_OWNER, *AS_OLGA) as cursor:
            shown = panels_shown(cursor, SHOWN, truck, 7)
        expected = stored(cluster, name, truck) if is_shown else []
        assert shown["Channel of a vehicle"] == [pytest.approx(row) for row in expected]
        assert {row[0] for row in shown["Fleet"]} == {"Truck-1"}
