"""A small bounded pool, and the only way to run a statement: `Database.run` and `transaction`.

Works the same in greenlets (psycopg2 made cooperative) and in threads. Every transaction starts
with the row level security context; a connection that met any error is closed, never reused.
"""

import logging
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database.hints import first_line, with_hint
from fleetsyncd.errors import DatabaseBusy, DatabaseError, DatabaseLost, SchemaOutdated
from fleetsyncd.settings import DatabaseSettings

T = TypeVar("T")
Connection = extensions.connection
Deadline = Callable[[float, Callable[[], Exception]], AbstractContextManager[None]]

log = logging.getLogger("sync.database")

CONNECT_SEC = 10.0
WAIT_SEC = 30.0
STATEMENT_SEC = 60
TRANSACTION_SEC = 90.0
"""A frozen server enforces no statement_timeout; this deadline is ours."""
MAX_AGE_SEC = 1800.0
ATTEMPTS = 4
LOST_CONNECTION = "lost connection"
CHECK_CLIENT_SINCE = 140_000
"""Server version that knows client_connection_check_interval."""

# Keepalives alone do not notice a peer that vanished while data were in flight.
_CONNECTION_DEFAULTS = {
    "keepalives": "1",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "8000",
    "connect_timeout": "10",
    "application_name": "fleetsyncd",
}
_BEGIN = (
    "BEGIN; SELECT set_config('app.user_role', 'superuser', true),"
    " set_config('timezone', 'UTC', true),"
    " set_config('statement_timeout', '{:g}s', true),"
    # A daemon that froze must not keep others from its vehicles' rows.
    f" set_config('idle_in_transaction_session_timeout', '{STATEMENT_SEC // 2}s', true)"
)
_CHECK_CLIENT = ", set_config('client_connection_check_interval', '5s', true)"
_RETRIED = {"40001": "serialization failure", "40P01": "deadlock", "55P03": "lock not available"}
_OUTDATED = {"42P01", "42703", "42883", "3F000"}
"""Undefined table, column, function, schema."""


class Cursor(extensions.cursor):
    """A transaction's cursor: its first statement brings the transaction's opening along.

    BEGIN and the row level security context thus cost no round trip of their own.
    """

    opening: str
    begun = False

    def execute(self, query: Any, arguments: Any = None) -> None:
        """Run a statement of the transaction."""
        if not self.begun:
            query, self.begun = f"{self.opening}; {query}", True
        super().execute(query, arguments)


def no_deadline(_seconds: float, _error: Callable[[], Exception]) -> AbstractContextManager[None]:
    """Stand in for a deadline where threads block and a server's own timeouts must do."""
    return nullcontext()


