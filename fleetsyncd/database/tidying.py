"""Tidy closed months: write their keys anew, since they fill but half of their pages.

That takes a quarter off a month. Readers and writers go on meanwhile. One daemon at a time does it,
one month at a time.
"""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import psycopg2

from fleetsyncd.database import housekeeping
from fleetsyncd.database.closed_months import ClosedMonth, due_months
from fleetsyncd.database.hints import what_happened
from fleetsyncd.database.housekeeping import Task, Work
from fleetsyncd.database.maintenance import (
    MaintenanceSession,
    cancel_statement,
    maintenance_session,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.statement_errors import to_database_error
from fleetsyncd.database.tidy_progress import REPORT_SEC, Progress
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable, NotTidied, OthersTidy
from fleetsyncd.text import size

log = logging.getLogger("sync.tidy")

LOCK = 0x666C7469  # "flti"
LOCK_SEC = 600.0
"""How long it waits for those who read or write the month, and for older transactions."""
RETRY_AFTER = timedelta(hours=6)
"""A month that failed is left alone for so long: a full disk must not be filled each hour. Less
than a day, since a dump that was in its way may come at the same time each day."""
ROUNDS, ROUND_SEC = 40, 0.05
# On a cluster the table's only index is the key.
_KEY_BYTES = """
SELECT coalesce(max(CASE WHEN fleetsync.is_distributed() AND c.relname !~ '^measurements_minute'
    THEN s.index_bytes ELSE pg_relation_size(i.indexrelid) END), 0)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
CROSS JOIN LATERAL fleetsync.part_bytes(i.indrelid) s
WHERE i.indexrelid = to_regclass(%s)
"""
# The lock of a table that is being tidied; of the advisory one the number's two halves.
_BEING_TIDIED = """
SELECT DISTINCT c.relname::text FROM pg_locks own
JOIN pg_locks l ON l.pid = own.pid AND l.locktype = 'relation' AND l.granted
    AND l.database = own.database AND l.mode = 'ShareUpdateExclusiveLock'
JOIN pg_class c ON c.oid = l.relation AND c.relkind = 'r'
WHERE own.locktype = 'advisory' AND own.granted AND own.objsubid = 1 AND own.classid = 0
  AND own.objid = %s
  AND own.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Tidied:
    """A month whose key was written anew."""

    name: str
    bytes_before: int
    bytes_after: int

    @property
    def saved_bytes(self) -> int:
        """By how much its key has become smaller."""
        return max(0, self.bytes_before - self.bytes_after)


class Tidying:
    """Tidies what ended `after` ago, None: nothing, and is not soon dropped by retention.

    `tell` takes what operators are to read; progress is told every `report_sec`.
    """

    def __init__(
        self,
        database: Database,
        after: timedelta | None,
        keep_months: int | None = None,
        *,
        tell: Callable[[str], object] = log.info,
        retry_after: timedelta = RETRY_AFTER,
        lock_sec: float = LOCK_SEC,
        report_sec: float = REPORT_SEC,
    ) -> None:
        self._database = database
        self._after = after
        self._keep_months = keep_months
        self._tell = tell
        self._retry_after = retry_after
        self._lock_sec = lock_sec
        self._report_sec = report_sec
        self._pid: int | None = None
        """The server's process that works on a month."""
        self._stopping = False

    def due(self, now: datetime, but: Collection[str] = ()) -> list[ClosedMonth]:
        """Return the months that are due and that this role may tidy, `but` for these tables."""
        after = self._after
        if after is None:
            return []

        def work(cursor: Cursor) -> list[ClosedMonth]:
            housekeeping.forget_dropped(cursor, Task.TIDY)
            months = due_months(cursor, now, after, self._keep_months)
            return [
                month
                for month in months
                if month.may_tidy and month.table not in but and not self._rests(month, now)
            ]

        return self._database.run(work)

    def _rests(self, month: ClosedMonth, now: datetime) -> bool:
        """Tell whether a month has failed a short time ago."""
        return month.failed_at is not None and now < month.failed_at + self._retry_after

    def run(self, now: datetime, but: Collection[str] = ()) -> Tidied | None:
        """Tidy the first month that is due; None if there is none.

        Raises NotTidied, OthersTidy, DatabaseUnavailable and DatabaseError.
        """
        if self._stopping or not self.due(now, but):
            return None
        self.clean_up()
        try:
            with maintenance_session(self._database, self._lock_sec) as session:
                if not session.try_lock(LOCK):
                    raise OthersTidy("another one is tidying a month")
                # What is due is looked at again: another daemon may just have done it.
                months = self.due(now, but)
                return self._tidy(months[0], session) if months else None
        except NotTidied:
            self._await_end(session.pid)
            self.clean_up()
            raise
        except psycopg2.Error as error:
            raise to_database_error(error) from error

    def stop(self) -> None:
        """End what runs, now; `run` then raises NotTidied. Raises DatabaseError."""
        self._stopping = True
        if (pid := self._pid) is not None:
            self._database.run(lambda cursor: cancel_statement(cursor, pid))

    def clean_up(self) -> None:
        """Drop what interrupted ones have left, unless it is in use: then a later call does it.

        Raises DatabaseUnavailable.
        """
        try:
            while name := self._database.run(_drop_broken):
                self._tell(f"dropped index {name}, which an interrupted tidying had left")
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            self._tell(f"what an interrupted tidying has left is dropped later: {error}")

    def _tidy(self, month: ClosedMonth, session: MaintenanceSession) -> Tidied:
        work = Work(Task.TIDY, month.table)
        self._database.run(partial(work.begin, bytes_before=month.key_bytes))
        self._tell(
            f"tidying {month.name}: its key takes {size(month.key_bytes)}; the fleet goes on"
        )
        progress = Progress(self._database, month.name, session.pid, self._tell, self._report_sec)
        self._pid = session.pid
        try:
            if self._stopping:
                raise self._stopped(month, work)
            with progress.reported():
                session.execute(f"REINDEX INDEX CONCURRENTLY {month.key}")
        except psycopg2.Error as error:
            if self._stopping:
                raise self._stopped(month, work) from error
            reason = _reason(error, progress)
            self._database.run(partial(work.fail, error=reason))
            raise NotTidied(month.table, f"{month.name} could not be tidied: {reason}") from error
        finally:
            self._pid = None
        return self._finish(month, work)

    def _finish(self, month: ClosedMonth, work: Work) -> Tidied:
        def finish(cursor: Cursor) -> int:
            cursor.execute(_KEY_BYTES, (month.key,))
            key_bytes = int(cursor.fetchall()[0][0])
            work.finish(cursor, bytes_after=key_bytes)
            return key_bytes

        tidied = Tidied(month.name, month.key_bytes, self._database.run(finish))
        before, after = size(tidied.bytes_before), size(tidied.bytes_after)
        self._tell(f"tidied {tidied.name}: its key takes {after}, it was {before}")
        return tidied

    def _stopped(self, month: ClosedMonth, work: Work) -> NotTidied:
        self._database.run(work.withdraw)
        return NotTidied(month.table, f"{month.name} could not be tidied: it was stopped")

    def _await_end(self, pid: int) -> None:
        """Wait a moment until a server's process that was ended has released its locks."""
        for _ in range(ROUNDS):
            if not self._database.run(partial(_has_locks, pid)):
                return
            time.sleep(ROUND_SEC)


def _reason(error: psycopg2.Error, progress: Progress) -> str:
    if isinstance(error, psycopg2.errors.LockNotAvailable):
        return f"{progress.blocking or 'a session that has ended since'} was in its way"
    return what_happened(error)


def being_tidied(cursor: Cursor) -> set[str]:
    """Return the tables that a daemon, or `migrate --tidy`, is tidying now."""
    cursor.execute(_BEING_TIDIED, (LOCK,))
    return {str(name) for (name,) in cursor.fetchall()}


def _has_locks(pid: int, cursor: Cursor) -> bool:
    cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s)", (pid,))
    return cursor.fetchall() == [(True,)]


def _drop_broken(cursor: Cursor) -> str | None:
    cursor.execute("SELECT fleetsync.drop_broken_index()")
    name = cursor.fetchall()[0][0]
    return None if name is None else str(name)
