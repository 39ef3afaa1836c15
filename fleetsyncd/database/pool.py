"""A small bounded pool, and the only way to run a statement: `Database.run` and `transaction`.

Works the same in greenlets, where psycopg2 is cooperative, and in threads. Every transaction starts
with the row level security context; a connection that met any error is closed, never reused.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar
from uuid import UUID

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database import cluster, session_settings, statement_errors
from fleetsyncd.database.connections import Connection, Connector
from fleetsyncd.database.probe import PROBE_SEC, Probe
from fleetsyncd.database.statement_errors import to_database_error
from fleetsyncd.errors import DatabaseBusy, DatabaseError, DatabaseLost
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.time_limits import Deadline, no_deadline

T = TypeVar("T")

log = logging.getLogger("sync.database")

WAIT_SEC = 30.0
CROWDED_SEC = 1.0
"""While a transaction has waited for a connection for so long, nothing new should begin."""
STATEMENT_SEC = 60
TRANSACTION_SEC = 90.0
"""The client's deadline: a frozen server enforces no statement_timeout."""
MAX_AGE_SEC = 1800.0
_NO_UTF8 = "a text is not valid in UTF-8: the database's own encoding must be UTF8"


class _Overdue(DatabaseLost):
    """A transaction took longer than the client waits."""


class Cursor(extensions.cursor):
    """A transaction's cursor: BEGIN and the row level security context travel with its first query.

    They cost no round trip of their own.
    """

    connection: Connection
    opening: str
    begun = False
    vehicle: UUID | None = None
    """Whose rows it is about, as far as that is known: where it waited is then told."""

    def execute(self, query: Any, arguments: Any = None) -> None:
        """Run a statement of the transaction."""
        if not self.begun:
            query, self.begun = f"{self.opening}; {query}", True
        super().execute(query, arguments)


