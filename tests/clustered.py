"""Measurements distributed over a local Citus cluster, for tests of all kinds."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.schema.distribution import obstacles, steps
from fleetsyncd.database.schema.distribution.obstacles import Order
from fleetsyncd.demo import citus_cluster
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.settings import DatabaseSettings
from tests.hidden import QUICK

ORDER = Order(APP, shards=8)
_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = %s"


@contextmanager
def serving_template(folder: Path, name: str) -> Iterator[CitusCluster]:
    """Run a cluster with a distributed database that can be copied on each node."""
    cluster = citus_cluster.start(folder / citus_cluster.FOLDER, durable=False)
    try:
        cluster.create_database(name)
        migrated(cluster, name)
        distribute(cluster, name)
        for node in cluster.nodes:
            _leave_alone(node, name)
        yield cluster
    finally:
        cluster.stop()


def _leave_alone(node: Server, name: str) -> None:
    """Let nobody use a database, the extension's own process included: else it is not copied."""
    node.close_database(name)
    while node.query("postgres", _SESSIONS, name):
        node.query("postgres", _END_SESSIONS, name)


def owner_of(cluster: CitusCluster, name: str) -> DatabaseSettings:
    """Return the settings of the tables' owner."""
    return DatabaseSettings(cluster.parameters(name, OWNER))


def migrated(cluster: CitusCluster, name: str) -> None:
    """Give a database of the cluster the schema; nothing of it is distributed."""
    migrate.migrate(owner_of(cluster, name), APP)


def distribute(cluster: CitusCluster, name: str, order: Order = ORDER) -> list[str]:
    """Distribute measurements; return what was done."""
    return steps.distribute(owner_of(cluster, name), order, QUICK)


def bring_back(cluster: CitusCluster, name: str) -> list[str]:
    """Make measurements a table of the coordinator again; return what was done."""
    return steps.undistribute(owner_of(cluster, name), QUICK)


def in_the_way(cluster: CitusCluster, name: str, order: Order = ORDER) -> str:
    """Return what `migrate --distribute --check` would tell."""
    owner = Database(owner_of(cluster, name))
    found = owner.run(partial(obstacles.of_distribution, order=order))
    owner.close()
    return "\n".join(map(str, found))
