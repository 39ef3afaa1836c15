"""Monthly partitions of `measurements`: made ahead of time, and in the past when a gap needs them.

The daemon's role need not own the table: a SECURITY DEFINER function of the owner makes them.
"""

import logging
from datetime import datetime, timedelta
from functools import partial

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable
from fleetsyncd.times import month_of, next_month

log = logging.getLogger("sync.partitions")

MONTHS_AHEAD = 2
FARTHEST_ZONE = timedelta(hours=14)
"""An adopted installation may have split its months at a local midnight that far from UTC's."""


class Partitions:
    """Makes the months that are needed, and caches which exist."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[datetime] = set()

    def ensure_ahead(self, now: datetime) -> None:
        """Make the present month and MONTHS_AHEAD more; what was known to exist is read anew."""
        self.forget()
        last = month_of(now)
        for _ in range(MONTHS_AHEAD):
            last = next_month(last)
        self._ensure(month_of(now), last)

    def ensure(self, first: datetime, last: datetime) -> None:
        """Make every month from that of `first` to that of `last`; try to make their neighbours.

        A row near a month's end belongs to the neighbour if months were split at local midnight.
        """
        self._ensure(month_of(first), last)
        for near in (first - FARTHEST_ZONE, last + FARTHEST_ZONE):
            try:
                self._ensure(month_of(near), near)
            except DatabaseUnavailable:
                raise
            except DatabaseError as error:
                log.debug("a neighbouring month could not be made: %s", error)

    def _ensure(self, month: datetime, last: datetime) -> None:
        """Make the months from `month` to that of `last`, each in its own transaction."""
        while month <= last:
            if month not in self._known:
                if self._database.run(partial(_make, month)):
                    log.info("made partition measurements_%s", month.strftime("%Y_%m"))
                self._known.add(month)
            month = next_month(month)

    def forget(self) -> None:
        """Clear the cache: a month may have been dropped, or the database restored."""
        self._known.clear()


def _make(month: datetime, cursor: Cursor) -> bool:
    cursor.execute("SELECT fleetsync.ensure_month(%s)", (month.date(),))
    row = cursor.fetchone()
    return row is not None and bool(row[0])
