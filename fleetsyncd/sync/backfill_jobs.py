"""Which backfills are to be started now."""

import logging
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from fleetsyncd.database import (
    backfills,
    loading,
)
from fleetsyncd.database.pool import Cursor
from fleetsyncd.jobs import Backfill
from fleetsyncd.models import Vehicle

log = logging.getLogger("sync")


class BackfillJobs:
    """Chooses backfills of operators, and remembers which of them were tried."""

    def __init__(self) -> None:
        self._versions: dict[UUID, datetime] = {}
        """Of each vehicle's backfill, the version that was tried last."""

    def retain(self, fleet: Collection[UUID]) -> None:
        """Forget the vehicles that are not in `fleet`."""
        self._versions = {key: at for key, at in self._versions.items() if key in fleet}

    def due(
        self,
        limit: int,
        shards: Collection[int] | None,
        excluded: Collection[UUID],
        silent: Collection[UUID],
        cursor: Cursor,
    ) -> list[tuple[Vehicle, Backfill]]:
        """Return the open backfills that may begin: those of `silent` vehicles only once."""
        tried = {key: self._versions[key] for key in silent if key in self._versions}
        due = backfills.open_backfills(cursor, excluded, limit, shards, tried)
        vehicles = loading.load_vehicles(cursor, due.keys()) if due else []
        return [(vehicle, due[vehicle.id]) for vehicle in vehicles]

    def note(self, vehicle: Vehicle, backfill: Backfill) -> None:
        """Take in that a backfill is tried; say so if it is a new one."""
        is_new = self._versions.get(vehicle.id) != backfill.asked_at
        self._versions[vehicle.id] = backfill.asked_at
        level = logging.INFO if is_new else logging.DEBUG
        log.log(level, "[%s] backfill of %s begins", vehicle.name, backfill.rest)
