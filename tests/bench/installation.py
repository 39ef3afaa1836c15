"""PostgreSQL with a database per puller, and what is done to them between measurements."""

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from psycopg2 import extensions, sql

from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import citus_cluster, embedded
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import next_month, utc_now
from tests.bench.machine import family_cpu_seconds

REGISTER = """
INSERT INTO public.vehicles (name, vpn_ip, api_port, api_key, last_sync_at)
VALUES (%(name)s, %(host)s::inet, %(port)s, %(key)s, now())
"""


class Installation:
    """A server of our own; everything here is done as its superuser, whom no policy binds."""

    def __init__(self, server: embedded.Server) -> None:
        self.server = server

    def prepare(self, name: str, vehicles: list[dict[str, Any]]) -> None:
        """Make a database in which the vehicles are registered, and the last months exist."""
        self.server.create_database(name)
        if isinstance(self.server, CitusCluster):
            citus_cluster.distribute(self.server, name, output=subprocess.DEVNULL)
        else:
            owner = DatabaseSettings(self.server.parameters(name, embedded.OWNER))
            migrate.migrate(owner, app_role=embedded.APP)
        database = Database(DatabaseSettings(self.server.parameters(name)))
        partitions, now = Partitions(database), utc_now()
        partitions.ensure(now - timedelta(days=31), next_month(now))
        database.close()
        with self.cursor(name) as cursor:
            cursor.executemany(REGISTER, vehicles)

    def drop(self, name: str) -> None:
        """Remove a database, so that the next ones find the machine as this one did."""
        self.server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def rewind(self, name: str, reach: timedelta) -> None:
        """Forget all measurements; let every vehicle have been pulled `reach` ago."""
        with self.cursor(name) as cursor:
            cursor.execute("TRUNCATE public.measurements")
            cursor.execute("UPDATE public.vehicles SET last_sync_at = now() - %s", (reach,))
            cursor.execute(
                "UPDATE fleetsync.vehicle_state"
                " SET newest_measurement_at = now() - %s, islands = '{}'",
                (reach,),
            )

    def rows(self, name: str, statement: str, arguments: tuple[object, ...] = ()) -> list[Any]:
        """Return what a statement finds."""
        with self.cursor(name) as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchall()

    @contextmanager
    def cursor(self, name: str) -> Iterator[extensions.cursor]:
        """Open a transaction; it is committed at the end."""
        with (
            closing(self.server.connect(name)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    @property
    def version(self) -> str:
        """The version of PostgreSQL."""
        return str(self.rows("postgres", "SHOW server_version")[0][0])

    @property
    def cpu(self) -> float:
        """Return the CPU seconds that all of its nodes have used so far."""
        return sum(family_cpu_seconds(node.cluster.pid) for node in self.server.nodes)

    @property
    def coordinator_cpu(self) -> float:
        """Return those of the node that the daemon talks to."""
        return family_cpu_seconds(self.server.cluster.pid)


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    """Run a durable server whose data lie in a folder."""
    server = embedded.start(folder)
    try:
        yield Installation(server)
    finally:
        server.stop()