def connect_timed_out(where: str) -> DatabaseLost:
    """Return the error of a connection that could not be made in time."""
    return DatabaseLost(f"{where} did not answer within {CONNECT_SEC:g} s")


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
        self._parameters = {
            **_CONNECTION_DEFAULTS,
            "application_name": application,
            **settings.parameters,
        }
        self._deadline = deadline
        self._transaction_sec = transaction_sec
        self.on_wait: Callable[[float], None] = lambda _seconds: None
        """Is told the seconds that each transaction waited for a connection."""
        self._begin = _BEGIN.format(statement_sec)
        self._slots = threading.BoundedSemaphore(settings.pool_size)
        self._idle: deque[tuple[Connection, float]] = deque()

    def run(self, work: Callable[[Cursor], T]) -> T:
        """Return `work(cursor)` after its transaction is committed.

        `work` must be idempotent: it runs again after a deadlock, and after a lost connection,
        when nobody can know whether the commit arrived.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.transaction() as cursor:
                    return work(cursor)
            except psycopg2.Error as fault:
                reason = _retry_reason(fault)
                if reason is None:
                    raise to_database_error(fault) from fault
                if attempt == ATTEMPTS:
                    raise _final_error(fault, reason) from fault
                if reason == LOST_CONNECTION:
                    self.close()  # what idled beside a connection that died is likely dead too
                log.debug("transaction again after %s (attempt %d)", reason, attempt)
                time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311  jitter, no secret
        raise AssertionError("unreachable")

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Run the body in one transaction with our row level security context, then commit.

        On any error, an ended greenlet included, the connection is closed and the transaction with
        it. Raises DatabaseLost, DatabaseBusy and psycopg2.Error.
        """
        asked = time.monotonic()
        free = self._slots.acquire(timeout=WAIT_SEC)
        self.on_wait(time.monotonic() - asked)
        if not free:
            raise DatabaseBusy(
                f"no free database connection for {WAIT_SEC:g} s: raise DB_POOL_SIZE"
            )
        try:
            connection, born = self._checkout()
            with self.transaction_on(connection) as cursor:
                yield cursor
            self._idle.append((connection, born))
        finally:
            self._slots.release()

    @contextmanager
    def transaction_on(self, connection: Connection) -> Iterator[Cursor]:
        """Run the body in one transaction of a connection, which any error closes."""
        late = DatabaseLost(f"{self.where} did not finish within {self._transaction_sec:g} s")
        try:
            with (
                self._deadline(self._transaction_sec, lambda: late),
                connection.cursor(cursor_factory=Cursor) as cursor,
            ):
                cursor.opening = self._opening(connection)
                yield cursor
                if cursor.begun:
                    cursor.execute("COMMIT")
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the idle connections; those in use close when their transaction fails or ends."""
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
            connection, born = idle
            if time.monotonic() - born <= MAX_AGE_SEC:
                return connection, born
            connection.close()
        return self.connect(), time.monotonic()

    def connect(self) -> Connection:
        """Connect, name look-up included, within CONNECT_SEC; raise DatabaseLost."""
        try:
            with self._deadline(CONNECT_SEC, lambda: connect_timed_out(self.where)):
                connection = psycopg2.connect(
                    extensions.make_dsn(**{**self._parameters, **self._resolved()})
                )
                connection.autocommit = True  # transactions are begun and committed by hand
                return connection
        except (psycopg2.OperationalError, OSError) as fault:
            raise DatabaseLost(f"no connection to {self.where}: {with_hint(fault)}") from fault

    def _resolved(self) -> dict[str, Any]:
        """Look the host up here: libpq's own look-up would block every greenlet.

        libpq tries every address, one after the other.
        """
        host = self._parameters.get("host", "")
        if not host or host.startswith("/") or "," in host or "hostaddr" in self._parameters:
            return {}
        port = self._parameters.get("port", "5432")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}

    def _opening(self, connection: Connection) -> str:
        checks = connection.server_version >= CHECK_CLIENT_SINCE
        return self._begin + _CHECK_CLIENT if checks else self._begin


def _retry_reason(fault: psycopg2.Error) -> str | None:
    """Say why a failed transaction may succeed when run again; None if it will not."""
    if fault.pgcode in _RETRIED:
        return _RETRIED[fault.pgcode]
    # A terminated connection carries no SQLSTATE, or that of the administrator's command.
    lost = fault.pgcode is None or fault.pgcode.startswith(("08", "57P"))
    return LOST_CONNECTION if lost and isinstance(fault, psycopg2.OperationalError) else None


def _final_error(fault: psycopg2.Error, reason: str) -> DatabaseError:
    kind = DatabaseLost if reason == LOST_CONNECTION else DatabaseError
    return kind(f"{reason}: {first_line(fault)}")


def to_database_error(fault: psycopg2.Error) -> DatabaseError:
    """Return what an error of the driver's means to us."""
    if _retry_reason(fault) == LOST_CONNECTION:
        return DatabaseLost(f"{LOST_CONNECTION}: {first_line(fault)}")
    if fault.pgcode in _OUTDATED:
        return SchemaOutdated(
            f"the database schema does not fit ({first_line(fault)}): run `fleetsyncd migrate`"
        )
    if fault.pgcode is None and isinstance(fault, psycopg2.InterfaceError):
        return DatabaseLost(f"{LOST_CONNECTION}: {first_line(fault)}")
    return DatabaseError(with_hint(fault))
