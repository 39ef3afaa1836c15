"""A migrated database to run a fleet on: of one PostgreSQL, or distributed over a Citus cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import citus_cluster, embedded
from fleetsyncd.demo.embedded import Server
from fleetsyncd.settings import DatabaseSettings


@contextmanager
def serving(folder: Path, name: str, *, citus: bool) -> Iterator[Server]:
    """Run a server, or a cluster, whose data lie below `folder`, with an empty database."""
    with (_cluster if citus else _single)(folder, name) as server:
        yield server


@contextmanager
def _single(folder: Path, name: str) -> Iterator[Server]:
    server = embedded.start(folder / "postgres")
    try:
        server.create_database(name)
        owner = DatabaseSettings(server.parameters(name, embedded.OWNER))
        migrate.migrate(owner, embedded.APP)
        yield server
    finally:
        server.stop()


@contextmanager
def _cluster(folder: Path, name: str) -> Iterator[Server]:
    cluster = citus_cluster.start(folder / citus_cluster.FOLDER)
    try:
        cluster.create_database(name)
        citus_cluster.distribute(cluster, name)
        yield cluster
    finally:
        cluster.stop()
