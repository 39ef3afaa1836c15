"""A local Citus cluster: a coordinator and workers as processes, from binaries with the extension.

Every node listens on a unix socket in its data folder only, and Citus knows it by that folder. So
no port is taken, nobody else on the machine gets in, and every role of the cluster may log in to
every node.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fleetsyncd.demo import embedded
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import CommandError

FOLDER = "citus"
"""Where a cluster's data lie, beside `postgres` of a server alone."""
WORKERS = 2
AVAILABLE = "SELECT name FROM pg_available_extensions WHERE name = 'citus'"
_COORDINATOR = "coordinator"
_PORT = 5432
"""Part of the name of a socket; nodes are told apart by its folder."""
_SETTINGS: Mapping[str, str] = {
    "shared_preload_libraries": "citus",
    "wal_level": "logical",  # shards are moved while they are written to
    "citus.node_connection_timeout": "3s",  # a dead worker holds a connection of the pool so long
    "citus.recover_2pc_interval": "10s",
    "citus.enable_statistics_collection": "off",  # nothing here calls out of this machine
}


class CitusMissing(CommandError):
    """The server's binaries have no Citus."""


@dataclass(frozen=True, slots=True)
class CitusCluster(Server):
    """A running cluster; as a server it is its coordinator."""

    folder: Path
    workers: list[Server]
    durable: bool

    @property
    def nodes(self) -> Sequence[Server]:
        """Return the coordinator and the workers."""
        return [self, *self.workers]

    def create_database(self, name: str) -> None:
        """Make an empty database on every node; the coordinator knows itself and the workers."""
        for node in self.nodes:
            _create_database(node, name)
        self.query(name, "SELECT citus_set_coordinator_host(%s, %s)", self.host, _PORT)
        for worker in self.workers:
            self._introduce(worker, name)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it is there, on every node."""
        for node in self.nodes:
            # Else the extension's own process may be back before it is dropped.
            node.close_database(name)
            Server.drop_database(node, name)

    def add_worker(self, database: str) -> Server:
        """Start one more worker, which takes part in one database; no shard is moved to it."""
        worker = _start_node(self.folder / _worker_name(len(self.workers) + 1), self.durable)
        self.workers.append(worker)
        _create_database(worker, database)
        self._introduce(worker, database)
        return worker

    def stop(self) -> None:
        """Stop every node; the data stay."""
        for node in self.nodes:
            node.cluster.stop()

    def _introduce(self, worker: Server, database: str) -> None:
        self.query(database, "SELECT citus_add_node(%s, %s)", worker.host, _PORT)


def start(folder: Path, *, workers: int = WORKERS, durable: bool = True) -> CitusCluster:
    """Start the cluster whose nodes have their data in folders of `folder`, made if need be.

    Raises CitusMissing if the server's binaries have no Citus.
    """
    _require_citus(folder)
    count = max(workers, len(list(folder.glob(_worker_name("*")))))
    names = [_COORDINATOR, *(_worker_name(number) for number in range(1, count + 1))]
    nodes: list[Server] = []
    with ExitStack() as stack:
        for name in names:
            nodes.append(_start_node(folder / name, durable))
            stack.callback(nodes[-1].stop)
        stack.pop_all()  # all of them run
    coordinator, *started = nodes
    return CitusCluster(coordinator.host, coordinator.cluster, folder, started, durable)


def is_available(server: Server) -> bool:
    """Tell whether a server's binaries have the extension."""
    return bool(server.query("postgres", AVAILABLE))


def _require_citus(folder: Path) -> None:
    """Look for the extension from a server without it: one that lacks it would not start."""
    if not os.environ.get(embedded.BINARIES):
        raise CitusMissing(
            f"{embedded.BINARIES} is not set: name the folder of binaries of a PostgreSQL with"
            " Citus in it, such as /usr/lib/postgresql/15/bin"
        )
    if (folder / _worker_name(1)).exists():
        return  # it was found before
    server = embedded.start(folder / _COORDINATOR)
    found = is_available(server)
    server.stop()
    if not found:
        shutil.rmtree(folder / _COORDINATOR)
        raise CitusMissing(
            f"the PostgreSQL in {server.cluster.binaries} has no extension citus: docs/citus.md"
            " tells how to build it"
        )


def _worker_name(number: object) -> str:
    return f"worker-{number}"


def _start_node(folder: Path, durable: bool) -> Server:
    own_name = {"citus.local_hostname": str(folder.resolve())}
    return embedded.start(folder, durable=durable, settings={**_SETTINGS, **own_name})


def _create_database(node: Server, name: str) -> None:
    Server.create_database(node, name)
    node.query(name, "CREATE EXTENSION citus")


def distribute(cluster: CitusCluster, database: str, output: int | None = None) -> None:
    """Migrate one of its databases and distribute it, by the command that an operator uses.

    What that prints goes to `output`, as for subprocess. Raises CommandError if it fails.
    """
    told = {"LOG_LEVEL": "WARNING"}  # every step is printed, too
    environment = {**os.environ, **cluster.environment(database, embedded.OWNER), **told}
    command = [sys.executable, "-m", "fleetsyncd", "migrate", "--distribute"]
    done = subprocess.run(command, env=environment, stdout=output, check=False)  # noqa: S603
    if done.returncode != 0:
        raise CommandError(f"the database {database} could not be distributed over {cluster.host}")
