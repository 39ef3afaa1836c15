"""Bring the schema up to date as the tables' owner, and check whether it is.

Everything is looked at before anything is changed. Runs under an advisory lock. The connection has
the row level security context for its whole life, because the tables force their policies on their
owner too.
"""

import logging
from contextlib import closing
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable

import psycopg2
import yoyo
from yoyo.backends.core.postgresql import PostgresqlBackend
from yoyo.connections import DatabaseURI

from fleetsyncd.database import pooler, session_settings
from fleetsyncd.database.connections import Connection, Connector
from fleetsyncd.database.hints import first_line, reason_and_hint
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import grants, preconditions
from fleetsyncd.errors import MigrationFailed, SchemaOutdated
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.time_limits import Deadline, no_deadline

log = logging.getLogger("sync.migrate")

SCHEMA = "fleetsync"
HISTORY = "migration"
APPLICATION = "fleetsyncd migrate"
LOCK = 0x666C6565  # "flee"
ATTEMPTS = 5
BLOCKED = (psycopg2.errors.DeadlockDetected, psycopg2.errors.LockNotAvailable)


def expected_migrations() -> list[str]:
    """Return the ids of all migrations of this version, in order."""
    names = [entry.name for entry in _folder().iterdir()]
    return sorted(name.removesuffix(".sql") for name in names if name.endswith(".sql"))


def missing_migrations(database: Database) -> list[str]:
    """Return the ids of the migrations that the database lacks."""

    def applied(cursor: Cursor) -> set[str]:
        cursor.execute(f"SELECT migration_id FROM {SCHEMA}.{HISTORY}")  # noqa: S608  constants
        return {str(row[0]) for row in cursor.fetchall()}

    try:
        present = database.run(applied)
    except SchemaOutdated:
        return expected_migrations()
    return [name for name in expected_migrations() if name not in present]


def require_current(database: Database) -> None:
    """Raise SchemaOutdated unless every migration is applied."""
    missing = missing_migrations(database)
    if missing:
        raise SchemaOutdated(
            f"the schema of {database.where} lacks {len(missing)} migration(s), first {missing[0]}",
            "run `fleetsyncd migrate` as the tables' owner",
        )


def migrate(
    settings: DatabaseSettings, app_role: str | None = None, deadline: Deadline = no_deadline
) -> list[str]:
    """Apply the missing migrations, grant `app_role` a daemon's rights; return the applied ids.

    Raises MigrationFailed with everything that stands in the way, DatabaseLost and PoolerUnfit.
    """
    with closing(Database(settings, deadline=deadline, application=APPLICATION)) as database:
        pooler.require_own_backend(database)
        database.run(partial(preconditions.require, app_role))
    with closing(_Backend(Connector(settings, APPLICATION, deadline))) as backend:
        try:
            with backend.connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
                cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                applied = _apply(backend)
                if app_role is not None:
                    grants.grant(cursor, app_role)
        except psycopg2.errors.InsufficientPrivilege as error:
            text = "run it as the owner of the tables and of the schema fleetsync"
            raise MigrationFailed(f"migration failed: {first_line(error)}", text) from error
        except psycopg2.Error as error:
            reason, hint = reason_and_hint(error)
            raise MigrationFailed(f"migration failed: {reason}", hint) from error
    return applied


class _Backend(PostgresqlBackend):  # type: ignore[misc]  # yoyo has no types
    """Runs migrations on a connection that is made as all others are."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        super().__init__(DatabaseURI("postgresql", None, None, None, None, "", {}), HISTORY)

    def connect(self, _uri: DatabaseURI) -> Connection:
        """Return the connection on which migrations run."""
        self.schema = SCHEMA
        connection = self._connector.connect()
        with connection.cursor() as cursor:
            cursor.execute(session_settings.for_whole_session(connection.server_version))
        return connection

    def copy(self) -> "_Backend":
        """Return another one, with a connection of its own."""
        return _Backend(self._connector)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def _folder() -> Traversable:
    return resources.files("fleetsyncd.database.schema") / "migrations"


def _apply(backend: _Backend) -> list[str]:
    """Apply pending migrations; the advisory lock makes yoyo's own lock row superfluous."""
    with backend.connection.cursor() as cursor:
        cursor.execute("SET client_min_messages = warning")
    backend.create_lock_table()
    backend.break_lock()
    with resources.as_file(_folder()) as folder:
        pending = backend.to_apply(yoyo.read_migrations(str(folder)))
        for migration in pending:
            _apply_one(backend, migration)
            log.info("applied migration %s", migration.id)
    return [str(migration.id) for migration in pending]


def _apply_one(backend: _Backend, migration: yoyo.migrations.Migration) -> None:
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
