"""Bring the schema up to date as the tables' owner, and check whether it is.

Everything is looked at before anything is changed. Runs under an advisory lock. The connection has
the row level security context for its whole life, because the tables force their policies on their
owner too.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import cast

import psycopg2

from fleetsyncd import __version__
from fleetsyncd.database import pooler, session_settings
from fleetsyncd.database.cluster import node_of
from fleetsyncd.database.connections import Connector
from fleetsyncd.database.hints import reason_and_hint, what_happened
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import grants, indexes, preconditions
from fleetsyncd.database.schema.lock_waits import LOCK_SEC, USUAL_PATIENCE, Patience, PatientSession
from fleetsyncd.errors import MigrationFailed, SchemaOutdated
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import Deadline, no_deadline

log = logging.getLogger("sync.migrate")

SCHEMA = "fleetsync"
HISTORY = "migration"
APPLICATION = "fleetsyncd migrate"
LOCK = 0x666C6565  # "flee"
UPGRADE = "upgrade this program: what a newer one has stored is not all known to it"


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did: the ids of the migrations, the names of the indexes."""

    migrations: list[str]
    indexes: list[str]


def expected_migrations() -> list[str]:
    """Return the ids of all migrations of this version, in order."""
    names = [entry.name for entry in _folder().iterdir()]
    return sorted(name.removesuffix(".sql") for name in names if name.endswith(".sql"))


def missing_migrations(database: Database) -> list[str]:
    """Return the ids of the migrations that the database lacks."""
    present = applied_migrations(database)
    return [name for name in expected_migrations() if name not in present]


def newer_migrations(database: Database) -> list[str]:
    """Return the ids of the migrations that this version does not know."""
    return sorted(applied_migrations(database).difference(expected_migrations()))


def applied_migrations(database: Database) -> set[str]:
    """Return the ids of the migrations that the database has."""

    def applied(cursor: Cursor) -> set[str]:
        cursor.execute(f"SELECT migration_id FROM {SCHEMA}.{HISTORY}")  # noqa: S608  constants
        return {str(row[0]) for row in cursor.fetchall()}

    try:
        return database.run(applied)
    except SchemaOutdated:
        return set()


def require_current(database: Database) -> None:
    """Raise SchemaOutdated unless every migration is applied."""
    missing = missing_migrations(database)
    if missing:
        raise SchemaOutdated(
            f"the schema of {database.where} lacks {len(missing)} migration(s), first {missing[0]}",
            "run `fleetsyncd migrate` as the tables' owner",
        )


def newer_schema(database: Database) -> str | None:
    """Say that a newer program has migrated the database; None if none has."""
    newer = newer_migrations(database)
    if not newer:
        return None
    return (
        f"the schema is newer than this program, version {__version__}: it does not know"
        f" {sanitise(', '.join(newer))}"
    )


def migrate(
    settings: DatabaseSettings,
    app_role: str | None = None,
    deadline: Deadline = no_deadline,
    patience: Patience = USUAL_PATIENCE,
) -> Migrated:
    """Apply the missing migrations, build missing indexes, grant `app_role` a daemon's rights.

    While others stand in the way of a statement, it is tried again with `patience`. Raises
    MigrationFailed with everything that stands in the way, DatabaseLost and PoolerUnfit.
    """
    connector = Connector(settings, APPLICATION, deadline)
    with closing(Database(settings, deadline=deadline, application=APPLICATION)) as database:
        pooler.require_own_backend(database)
        pending = bool(missing_migrations(database))
    with told_as_failed():
        _look(connector, patience, partial(preconditions.require, app_role, pending))
    # Every command checks the schema, only this one changes it, and its library takes a while.
    from fleetsyncd.database.schema.applying import Backend, apply_pending  # noqa: PLC0415

    with closing(Backend(connector, SCHEMA, HISTORY)) as backend, told_as_failed():
        session = PatientSession(connector, backend.connection, patience)
        session.take_lock(LOCK, f"another `{APPLICATION}`")
        # A cluster hands that on to its workers, of which one may be down.
        if not session.query("SELECT FROM pg_namespace WHERE nspname = %s", SCHEMA):
            session.execute("schema", f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        # Exactly once rests on them, so no migration is recorded without them.
        built = indexes.build_missing(session, keys_only=True)
        applied = apply_pending(backend, _folder(), session)
        if app_role is not None:
            with backend.connection.cursor() as cursor:
                grants.grant(cursor, app_role, former=grants.DOOR in applied)
        built += indexes.build_missing(session)
    return Migrated(applied, built)


@contextmanager
def told_as_failed(then: str | None = None) -> Iterator[None]:
    """Raise MigrationFailed for what the server refuses; `then` ends its hint."""
    try:
        yield
    except psycopg2.errors.InsufficientPrivilege as error:
        text = "run it as the owner of the tables and of the schema fleetsync"
        if node_of(error) is not None:
            text = (
                "give that role there what it has here: as a superuser, ALTER DATABASE … OWNER TO …"
            )
        raise MigrationFailed(f"migration failed: {what_happened(error)}", text) from error
    except psycopg2.Error as error:
        reason, hint = reason_and_hint(error)
        hint = "; ".join(text for text in (hint, then) if text)
        raise MigrationFailed(f"migration failed: {reason}", hint or None) from error


def _look(connector: Connector, patience: Patience, look: Callable[[Cursor], None]) -> None:
    """Look at what is there; a table that somebody rewrites keeps its constraints to itself."""
    with closing(connector.connect()) as connection, connection.cursor() as plain:
        plain.execute(session_settings.for_whole_session(connection.server_version))
        plain.execute(f"SET lock_timeout = '{LOCK_SEC:g}s'")
        session = PatientSession(connector, connection, patience)

        def in_a_transaction() -> None:
            plain.execute("BEGIN")
            try:
                # Of a transaction's cursor, only what every cursor has is used.
                look(cast("Cursor", plain))
            finally:
                plain.execute("ROLLBACK")

        session.repeat("the look at what is there", in_a_transaction)


def _folder() -> Traversable:
    return resources.files("fleetsyncd.database.schema") / "migrations"
