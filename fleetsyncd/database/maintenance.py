"""Statements that no transaction may surround, such as REINDEX ... CONCURRENTLY.

The exception to the transaction wrapper of `pool.py`: in a transaction the server refuses them.
They get a connection of their own, which has the row level security context for its whole life, as
that of `migrate` has, and is closed after use: no other statement meets what they leave of it.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from fleetsyncd.database import pooler, session_settings
from fleetsyncd.database.connections import Connection
from fleetsyncd.database.pool import Cursor, Database

APPLICATION = "fleetsyncd tidy"
# One of the server's cores is enough: the fleet goes on meanwhile.
_SET_UP = """
SELECT set_config('application_name', %s, false), set_config('lock_timeout', %s, false),
    set_config('max_parallel_maintenance_workers', '0', false)
"""
_TRY_LOCK = "SELECT pg_try_advisory_lock(%s)"
_CANCEL = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE pid = %s AND application_name = %s AND datname = current_database()
"""


class MaintenanceSession:
    """A connection for such statements; its methods raise psycopg2.Error."""

    def __init__(self, connection: Connection, pid: int) -> None:
        self._connection = connection
        self.pid = pid
        """Of the server's process."""

    def try_lock(self, number: int) -> bool:
        """Take an advisory lock for as long as the server's process lives; False if it is taken.

        It outlives a daemon that is killed, while its statement goes on.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(_TRY_LOCK, (number,))
            return cursor.fetchall() == [(True,)]

    def execute(self, statement: str) -> None:
        """Run a statement, however long it takes."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


@contextmanager
def maintenance_session(database: Database, lock_sec: float) -> Iterator[MaintenanceSession]:
    """Open a session whose statements wait for each lock for at most `lock_sec`.

    Raises DatabaseLost, psycopg2.Error and, behind a pooler that shares connections, PoolerUnfit.
    """
    with closing(database.connect()) as connection:
        with database.transaction_on(connection) as begun:
            pid = pooler.backend(begun)
            is_pooled = pooler.is_pooled(begun, pid)
        if is_pooled:
            pooler.require_own_backend(database)
        with connection.cursor() as cursor:
            cursor.execute(session_settings.for_whole_session(connection.server_version))
            cursor.execute(_SET_UP, (APPLICATION, f"{round(lock_sec * 1000)}ms"))
        yield MaintenanceSession(connection, pid)


def cancel_statement(cursor: Cursor, pid: int) -> None:
    """Ask the server to end the statement of a session of this module.

    By another connection: the driver's own way blocks every greenlet.
    """
    cursor.execute(_CANCEL, (pid, APPLICATION))
