"""Find out whether a connection pooler, such as pgbouncer, breaks what locks of a session rest on.

In transaction mode it gives each transaction whatever connection to the server is free. A lock of a
session then belongs to a connection that others use, and stays when its taker has gone.
"""

from contextlib import closing

from fleetsyncd.database.connections import Connection
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import PoolerUnfit

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
    with closing(database.connect()) as first:
        pid, pooled = _look(database, first)
        if not pooled:
            return
        with closing(database.connect()) as second:
            for _ in range(ROUNDS):
                other, _ = _look(database, second)
                again, _ = _look(database, first)
                if other == pid or again != pid:
                    raise unfit(database)


def unfit(database: Database) -> PoolerUnfit:
    """Return the error that names the pooler and the remedy."""
    text = f"{database.where} is a connection pooler in transaction mode, where no lock holds"
    return PoolerUnfit(text, REMEDY)


def _look(database: Database, connection: Connection) -> tuple[int, bool]:
    with database.transaction_on(connection) as cursor:
        pid = backend(cursor)
        return pid, is_pooled(cursor, pid)
