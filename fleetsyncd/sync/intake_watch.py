"""Warn of vehicles that store far more than the others, each once a day."""

import logging
from collections.abc import Callable
from datetime import date, datetime

from fleetsyncd.database import intake
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable

log = logging.getLogger("sync")


class IntakeWatch:
    """Looks at what the vehicles have stored today."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._named: set[tuple[date, str]] = set()

    def check(self) -> None:
        """Name the vehicles that are new among the heavy ones; raise DatabaseUnavailable."""
        try:
            heavy = self._database.run(intake.heavy_vehicles)
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            log.warning("what the vehicles store cannot be compared: %s", error)
            return
        today = self._now().date()
        self._named = {(day, name) for day, name in self._named if day == today}
        for vehicle in heavy:
            if (today, vehicle.name) not in self._named:
                self._named.add((today, vehicle.name))
                log.warning("%s", vehicle)
