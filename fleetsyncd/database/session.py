"""A connection beside the pool, for what lives as long as its session: advisory locks."""

from collections.abc import Callable
from typing import TypeVar

import psycopg2

from fleetsyncd.database.pool import Connection, Cursor, Database, to_database_error

T = TypeVar("T")


class Session:
    """Runs transactions on one kept connection; `on_connect` is the first of a new one.

    Nothing is repeated here: with its connection a session loses its locks, which the caller has to
    know. Not to be shared between greenlets or threads.
    """

    def __init__(self, database: Database, on_connect: Callable[[Cursor], None]) -> None:
        self._database = database
        self._on_connect = on_connect
        self._connection: Connection | None = None

    def run(self, work: Callable[[Cursor], T]) -> T:
        """Return `work(cursor)` after its transaction; any error closes the connection.

        Raises DatabaseError.
        """
        try:
            connection = self._connection
            if connection is None or connection.closed:
                connection = self._connection = self._database.connect()
                with self._database.transaction_on(connection) as cursor:
                    self._on_connect(cursor)
            with self._database.transaction_on(connection) as cursor:
                return work(cursor)
        except psycopg2.Error as error:
            raise to_database_error(error) from error

    def close(self) -> None:
        """Close the connection; its locks are free at once."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
