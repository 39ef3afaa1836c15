"""The PostgreSQL of the demo and the tests, from the binaries of a wheel or of the system.

It listens on a unix socket in its data folder only. As in a real installation the tables belong to
one role and the daemon connects as another, ordinary one.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import extensions, sql

from fleetsyncd.demo.clusters import Cluster, SystemCluster, WheelCluster

BINARIES = "POSTGRES_BIN"
"""The variable that names a folder of binaries to be used instead of the wheel's."""
OWNER = "fleet_owner"
APP = "fleet_app"
_EXISTS = "SELECT FROM pg_database WHERE datname = %s"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `host` is the folder of its socket."""

    host: str
    cluster: Cluster

    @property
    def nodes(self) -> "Sequence[Server]":
        """Return all servers of the installation: this one alone."""
        return [self]

    def environment(self, database: str, user: str = APP) -> dict[str, str]:
        """Return the variables that point a daemon at one of its databases."""
        return {
            "DB_HOST": self.host,
            "DB_PORT": "5432",
            "DB_NAME": database,
            "DB_USER": user,
            "DB_PASSWORD": "",
            "DATABASE_URL": "",
            "DB_APP_ROLE": APP,
        }

    def parameters(self, database: str, user: str = APP) -> dict[str, str]:
        """Return the libpq parameters of one of its databases."""
        return {"host": self.host, "port": "5432", "dbname": database, "user": user}

    def create_database(self, name: str) -> None:
        """Make an empty database that belongs to the owner's role; drop an old one of the name."""
        self.drop_database(name)
        quoted, owner = sql.Identifier(name), sql.Identifier(OWNER)
        self.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(quoted, owner))

    def drop_database(self, name: str) -> None:
        """Drop a database, if it is there, whoever uses it."""
        quoted = sql.Identifier(name)
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))

    def close_database(self, name: str) -> None:
        """Let nobody connect to a database any more, if it is there."""
        if self.query("postgres", _EXISTS, name):
            closed = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
            self.execute(closed.format(sql.Identifier(name)))

    def execute(self, *statements: sql.Composable, database: str = "postgres") -> None:
        """Run administrative statements as the superuser, outside any transaction."""
        with closing(self.connect(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

    def query(
        self, database: str, statement: str, *arguments: object, user: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run a statement outside any transaction; return its rows, if it has any."""
        with closing(self.connect(database, user)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, arguments or None)
                return cursor.fetchall() if cursor.description else []

    def connect(self, database: str, user: str = "postgres") -> extensions.connection:
        """Connect as the superuser, or as another role."""
        return psycopg2.connect(host=self.host, user=user, dbname=database)

    def stop(self) -> None:
        """Stop the server; its data stay."""
        self.cluster.stop()


def start(
    folder: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None
) -> Server:
    """Start the server whose data lie in `folder`, made if need be, and create the two roles.

    `durable=False` does without fsync: faster, for data that may be lost. The system's binaries are
    given `settings`; the wheel's server takes none.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    cluster = _cluster(folder, settings)
    server = Server(str(cluster.socket_folder), cluster)
    for role in (OWNER, APP):
        server.execute(
            sql.SQL(
                "DO $$ BEGIN CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS;"
                " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            ).format(sql.Identifier(role))
        )
    if not durable:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            server.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
    server.execute(sql.SQL("ALTER SYSTEM SET max_wal_size = '4GB'"))
    server.execute(sql.SQL("SELECT pg_reload_conf()"))
    return server


def _cluster(folder: Path, settings: Mapping[str, str] | None) -> Cluster:
    if binaries := os.environ.get(BINARIES):
        return SystemCluster(folder, Path(binaries), settings or {})
    return WheelCluster(folder)
