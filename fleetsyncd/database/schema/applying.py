"""Apply SQL files as migrations, through yoyo."""

import logging
from importlib import resources
from importlib.resources.abc import Traversable

import psycopg2
import yoyo
from yoyo.backends.core.postgresql import PostgresqlBackend
from yoyo.connections import DatabaseURI

from fleetsyncd.database import session_settings
from fleetsyncd.database.connections import Connection, Connector
from fleetsyncd.database.hints import first_line

log = logging.getLogger("sync.migrate")

ATTEMPTS = 5
BLOCKED = (psycopg2.errors.DeadlockDetected, psycopg2.errors.LockNotAvailable)


class Backend(PostgresqlBackend):  # type: ignore[misc]  # yoyo has no types
    """Runs migrations on a connection that is made as all others are."""

    def __init__(self, connector: Connector, schema: str, history: str) -> None:
        self._connector = connector
        self._place = (schema, history)
        super().__init__(DatabaseURI("postgresql", None, None, None, None, "", {}), history)

    def connect(self, _uri: DatabaseURI) -> Connection:
        """Return the connection on which migrations run."""
        self.schema, _ = self._place
        connection = self._connector.connect()
        with connection.cursor() as cursor:
            cursor.execute(session_settings.for_whole_session(connection.server_version))
        return connection

    def copy(self) -> "Backend":
        """Return another one, with a connection of its own."""
        return Backend(self._connector, *self._place)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def apply_pending(backend: Backend, migrations: Traversable) -> list[str]:
    """Apply pending migrations; the advisory lock makes yoyo's own lock row superfluous."""
    with backend.connection.cursor() as cursor:
        cursor.execute("SET client_min_messages = warning")
    backend.create_lock_table()
    backend.break_lock()
    with resources.as_file(migrations) as folder:
        pending = backend.to_apply(yoyo.read_migrations(str(folder)))
        for migration in pending:
            _apply_one(backend, migration)
            log.info("applied migration %s", migration.id)
    return [str(migration.id) for migration in pending]


def _apply_one(backend: Backend, migration: yoyo.migrations.Migration) -> None:
    """Apply a migration, which is one transaction; repeat it if a running daemon blocked it."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            backend.apply_one(migration)
        except BLOCKED as error:
            if attempt == ATTEMPTS:
                raise
            log.info("a daemon blocks %s: trying again (%s)", migration.id, first_line(error))
        else:
            return
