"""A connection outside the pool, for session-level advisory locks."""

from collections.abc import Callable
from typing import TypeVar

import psycopg2

from fleetsyncd.database import pooler
from fleetsyncd.database.connections import Connection
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.statement_errors import to_database_error

T = TypeVar("T")


class Session:
    """Runs transactions on one kept connection; `on_connect` runs first on a new one.

    No transaction is repeated: a session that loses its connection loses its locks, and the caller
    must know. Not to be shared between greenlets or threads.
    """

    def __init__(self, database: Database, on_connect: Callable[[Cursor], None]) -> None:
        self._database = database
        self._on_connect = on_connect
        self._connection: Connection | None = None
        self._pooled_backend: int | None = None
        """The server's end of it, if a pooler is in between: it must stay the same."""

    def run(self, work: Callable[[Cursor], T]) -> T:
        """Run `work(cursor)` in a transaction and return its result; any error ends the session.

        Raises DatabaseError, PoolerUnfit before anything runs.
        """
        try:
            connection = self._connection
            if connection is None or connection.closed:
                connection = self._connect()
            with self._database.transaction_on(connection) as cursor:
                expected = self._pooled_backend
                if expected is not None and pooler.backend(cursor) != expected:
                    raise pooler.unfit(self._database)
                return work(cursor)
        except psycopg2.Error as error:
            raise to_database_error(error) from error

    def _connect(self) -> Connection:
        connection = self._connection = self._database.connect()
        with self._database.transaction_on(connection) as cursor:
            pid = pooler.backend(cursor)
            self._pooled_backend = pid if pooler.is_pooled(cursor, pid) else None
            if self._pooled_backend is not None:
                pooler.require_own_backend(self._database)
            self._on_connect(cursor)
        return connection

    def close(self) -> None:
        """Close the connection, which releases its locks at once."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
