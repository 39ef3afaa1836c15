"""Months of measurements and of minutes that are dropped, one at a time, the oldest first."""

from collections.abc import Callable
from datetime import date, datetime
from functools import partial

import psycopg2

from fleetsyncd.database import blocking, minutes, minutes_before_drop
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention_kinds import Kind
from fleetsyncd.database.tidying import being_tidied
from fleetsyncd.errors import DatabaseError

_EXPIRED = {
    Kind.MEASUREMENTS: "SELECT partition FROM fleetsync.expired_months(%s, %s)",
    Kind.MINUTES: "SELECT partition FROM fleetsync.expired_minutes(%s, %s)",
}
_DROP = {
    Kind.MEASUREMENTS: "SELECT fleetsync.drop_expired_month(%s, %s, %s)",
    Kind.MINUTES: "SELECT fleetsync.drop_expired_minutes(%s, %s, %s)",
}
_TABLES = {Kind.MEASUREMENTS: "public.measurements", Kind.MINUTES: "public.measurements_minute"}
_END_IT = "let that transaction end, or end it: SELECT pg_terminate_backend(pid)"


class MonthNeeded(DatabaseError):
    """A month that is to be dropped is being tidied, or minutes are to be computed from it."""


class ExpiredMonths:
    """The months of a kind that are older than the last `keep`.

    `minutes_keep` is for how many months minutes are kept, which are computed from a month before
    it goes; None: no month waits for them. `take_lock` tells whether this transaction may remove.
    `at_once` drops also what was not announced.
    """

    def __init__(
        self,
        database: Database,
        kind: Kind,
        keep: int,
        minutes_keep: int | None,
        take_lock: Callable[[Cursor], bool],
        *,
        at_once: bool,
    ) -> None:
        self._database = database
        self._kind = kind
        self._keep = keep
        self._minutes_keep = minutes_keep if kind is Kind.MEASUREMENTS else None
        self._take_lock = take_lock
        self._at_once = at_once

    def drop_oldest(self, today: datetime) -> str | None:
        """Drop a month, and return its name; None if none is left, or another daemon is at it.

        Raises MonthNeeded, and DatabaseError that names whose transaction was in the way all the
        time.
        """
        limit = None
        if self._minutes_keep is not None:
            limit = minutes.oldest_kept(today, self._minutes_keep)
            hand_over = partial(minutes_before_drop.hand_over, keep_months=self._keep, limit=limit)
            self._database.run(partial(hand_over, today=today.date()))
        # Who holds a lock cannot be asked for while the statement waits: that has the connection.
        held = partial(blocking.holders, table=_TABLES[self._kind])
        before = self._database.run(held)
        try:
            return self._database.run(partial(self._drop, today.date(), limit))
        except DatabaseError as error:
            if not isinstance(error.__cause__, psycopg2.errors.LockNotAvailable):
                raise
            if holder := blocking.stayed(before, self._database.run(held)):
                raise DatabaseError(f"{holder} reads or writes them", _END_IT) from error
            raise

    def _drop(self, today: date, limit: datetime | None, cursor: Cursor) -> str | None:
        if not self._take_lock(cursor):
            return None
        # Its lock would be waited for in vain, and all who write to its table behind that.
        cursor.execute(_EXPIRED[self._kind], (self._keep, today))
        if tidied := {name for (name,) in cursor.fetchall()} & being_tidied(cursor):
            raise MonthNeeded(f"{min(tidied)} is being tidied")
        if limit is not None:
            self._require_minutes(today, limit, cursor)
        cursor.execute(_DROP[self._kind], (self._keep, today, self._at_once))
        name = cursor.fetchall()[0][0]
        return None if name is None else str(name)

    def _require_minutes(self, today: date, limit: datetime, cursor: Cursor) -> None:
        """Raise MonthNeeded if minutes are still to be computed from the month to be dropped."""
        if found := minutes_before_drop.awaited(cursor, self._keep, today, limit):
            name, vehicles = found
            raise MonthNeeded(
                f"minutes of {vehicles} vehicle(s) are still to be computed from {name}"
                " (`fleetsyncd retention --apply` drops it without them)"
            )
