"""Retention: remove expired journal entries, quarantined rows, alarms, months of measurements.

Every step is one short transaction under an advisory lock, so only one daemon at a time works on
it. It can be stopped between any two steps, and repeated.
"""

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable

log = logging.getLogger("sync.retention")

BATCH = 5_000
"""Rows deleted in one transaction: few enough that no other session waits long."""
LOCK = 0x666C7265  # "flre"
_TAKE = "SELECT pg_try_advisory_xact_lock(%s)"
_MONTHLY = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'public.measurements'::regclass"
_DELETE = """
DELETE FROM {table} WHERE (vehicle_id, {key}) IN (
    SELECT vehicle_id, {key} FROM {table} WHERE {column} < now() - %s::interval LIMIT %s)
"""
_JOURNAL = _DELETE.format(table="public.sync_journal", key="id", column="started_at")
_ALARMS = _DELETE.format(
    table="public.alarms_log", key="alarm_id", column="resolved_at IS NOT NULL AND triggered_at"
)
_QUARANTINE = _DELETE.format(table="fleetsync.quarantine", key="digest", column="at")


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long rows are kept; None: for ever.

    `measurements_keep_months` are whole months, kept beside the present one.
    """

    journal_keep: timedelta | None
    quarantine_keep: timedelta | None
    measurements_keep_months: int | None
    alarms_keep: timedelta | None = None


class Retention:
    """Removes expired rows."""

    def __init__(
        self,
        database: Database,
        policy: RetentionPolicy,
        *,
        batch: int = BATCH,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._policy = policy
        self._batch = batch
        self._on_drop = on_drop

    def steps(self, today: Callable[[], datetime]) -> Generator[None, None, None]:
        """Remove everything that has expired, one transaction a step; may be stopped after each.

        `today` returns the present time. Removals are logged. Raises DatabaseUnavailable; any other
        database error is logged, and the rest waits for the next round.
        """
        for what, work in (
            ("journal entries", self._expired(_JOURNAL, self._policy.journal_keep)),
            ("quarantined rows", self._expired(_QUARANTINE, self._policy.quarantine_keep)),
            ("alarms", self._expired(_ALARMS, self._policy.alarms_keep)),
            ("months of measurements", self._months(today)),
        ):
            total = 0
            try:
                for removed in work:
                    total += removed
                    yield
            except DatabaseUnavailable:
                raise
            except DatabaseError as error:
                log.warning("retention: %s could not be removed: %s", what, error)
            finally:
                if total:
                    log.info("retention: removed expired %s: %d", what, total)

    def _expired(self, statement: str, age: timedelta | None) -> Iterator[int]:
        """Delete rows older than `age`, batch by batch; yield the size of each batch."""
        if age is None:
            return
        while (deleted := self._database.run(partial(self._delete, statement, age))) > 0:
            yield deleted
            if deleted < self._batch:
                return

    def _delete(self, statement: str, age: timedelta, cursor: Cursor) -> int:
        if not _try_lock(cursor):
            return 0
        cursor.execute(statement, (age, self._batch))
        return cursor.rowcount

    def _months(self, today: Callable[[], datetime]) -> Iterator[int]:
        """Drop expired months, the oldest first; yield 1 for each."""
        keep_months = self._policy.measurements_keep_months
        if keep_months is None:
            return
        if not self._database.run(_is_monthly):
            log.warning("retention: measurements has no monthly partitions, nothing is dropped")
            return
        while name := self._database.run(partial(_drop, keep_months, today())):
            log.info("retention: dropped partition %s", name)
            self._on_drop()
            yield 1


def _try_lock(cursor: Cursor) -> bool:
    """Take the advisory lock for this transaction; False while another daemon has it."""
    cursor.execute(_TAKE, (LOCK,))
    return bool(cursor.fetchall()[0][0])


def _is_monthly(cursor: Cursor) -> bool:
    cursor.execute(_MONTHLY)
    return bool(cursor.fetchall()[0][0])


def _drop(months: int, today: datetime, cursor: Cursor) -> str | None:
    if not _try_lock(cursor):
        return None
    cursor.execute("SELECT fleetsync.drop_expired_month(%s, %s)", (months, today.date()))
    name = cursor.fetchall()[0][0]
    return None if name is None else str(name)
