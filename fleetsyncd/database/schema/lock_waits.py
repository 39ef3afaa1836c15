"""Run statements that need a lock for which a daemon at work would have to wait.

Whoever comes later queues behind a statement that waits, so it waits a moment only, gives way for
longer than that, and tries again. Each statement is a transaction of its own: a lock is held for as
long as one statement takes.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database.blocking import BLOCKING, SESSIONS, named
from fleetsyncd.database.connections import Connector
from fleetsyncd.errors import DatabaseLost, MigrationFailed
from fleetsyncd.text import age

log = logging.getLogger("sync.migrate")

LOCK_SEC = 1.5
"""How long a statement waits for its locks, and with it everybody who comes later.

More than the usual deadlock_timeout, a second: only who has waited for so long lets the server end
an autovacuum that is in the way.
"""
ADVISORY_SEC = 0.25
"""How often the lock of another migration is tried."""
BLOCKED = (psycopg2.errors.DeadlockDetected, psycopg2.errors.LockNotAvailable)
REPORT_SEC = 30.0
"""How often those are named for whom a statement waits that is in nobody's way."""
_HOLDERS = f"""{SESSIONS}
WHERE a.pid <> pg_backend_pid() AND a.datname = current_database()
  AND (a.xact_start IS NULL OR a.xact_start < now() - make_interval(secs => %s))
  AND EXISTS (
      SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
      WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
        AND c.relnamespace IN ('public'::regnamespace, to_regnamespace('fleetsync')))
ORDER BY a.xact_start LIMIT 3
"""
# Each transaction holds the lock of its own number to its end; anybody may see that.
_OPEN = f"""
SELECT l.virtualxid, a.*
FROM ({SESSIONS} WHERE a.datname = current_database() AND a.usename IS NOT NULL)
    a(pid, program, role, seconds)
JOIN pg_locks l ON l.pid = a.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid()
"""  # noqa: S608  made of this project's own text


@dataclass(frozen=True, slots=True)
class Patience:
    """How long all tries of one statement may take, and the pause between two.

    In a pause those get on who waited behind the statement.
    """

    wait_sec: float = 600.0
    pause_sec: float = 4.0


USUAL_PATIENCE = Patience()


class PatientSession:
    """A connection on which statements wait for locks without keeping others from their work."""

    def __init__(
        self, connector: Connector, connection: extensions.connection, patience: Patience
    ) -> None:
        self._connector = connector
        self.connection = connection
        self._patience = patience

    def execute(self, what: str, statement: str, lock_sec: float = LOCK_SEC) -> None:
        """Run a statement as a transaction of its own; `what` names it in messages.

        At a time it waits for its locks for `lock_sec`. Raises MigrationFailed if it was blocked
        all the time, and psycopg2.Error.
        """
        self.repeat(what, lambda: self.try_once(statement, lock_sec), lock_sec)

    def repeat(self, what: str, work: Callable[[], None], lock_sec: float = LOCK_SEC) -> None:
        """Run `work` until no lock is in its way; it waits for one with a time limit, see above.

        What it works before, as a copy of all rows, takes nothing of the patience.
        """
        waited = 0.0
        while True:
            began = time.monotonic()
            try:
                work()
            except BLOCKED:
                waited += min(time.monotonic() - began, lock_sec) + self._patience.pause_sec
                if waited >= self._patience.wait_sec:
                    raise self._given_up(what) from None
                log.info("%s: gives way to %s, and is tried again", what, self._holders())
                time.sleep(self._patience.pause_sec)
            else:
                return

    def try_once(self, statement: str, lock_sec: float) -> None:
        """Run a statement that waits for its locks so long; raise one of BLOCKED."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{lock_sec:g}s'")
            cursor.execute(statement)

    def try_unhurried(self, what: str, statement: str) -> None:
        """Run a statement for whose locks nobody waits: it may wait as long as all tries together.

        Says in the log from time to time for whom it waits.
        """
        ended = threading.Event()
        pid = self.connection.info.backend_pid
        reporter = threading.Thread(target=self._report, args=(what, pid, ended), daemon=True)
        reporter.start()
        try:
            self.try_once(statement, self._patience.wait_sec)
        finally:
            ended.set()
            reporter.join()

    def outlast_transactions(self, what: str) -> None:
        """Wait until each transaction of this database has ended that is open now.

        One of them may have looked up a name that is about to be dropped. Raises MigrationFailed if
        the patience ends first.
        """
        known = {transaction for transaction, *_ in self.query(_OPEN)}
        ends = time.monotonic() + self._patience.wait_sec
        told = False
        while left := [tuple(rest) for number, *rest in self.query(_OPEN) if number in known]:
            if time.monotonic() >= ends:
                text = f"{what} waited in vain for {age(self._patience.wait_sec)}: {named(left)}"
                raise MigrationFailed(text, "end that session, then run this again")
            if not told:
                log.info("%s waits for transactions of before: %s", what, named(left))
                told = True
            time.sleep(ADVISORY_SEC)

    def query(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return cursor.fetchall()

    def take_lock(self, number: int, holder: str) -> None:
        """Take an advisory lock for the session; raise MigrationFailed if `holder` keeps it.

        It is tried again and again. A statement that waits would be an open transaction, for which
        an index that the holder builds waits in turn.
        """
        ends = time.monotonic() + self._patience.wait_sec
        told = False
        while self.query("SELECT pg_try_advisory_lock(%s)", number) != [(True,)]:
            if time.monotonic() >= ends:
                text = f"{holder} has been at work for longer than {age(self._patience.wait_sec)}"
                raise MigrationFailed(text, "wait for its end, then run this again")
            if not told:
                log.info("waiting for %s", holder)
                told = True
            time.sleep(ADVISORY_SEC)

    def _given_up(self, what: str) -> MigrationFailed:
        return MigrationFailed(
            f"{what} found no moment without a lock in its way for"
            f" {age(self._patience.wait_sec)}: {self._holders()}",
            "end that session, or run `fleetsyncd migrate --wait` again with a longer time; what is"
            " done stays done",
        )

    def _holders(self) -> str:
        """Return who has held locks on the tables for longest, for operators."""
        return named(self.query(_HOLDERS, LOCK_SEC)) or "a session that has ended since"

    def _report(self, what: str, pid: int, ended: threading.Event) -> None:
        """Log who blocks the session of this pid, on a connection of its own, until it `ended`."""
        while not ended.wait(REPORT_SEC):
            try:
                with closing(self._connector.connect()) as another, another.cursor() as cursor:
                    cursor.execute(BLOCKING, (pid,))
                    blocking = named(cursor.fetchall())
            except (psycopg2.Error, DatabaseLost):
                continue  # the statement itself finds out
            if blocking:
                log.info("%s waits for %s; the fleet goes on meanwhile", what, blocking)
