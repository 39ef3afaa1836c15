"""What is to be pulled now or not at all: operators' requests, pauses, unfinished gaps."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.database import loading, mutes, pausing, store, sync_requests
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.models import Vehicle
from fleetsyncd.text import sanitise

log = logging.getLogger("sync")


@dataclass(frozen=True, slots=True)
class Requests:
    """The paused vehicles, and those that are to be pulled now."""

    paused: set[UUID]
    wanted: list[Vehicle]


class RequestReader:
    """Reads what operators ask for; adds the vehicles whose last cycle left a rest."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._requested: set[UUID] = set()
        """Taken from the database, and not yet returned."""
        self._unfinished: set[UUID] = set()

    def add_unfinished(self, vehicle_id: UUID) -> None:
        """Let a vehicle go on at once, whose gap took longer than one cycle may."""
        self._unfinished.add(vehicle_id)

    def read(self, running: Collection[UUID], shards: Collection[int] | None) -> Requests:
        """Return what is to be done now; raise DatabaseError."""
        unfinished = set(self._unfinished)
        ended: dict[UUID, str] = {}

        def work(cursor: Cursor) -> Requests:
            # Kept beyond this transaction: if the answer to its commit is lost, no request remains
            # in the database.
            self._requested |= sync_requests.take_sync_requests(cursor, running, shards)
            ended.update(pausing.end_pauses(cursor, shards))
            mutes.end_mutes(cursor)
            paused = store.paused_vehicles(cursor)
            ids = self._requested | (unfinished - paused)
            return Requests(paused, loading.load_vehicles(cursor, ids, shards) if ids else [])

        requests = self._database.run(work)
        if ended:
            log.info("the pause is over: %s", ", ".join(map(sanitise, ended.values())))
        if named := [v.name for v in requests.wanted if v.id in self._requested]:
            log.info("sync requested: %s", ", ".join(named))
        self._requested.clear()
        self._unfinished -= unfinished
        return requests
