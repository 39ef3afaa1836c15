"""Find out whether a connection pooler, such as pgbouncer, breaks what locks of a session rest on.

In transaction mode it gives each transaction whatever connection to the server is free. A lock of a
session then belongs to a connection that others use, and stays when its taker has gone.
"""

from contextlib import closing

import psycopg2

from fleetsyncd.database.connections import Connection
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.statement_errors import to_database_error
from fleetsyncd.errors import DatabaseError, DatabaseLost, PoolerUnfit

MAYBE = (
    "if a connection pooler answers there, it needs pool_mode = session, and a pool_size of"
    " DB_POOL_SIZE and 4 for each daemon"
)
WAIT_SEC = 20.0
"""A pooler whose connections are all in use keeps others waiting."""
ROUNDS = 4
"""Comparisons; a busy pooler may once give the same connection twice by chance."""
REMEDY = (
    "let DB_HOST and DB_PORT name PostgreSQL itself, or set pool_mode = session for this database"
    " in the pooler's configuration"
)


def backend(cursor: Cursor) -> int:
    """Return the process id of the server's end of this transaction."""
    cursor.execute("SELECT pg_backend_pid()")
    return int(cursor.fetchall()[0][0])


def is_pooled(cursor: Cursor, pid: int) -> bool:
    """Tell whether a pooler is in between: it gives its clients process ids of its own."""
    return bool(cursor.connection.get_backend_pid() != pid)


def require_own_backend(database: Database) -> None:
    """Raise PoolerUnfit if two connections share one of the server's; raise DatabaseError."""
    try:
        with closing(database.connect()) as first:
            pid, pooled = _look(database, first)
            if pooled and _is_shared(database, first, pid):
                raise unfit(database)
    except psycopg2.Error as error:
        raise _with_advice(to_database_error(error)) from error
    except DatabaseLost as error:
        raise _with_advice(error) from error


def _is_shared(database: Database, first: Connection, pid: int) -> bool:
    with closing(database.connect()) as second:
        for _ in range(ROUNDS):
            # Twice in a row, for poolers that take turns; then the other, for those that do not.
            for connection in (first, first, second):
                seen, _ = _look(database, connection)
                if (seen == pid) is (connection is second):
                    return True
    return False


def _with_advice(error: DatabaseError) -> DatabaseError:
    """Return the error of a connection that broke here; what a pooler says of it is lost."""
    if isinstance(error, DatabaseLost) and error.hint is None:
        return DatabaseLost(error.reason, MAYBE)
    return error


def unfit(database: Database) -> PoolerUnfit:
    """Return the error that names the pooler and the remedy."""
    text = f"{database.where} is a connection pooler in transaction mode, where no lock holds"
    return PoolerUnfit(text, REMEDY)


def _look(database: Database, connection: Connection) -> tuple[int, bool]:
    with database.transaction_on(connection, within=WAIT_SEC) as cursor:
        pid = backend(cursor)
        return pid, is_pooled(cursor, pid)
