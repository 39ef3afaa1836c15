"""Partitions of `measurements`: months made ahead of time, and in the past when a gap needs them.

The daemon's role need not own the table: a SECURITY DEFINER function of the owner makes them. What
others have made there is left alone; whether a row has a place is decided by the INSERT.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable
from fleetsyncd.models import Window
from fleetsyncd.times import month_of, next_month

log = logging.getLogger("sync.partitions")

MONTHS_AHEAD = 2
FARTHEST_ZONE = timedelta(hours=14)
"""An adopted installation may have split its months at a local midnight that far from UTC's."""
_HOLES = """
SELECT greatest(hole_from, %(first)s), least(hole_to, %(last)s + interval '1 microsecond')
FROM (SELECT max(ends) OVER (ORDER BY begins, ends) AS hole_from,
             lead(begins) OVER (ORDER BY begins, ends) AS hole_to
      FROM (SELECT begins, ends FROM fleetsync.partition_ranges()
            UNION ALL SELECT '-infinity', '-infinity'
            UNION ALL SELECT 'infinity', 'infinity') ranges) holes
WHERE hole_from < hole_to AND hole_from <= %(last)s AND hole_to > %(first)s
ORDER BY 1
"""


class Verdict(StrEnum):
    """What is with a month, as the function `fleetsync.make_month` says."""

    MADE = "made"
    COVERED = "covered"
    FOREIGN = "foreign"
    """Somebody else's partitions are near; whoever makes those is to make it, too."""
    TAKEN = "taken"
    """A table has its name and is no partition: somebody has detached it."""
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Hole:
    """Time that no partition holds, and that the program leaves to others; `remedy` names them."""

    window: Window
    remedy: str


class Partitions:
    """Makes the months that are needed, and caches what is known of each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[datetime, Verdict] = {}
        self._detached: dict[datetime, str] = {}
        """The statements that attach months again."""
        self._failures: dict[datetime, DatabaseError] = {}
        """Why months could not be made when they were needed last."""

    def ensure_ahead(self, now: datetime) -> None:
        """Make the present month and MONTHS_AHEAD more; what was known to exist is read anew.

        Raises DatabaseError.
        """
        self.forget()
        last = month_of(now)
        for _ in range(MONTHS_AHEAD):
            last = next_month(last)
        self._ensure(month_of(now), last)

    def ensure(self, first: datetime, last: datetime) -> None:
        """Make every month from that of `first` to that of `last`, and their neighbours.

        A row near a month's end belongs to the neighbour if months were split at local midnight.
        Raises DatabaseUnavailable; `why_missing` tells why a month could not be made.
        """
        for begin, end in (
            (first, last),
            (first - FARTHEST_ZONE, first - FARTHEST_ZONE),
            (last + FARTHEST_ZONE, last + FARTHEST_ZONE),
        ):
            try:
                self._ensure(month_of(begin), end)
            except DatabaseUnavailable:
                raise
            except DatabaseError as error:
                self._failures[month_of(begin)] = error

    def _ensure(self, month: datetime, last: datetime) -> None:
        """Make the months from `month` to that of `last`, each in its own transaction."""
        while month <= last:
            if month not in self._known:
                verdict = self._database.run(partial(make_month, month))
                if verdict is Verdict.MADE:
                    log.info("made partition measurements_%s", month.strftime("%Y_%m"))
                if verdict is Verdict.TAKEN:
                    attach = self._database.run(partial(attach_statement, month))
                    self._detached[month] = attach
                self._known[month] = verdict
                self._failures.pop(month, None)
            month = next_month(month)

    def forget(self) -> None:
        """Clear the cache: a month may have been dropped, or the database restored."""
        self._known.clear()
        self._failures.clear()

    def why_missing(self, first: datetime, last: datetime) -> str | None:
        """Say who is to make the months of rows that have no place, or why it failed."""
        for moment in (first, last):
            if failure := self._failures.get(month_of(moment)):
                return f"the month cannot be made: {failure}"
        return self._remedy(Window(first, last)) or None

    def holes(self, first: datetime, last: datetime, now: datetime) -> list[Hole]:
        """Return the time from `first` to `last` that others keep without a partition.

        Empty if the present has none either, or if a month is missing that could be made: then
        nothing may be left out. Raises DatabaseError.
        """
        if self._database.run(partial(_uncovered, now, now)):
            return []
        windows = self._database.run(partial(_uncovered, first, last))
        holes = [Hole(window, self._remedy(window)) for window in windows]
        return holes if all(hole.remedy for hole in holes) else []

    def _remedy(self, window: Window) -> str:
        """Say who is to make the window's months; nothing if one of them is the program's own."""
        months = [month_of(window.start)]
        while (following := next_month(months[-1])) < window.end:
            months.append(following)
        remedies = [self._remedy_of(month) for month in months]
        return "; ".join(remedies) if all(remedies) else ""

    def _remedy_of(self, month: datetime) -> str:
        match self._known.get(month):
            case Verdict.FOREIGN:
                return f"others make these partitions: let them make that of {month:%Y-%m}"
            case Verdict.TAKEN:
                return f"measurements_{month:%Y_%m} is detached: {self._detached[month]}"
            case _:
                return ""


def attach_statement(month: datetime, cursor: Cursor) -> str:
    """Return the statement with which the owner makes a month's table a partition again."""
    cursor.execute("SELECT first_moment, end_moment FROM fleetsync.month_plan(%s)", (month.date(),))
    start, end = (f"'{moment:%Y-%m-%d %H:%M}+00'" for moment in cursor.fetchall()[0])
    return (
        f"ALTER TABLE public.measurements ATTACH PARTITION public.measurements_{month:%Y_%m}"
        f" FOR VALUES FROM ({start}) TO ({end})"
    )


def make_month(month: datetime, cursor: Cursor) -> Verdict:
    """Make a month's partition if it is missing and nobody else's to make; return what is so."""
    cursor.execute("SELECT fleetsync.make_month(%s)", (month.date(),))
    return Verdict(cursor.fetchall()[0][0])


def plan_month(month: datetime, cursor: Cursor) -> Verdict:
    """Return what `make_month` would find; nothing is made."""
    cursor.execute("SELECT (fleetsync.month_plan(%s)).verdict", (month.date(),))
    return Verdict(cursor.fetchall()[0][0])


def _uncovered(first: datetime, last: datetime, cursor: Cursor) -> list[Window]:
    """Return the windows from `first` up to and including `last` that no partition holds."""
    cursor.execute(_HOLES, {"first": first, "last": last})
    return [Window(start, end) for start, end in cursor.fetchall()]