class Database:
    """PostgreSQL through at most `settings.pool_size` connections, made when needed."""

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        deadline: Deadline = no_deadline,
        application: str = "fleetsyncd",
        statement_sec: float = STATEMENT_SEC,
        transaction_sec: float = TRANSACTION_SEC,
    ) -> None:
        self.where = settings.where
        self._connector = Connector(settings, application, deadline)
        self._deadline = deadline
        self._transaction_sec = transaction_sec
        self.on_wait: Callable[[float], None] = lambda _seconds: None
        """Called with the seconds that each transaction waited for a connection."""
        self.on_queue: Callable[[float, float], None] = lambda _began, _got: None
        """Called, where it waited, with when each began to wait and when that was over."""
        self._waiting: dict[object, float] = {}
        """When each transaction began to wait for a connection, the first one first."""
        self._statement_sec = statement_sec
        self._slots = threading.BoundedSemaphore(settings.pool_size)
        self._probe = Probe(self._begin_probe)
        self._idle: deque[tuple[Connection, float]] = deque()
        self._on_cluster: bool | None = None
        """Whether it is a cluster's; asked once, and again after a fault of all connections."""

    def run(self, work: Callable[[Cursor], T]) -> T:
        """Run `work(cursor)` in a transaction, commit it, and return its result.

        `work` must be idempotent: it runs again after a deadlock, and after a lost connection,
        when it is unknown whether the commit arrived.
        """
        cursor: Cursor | None = None
        for attempt in range(1, statement_errors.ATTEMPTS + 1):
            try:
                with self.transaction() as cursor:
                    return work(cursor)
            except _Overdue as overdue:
                found = self._located(DatabaseLost(overdue.reason), cursor)
                if isinstance(found, DatabaseLost):
                    self.close()  # each of the idle connections would be waited for as long
                raise found from overdue
            except psycopg2.Error as error:
                reason = statement_errors.retry_reason(error)
                if error.pgcode == statement_errors.CANCELLED:
                    raise self._located(to_database_error(error), cursor) from error
                if reason is None:
                    raise to_database_error(error) from error
                if attempt >= statement_errors.attempts(error, reason):
                    raise statement_errors.final_error(error, reason) from error
                if reason in statement_errors.ALL_AFFECTED:
                    self.close()  # other idle connections are probably no better
                log.debug("transaction repeated after %s (attempt %d)", reason, attempt)
                time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311  jitter, no secret
        raise AssertionError("unreachable")

    def _located(self, error: DatabaseError, cursor: Cursor | None) -> DatabaseError:
        """Return what a transaction that took too long came to, with what it waited for."""
        if cursor is None or not cursor.connection.on_cluster:
            return error
        return self._probe.located(error, cursor.vehicle)

    @contextmanager
    def _begin_probe(self) -> Iterator[Cursor]:
        with (
            closing(self.connect()) as connection,
            self.transaction_on(connection, within=PROBE_SEC) as cursor,
        ):
            yield cursor

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Run the body in one transaction under the daemon's row level security, then commit.

        Any error, a killed greenlet included, closes the connection and so ends the transaction.
        Raises DatabaseLost, DatabaseBusy and psycopg2.Error.
        """
        started = time.monotonic()
        waiting = object()
        self._waiting[waiting] = started
        try:
            is_free = self._slots.acquire(timeout=WAIT_SEC)
        finally:
            del self._waiting[waiting]
        got = time.monotonic()
        self.on_wait(got - started)
        self.on_queue(started, got)
        if not is_free:
            raise DatabaseBusy(
                f"no free database connection for {WAIT_SEC:g} s", "raise DB_POOL_SIZE"
            )
        try:
            connection, opened_at = self._checkout()
            with self.transaction_on(connection) as cursor:
                yield cursor
            self._idle.append((connection, opened_at))
        finally:
            self._slots.release()

    @contextmanager
    def transaction_on(
        self, connection: Connection, within: float | None = None
    ) -> Iterator[Cursor]:
        """Run the body in one transaction of this connection; any error closes it.

        `within` so many seconds, if that is less than every transaction may take.
        """
        seconds = within or self._transaction_sec
        timed_out = _Overdue(f"{self.where} did not finish within {seconds:g} s")
        try:
            with (
                self._deadline(seconds, lambda: timed_out),
                connection.cursor(cursor_factory=Cursor) as cursor,
            ):
                cursor.opening = self._opening(connection)
                yield cursor
                if cursor.begun:
                    self._commit(cursor)
        except UnicodeError as error:
            connection.close()
            raise psycopg2.DataError(f"{_NO_UTF8} ({error})") from error
        except BaseException:
            connection.close()
            raise

    @property
    def longest_wait_sec(self) -> float:
        """How long a transaction has waited for a connection by now; 0 if none waits."""
        now = time.monotonic()
        return now - next(iter(self._waiting.values()), now)

    @property
    def is_crowded(self) -> bool:
        """Whether more is to be stored than the connections bear: nothing new should begin."""
        return self.longest_wait_sec > CROWDED_SEC

    def close(self) -> None:
        """Close the idle connections; those in use go back to the pool or close with an error."""
        self._on_cluster = None
        while idle := self._pop_idle():
            idle[0].close()

    def _pop_idle(self) -> tuple[Connection, float] | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _checkout(self) -> tuple[Connection, float]:
        """Return an idle connection that is not too old, or a new one."""
        while idle := self._pop_idle():
            connection, opened_at = idle
            if time.monotonic() - opened_at <= MAX_AGE_SEC:
                return connection, opened_at
            connection.close()
        return self.connect(), time.monotonic()

    def connect(self) -> Connection:
        """Open a connection outside the pool; raise DatabaseLost."""
        return self._connector.connect()

    def _opening(self, connection: Connection) -> str:
        if connection.on_cluster is None:
            connection.on_cluster = self._on_cluster
        # What a cluster needs does nothing elsewhere: until it is known, that is told.
        return session_settings.opening(
            connection.server_version,
            statement_sec=self._statement_sec,
            idle_sec=STATEMENT_SEC // 2,
            on_cluster=connection.on_cluster is not False,
        )

    def _commit(self, cursor: Cursor) -> None:
        """Commit, and ask in the same round trip what is not known of the connection yet."""
        connection = cursor.connection
        if connection.on_cluster is None:
            cursor.execute(f"COMMIT; {cluster.HAS_CITUS}")
            connection.on_cluster = self._on_cluster = cursor.fetchall() == [(True,)]
        else:
            cursor.execute("COMMIT")
