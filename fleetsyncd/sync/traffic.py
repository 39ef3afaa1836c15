"""Counts what the vehicles' links carry, and adds it to the database once a minute."""

import logging
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from uuid import UUID

from fleetsyncd.database.pool import Database
from fleetsyncd.database.traffic import Batch, add_batch
from fleetsyncd.errors import DatabaseError
from fleetsyncd.sync.rounds import Rounds
from fleetsyncd.text import counted, size
from fleetsyncd.traffic import Traffic

log = logging.getLogger("sync")

EVERY_SEC = 60.0
"""How much of it is lost at most if the daemon is killed."""


class TrafficCounts:
    """What was carried since it was taken last; `now` is the daemon's clock, in UTC."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._carried: dict[tuple[UUID, date], Traffic] = {}

    def note(self, vehicle_id: UUID, carried: Traffic) -> None:
        """Take in what a call to a vehicle has carried, when it ends."""
        if not carried.requests:
            return
        key = vehicle_id, self._now().date()
        if (known := self._carried.get(key)) is None:
            self._carried[key] = carried
        else:
            known.add(carried)

    def take(self) -> dict[tuple[UUID, date], Traffic]:
        """Return all that was carried, and forget it."""
        carried, self._carried = self._carried, {}
        return carried


class TrafficKeeper:
    """Adds the counts to the database, beside the main loop.

    A batch whose end is not known is sent again under its number until it is stored, so it counts
    once; what comes meanwhile goes into the next one.
    """

    def __init__(
        self,
        database: Database,
        counts: TrafficCounts,
        replica_id: UUID,
        spawn: Callable[[Callable[[], None]], object],
        on_database_error: Callable[[DatabaseError], None],
    ) -> None:
        self._database = database
        self._counts = counts
        self._replica_id = replica_id
        self._number = 0
        self._unsent: Batch | None = None
        self._refused: DatabaseError | None = None
        self._rounds = Rounds(
            self.store,
            EVERY_SEC,
            spawn,
            on_database_error,
            name="the count of traffic",
            log=log,
        )

    def run_if_due(self, monotonic: float) -> None:
        """Start to store what was counted, once a minute."""
        if self._rounds.is_due(monotonic):
            self._rounds.start(monotonic)

    def store(self) -> None:
        """Store what was counted; raise DatabaseError."""
        while (batch := self._unsent or self._next()) is not None:
            self._unsent = batch
            add = partial(add_batch, replica_id=self._replica_id, batch=batch)
            if not self._database.run(add):
                return  # no heartbeat yet: the next round sends it again
            self._unsent = None

    def end(self, seconds: float) -> None:
        """Store the rest, when no call runs any more; a round that runs gets so many seconds.

        It may be killed: `tell_loss` tells what is left.
        """
        if not self._rounds.wait(seconds):
            return  # beside it, nobody could tell what is stored
        try:
            self.store()
        except DatabaseError as error:
            self._refused = error

    def tell_loss(self, lost: DatabaseError | None) -> None:
        """Say in the log how much the daemon could not store; `lost`: there is no database."""
        left = [batch for batch in (self._unsent, self._next()) if batch is not None]
        if not left:
            return
        carried = sum(
            each.received + each.sent for batch in left for each in batch.carried.values()
        )
        names = {key for batch in left for key, _day in batch.carried}
        log.warning(
            "%s that the links of %s have carried may be missing in `fleetsyncd traffic`: %s",
            size(carried),
            counted(len(names), "vehicle"),
            lost or self._refused or "the database did not store it in time",
        )

    def _next(self) -> Batch | None:
        carried = self._counts.take()
        if not carried:
            return None
        self._number += 1
        return Batch(self._number, carried)
