"""Retention: remove expired journal entries, bad rows, alarms, months of measurements and minutes.

What is going to be removed is told before; what is unusual waits until its announcement is a day
old. Every step is one short transaction under an advisory lock, so only one daemon at a time works
on it. It can be stopped between any two steps, and repeated.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

import psycopg2

from fleetsyncd.database import retention_plan
from fleetsyncd.database.expired_months import ExpiredMonths, MonthNeeded
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention_kinds import MONTHLY, Kind, RetentionPolicy
from fleetsyncd.database.retention_plan import ROW_SETS, Plan, RowSet
from fleetsyncd.database.views.retention import Announcement, announcement_of
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable
from fleetsyncd.times import utc_text

log = logging.getLogger("sync.retention")

BATCH = 5_000
"""Rows deleted in one transaction: few enough that no other session waits long."""
PROGRESS_SEC = 30.0
"""A long removal tells how far it is after every so many seconds, or the first step after them."""
LOCK = 0x666C7265  # "flre"
_TRY = "SELECT pg_try_advisory_xact_lock(%s)"
_WAIT = "SELECT true FROM pg_advisory_xact_lock(%s)"
_LOCK_MS = 500
"""For a row that another transaction is deleting. Less than the usual deadlock_timeout, so that a
removal of vehicles is not what ends a deadlock."""
_DELETE = """
DELETE FROM {table} WHERE ({key}) IN (
    SELECT {key} FROM {table} WHERE {expired} LIMIT %(batch)s)
