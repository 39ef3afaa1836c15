"""Tells that PostgreSQL's disk is full: from memory, as no notice can be written then."""

import time
from collections.abc import Callable

from fleetsyncd.database import notices
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseFull
from fleetsyncd.notices import NoticeKind
from fleetsyncd.sync.loss_notices import Loss, LossNotices

FULL_DISK = Loss(
    NoticeKind.STORAGE,
    "PostgreSQL's disk is full since {}: nothing more can be stored",
    "PostgreSQL's disk has room again, after {}",
    "Make room on it: pulling then goes on by itself. Vehicles keep their data.",
)
ROOM_SEC = 60.0
"""For so long nothing was refused, before it is tried whether there is room again."""


class FullDisk:
    """Knows whether notices can be written; `told` tells who is to know if they cannot."""

    def __init__(
        self, database: Database, told: LossNotices, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._told = told
        self._clock = clock
        self._refused_at = 0.0

    def run(self, work: Callable[[], None]) -> None:
        """Do something that writes notices, or what becomes of them; raise what it raises."""
        try:
            work()
            if self._told.lasts and self._clock() >= self._refused_at + ROOM_SEC:
                # What was written just now may have fitted into a page that was there.
                self._database.run(notices.try_room)
                self._told.end()
        except DatabaseFull:
            self._refused_at = self._clock()
            self._told.begin()
            raise

    @property
    def is_full(self) -> bool:
        """Whether what is sent could not be recorded: it would be sent again and again."""
        return self._told.lasts
