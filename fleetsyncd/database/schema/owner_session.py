"""A session of the tables' owner that changes where measurements are kept, and nobody beside it."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar, cast

from fleetsyncd.database import retention, session_settings, tidying
from fleetsyncd.database.connections import Connector
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.schema.lock_waits import Patience, PatientSession
from fleetsyncd.settings import DatabaseSettings

T = TypeVar("T")

_AGAIN = "then run it again: what is done stays done"
_BECOME_OWNER = """
SELECT set_config('role', r.rolname, false)
FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.oid = 'public.measurements'::regclass AND r.rolname <> current_user
"""


@contextmanager
def owner_session(settings: DatabaseSettings, patience: Patience) -> Iterator[PatientSession]:
    """Return a session as the table's owner, in which no other migration and no retention runs.

    Raises MigrationFailed for what the server refuses in it.
    """
    connector = Connector(settings, migrate.APPLICATION)
    with closing(connector.connect()) as connection, migrate.told_as_failed(_AGAIN):
        session = PatientSession(connector, connection, patience)
        with connection.cursor() as cursor:
            cursor.execute(session_settings.for_whole_session(connection.server_version))
        session.query("SELECT set_config('client_min_messages', 'warning', false)")
        session.take_lock(migrate.LOCK, f"another `{migrate.APPLICATION}`")
        session.take_lock(retention.LOCK, "retention")
        session.take_lock(tidying.LOCK, "a daemon that tidies a month")
        session.query(_BECOME_OWNER)
        yield session


def look(session: PatientSession, work: Callable[[Cursor], T]) -> T:
    """Return what a look at the database finds, outside of any transaction."""
    with session.connection.cursor() as cursor:
        # Of a transaction's cursor, only what every cursor has is used.
        return work(cast("Cursor", cursor))