"""
_NAMES = {kind: kind.rows_name for kind in Kind} | {
    kind: f"months of {kind.rows_name}" for kind in MONTHLY
}
_ORDER = (Kind.JOURNAL, Kind.QUARANTINE, Kind.ALARMS, *MONTHLY)


class _RowsLocked(DatabaseError):
    """Another transaction is deleting some of the rows, such as a removal of vehicles."""


class Retention:
    """Removes expired rows.

    `tell` and `warn` take what an operator is to read. `at_once` removes without a wait, announces
    nothing, and waits for another daemon that is at it; else the removal is left to that one.
    """

    def __init__(
        self,
        database: Database,
        policy: RetentionPolicy,
        *,
        batch: int = BATCH,
        on_drop: Callable[[], None] = lambda: None,
        tell: Callable[[str], object] = log.info,
        warn: Callable[[str], object] = log.warning,
        at_once: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._policy = policy
        self._batch = batch
        self._on_drop = on_drop
        self._tell = tell
        self._warn = warn
        self._at_once = at_once
        self._lock = _WAIT if at_once else _TRY
        self._clock = clock
        self._told: dict[Kind, object] = {}
        """What each kind waits for, as it was told last."""
        self.failed = False
        """Whether something could not be removed."""

    def steps(self, today: Callable[[], datetime]) -> Generator[None, None, None]:
        """Remove everything that may go, one transaction a step; may be stopped after each.

        `today` returns the present time. What is unusual is announced before anything is removed.
        Removals are told. Raises DatabaseUnavailable; any other database error is told, and the
        rest waits for the next round.
        """
        kinds = [kind for kind in _ORDER if kind in self._policy.kinds]
        plans = [plan for kind in kinds if (plan := self._announce(kind, today())) is not None]
        for plan in plans:
            if plan.extent or plan.kind is Kind.MEASUREMENTS:
                yield from self._remove(plan, today)

    def _announce(self, kind: Kind, today: datetime) -> Plan | None:
        """Tell what of a kind is going to be removed; return it if it may be removed now."""
        keep = self._policy.keep(kind)
        try:
            if keep is None:
                if not self._at_once:
                    self._database.run(lambda cursor: retention_plan.keep_for_ever(cursor, kind))
                return None
            plan, may_go, announced = self._database.run(partial(self._decide, kind, keep, today))
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            self._fail(kind, error)
            return None
        self._tell_of(plan, announced, may_go=may_go)
        return plan if may_go else None

    def _tell_of(self, plan: Plan, announced: Announcement | None, *, may_go: bool) -> None:
        """Tell what is going to be removed; that it waits is told once."""
        if announced is None:
            if plan.extent and (plan.extent.is_estimate or self._at_once):
                self._tell(f"retention: {plan.setting} deletes {plan.extent}")
        elif may_go:
            self._warn(f"retention: {plan.setting} deletes {plan.extent}")
        elif announced.longer is not None:
            self._tell_once(
                plan.kind,
                announced.longer,
                f"retention: {plan.setting} deletes nothing while a daemon with"
                f" {plan.kind.setting}={announced.longer} keeps more ({plan.extent}): set it alike"
                " for every daemon",
            )
        else:
            self._tell_once(
                plan.kind,
                announced.due_at,
                f"retention: {plan.setting} will delete {plan.extent}, after"
                f" {utc_text(announced.due_at)}: raise {plan.kind.setting} to keep them,"
                " `fleetsyncd retention --apply` deletes them at once",
            )

    def _tell_once(self, kind: Kind, cause: object, text: str) -> None:
        """Warn of a wait unless it was the last one told of its kind."""
        if self._told.get(kind) != cause:
            self._told[kind] = cause
            self._warn(text)

    def _fail(self, kind: Kind, error: DatabaseError) -> None:
        self.failed = True
        self._warn(f"retention: {_NAMES[kind]} could not be removed: {error}")

    def _remove(self, plan: Plan, today: Callable[[], datetime]) -> Iterator[None]:
        kind, total, told_at = plan.kind, 0, self._clock()
        if kind in MONTHLY:
            work = self._months(kind, plan.keep, today)
        else:
            age = timedelta(days=plan.keep)
            work = chain.from_iterable(self._expired(rows, age) for rows in ROW_SETS[kind])
        try:
            for removed in work:
                total += removed
                if self._clock() - told_at >= PROGRESS_SEC:
                    told_at = self._clock()
                    self._tell(f"retention: removed {total:,} of {_expected(plan, total)} so far")
                yield
            if total:
                self._database.run(partial(self._settle, kind, plan.keep, today()))
        except DatabaseUnavailable:
            raise
        except _RowsLocked:
            self.failed = True
            rest = "the rest goes in a later round"
            self._tell(f"retention: another program is deleting {_NAMES[kind]}: {rest}")
        except DatabaseError as error:
            self._fail(kind, error)
        finally:
            if total:
                self._tell(f"retention: removed expired {_NAMES[kind]}: {total}")

    def _expired(self, rows: RowSet, age: timedelta) -> Iterator[int]:
        """Delete rows older than `age`, batch by batch; yield the size of each batch."""
        while (deleted := self._database.run(partial(self._delete, rows, age))) > 0:
            yield deleted
            if deleted < self._batch:
                return

    def _delete(self, rows: RowSet, age: timedelta, cursor: Cursor) -> int:
        if not self._take_lock(cursor):
            return 0
        statement = _DELETE.format(table=rows.table, key=rows.key, expired=rows.expired())
        cursor.execute(f"SELECT set_config('lock_timeout', '{_LOCK_MS}ms', true)")
        try:
            cursor.execute(statement, {"age": age, "batch": self._batch})
        except psycopg2.errors.LockNotAvailable as error:
            raise _RowsLocked(f"rows of {rows.table} are locked") from error
        return cursor.rowcount

    def _months(self, kind: Kind, keep: int, today: Callable[[], datetime]) -> Iterator[int]:
        """Drop expired months, the oldest first; yield 1 for each."""
        if kind is Kind.MEASUREMENTS and not self._database.run(retention_plan.is_monthly):
            self._warn("retention: measurements has no monthly partitions, nothing is dropped")
            return
        minutes_keep = None if self._at_once else self._policy.minutes_keep_months
        months = ExpiredMonths(
            self._database, kind, keep, minutes_keep, self._take_lock, at_once=self._at_once
        )
        while name := self._drop_next(months, today()):
            self._tell(f"retention: dropped partition {name}")
            self._on_drop()
            yield 1

    def _drop_next(self, months: ExpiredMonths, today: datetime) -> str | None:
        try:
            return months.drop_oldest(today)
        except MonthNeeded as error:
            self._tell(f"retention: {error}: it is dropped in a later round")
            return None

    def _decide(
        self, kind: Kind, keep: int, today: datetime, cursor: Cursor
    ) -> tuple[Plan, bool, Announcement | None]:
        """Plan and announce; return the plan, whether it may go, and what is announced."""
        plan = retention_plan.make_plan(cursor, kind, keep, today)
        if self._at_once:
            return plan, True, None
        may_go = retention_plan.may_delete(cursor, plan)
        return plan, may_go, announcement_of(cursor, kind, keep)

    def _settle(self, kind: Kind, keep: int, today: datetime, cursor: Cursor) -> None:
        """Take the announcement of what is removed away."""
        plan, _may_go, _announced = self._decide(kind, keep, today, cursor)
        if self._at_once and not plan.extent:
            retention_plan.clear_announcements(cursor, plan)

    def _take_lock(self, cursor: Cursor) -> bool:
        """Take the advisory lock for this transaction; False while another daemon has it."""
        cursor.execute(self._lock, (LOCK,))
        return bool(cursor.fetchall()[0][0])


def _expected(plan: Plan, total: int) -> str:
    """Return how much is to be removed: rows that expire meanwhile are removed as well."""
    if plan.kind in MONTHLY:
        return f"{max(plan.extent.months, total)} {_NAMES[plan.kind]}"
    return replace(plan.extent, rows=max(plan.extent.rows, total)).amount
