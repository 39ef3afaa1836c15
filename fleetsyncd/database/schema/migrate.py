"""Bring the schema up to date as the tables' owner, and check whether it is.

Runs under an advisory lock. The connection has the row level security context for its whole life,
because the tables force their policies on their owner too.
"""

import logging
from importlib import resources
from importlib.resources.abc import Traversable

import psycopg2
import yoyo
from yoyo.backends.core.postgresql import PostgresqlBackend
from yoyo.connections import DatabaseURI

from fleetsyncd.database.hints import first_line, reason_and_hint
from fleetsyncd.database.pool import (
    CONNECT_SEC,
    Cursor,
    Database,
    connect_timed_out,
)
from fleetsyncd.database.schema import grants
from fleetsyncd.errors import DatabaseLost, MigrationFailed, SchemaOutdated
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.time_limits import Deadline, no_deadline

log = logging.getLogger("sync.migrate")

SCHEMA = "fleetsync"
HISTORY = "migration"
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
    """Apply the missing migrations, grant `app_role` a daemon's rights; return the applied ids."""
    with deadline(CONNECT_SEC, lambda: connect_timed_out(settings.where)):
        backend = _connect(settings)
    try:
        with backend.connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            applied = _apply(backend)
            if app_role is not None:
                _grant(cursor, app_role)
    except psycopg2.Error as error:
        reason, hint = reason_and_hint(error)
        raise MigrationFailed(f"migration failed: {reason}", hint) from error
    else:
        return applied
    finally:
        backend.connection.close()


def _folder() -> Traversable:
    return resources.files("fleetsyncd.database.schema") / "migrations"


def _connect(settings: DatabaseSettings) -> PostgresqlBackend:
    arguments = {
        "connect_timeout": f"{CONNECT_SEC:.0f}",
        **settings.parameters,
        "options": f"{settings.parameters.get('options', '')} -c app.user_role=superuser",
        "application_name": "fleetsyncd migrate",
        "schema": SCHEMA,
    }
    name = arguments.pop("dbname", None)
    uri = DatabaseURI("postgresql", None, None, None, None, name, arguments)
    try:
        return PostgresqlBackend(uri, HISTORY)
    except psycopg2.OperationalError as error:
        reason, hint = reason_and_hint(error)
        raise DatabaseLost(f"no connection to {settings.where}: {reason}", hint) from error


def _apply(backend: PostgresqlBackend) -> list[str]:
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


def _apply_one(backend: PostgresqlBackend, migration: yoyo.migrations.Migration) -> None:
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


def _grant(cursor: Cursor, role: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    if cursor.fetchone() is None:
        raise MigrationFailed(
            f"there is no role {role} to grant to", f"CREATE ROLE {role} LOGIN PASSWORD '...'"
        )
    grants.grant(cursor, role)
