"""Apply SQL files as migrations: yoyo knows which, their statements run one by one."""

import logging
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable

import yoyo
from yoyo.backends.core.postgresql import PostgresqlBackend
from yoyo.connections import DatabaseURI

from fleetsyncd.database import session_settings
from fleetsyncd.database.connections import Connection, Connector
from fleetsyncd.database.schema.lock_waits import PatientSession

log = logging.getLogger("sync.migrate")


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

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def apply_pending(backend: Backend, migrations: Traversable, session: PatientSession) -> list[str]:
    """Apply pending migrations; the advisory lock makes yoyo's own lock row superfluous."""
    session.query("SELECT set_config('client_min_messages', 'warning', false)")
    session.repeat("the history of migrations", partial(_clear_lock, backend))
    with resources.as_file(migrations) as folder:
        pending = backend.to_apply(yoyo.read_migrations(str(folder)))
        for migration in pending:
            _apply_one(backend, migration, session)
            log.info("applied migration %s", migration.id)
    return [str(migration.id) for migration in pending]


def _apply_one(
    backend: Backend, migration: yoyo.migrations.Migration, session: PatientSession
) -> None:
    """Run a migration's statements one by one, then record it.

    After an end in between, all of them are run again: each leaves alone what it finds done.
    """
    for statement in statements(migration.path):
        session.execute(f"migration {migration.id}", statement)
    session.repeat(f"migration {migration.id}", partial(_record, backend, migration))


def _clear_lock(backend: Backend) -> None:
    backend.create_lock_table()
    backend.break_lock()


def _record(backend: Backend, migration: yoyo.migrations.Migration) -> None:
    backend.log_migration(migration, "apply")
    with backend.transaction():
        backend.mark_one(migration, log=False)


def statements(path: str) -> list[str]:
    """Return the statements of a file, each without the comments before it."""
    _directives, _comment, parts = yoyo.migrations.read_sql_migration(path)
    return list(parts)
