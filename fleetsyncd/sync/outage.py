"""Whether PostgreSQL is lost, or only busy; the beginning and the end of an outage are told."""

import logging

from fleetsyncd.errors import DatabaseBusy, DatabaseError
from fleetsyncd.monitoring import events

log = logging.getLogger("sync")


class Outage:
    """What errors of the database tell of it."""

    def __init__(self, emit: events.Listener) -> None:
        self._emit = emit
        self.lost: DatabaseError | None = None
        """Why no cycle can be started; None while the database is available."""
        self.busy: DatabaseBusy | None = None
        """Why a transaction had no connection, since the last cycle of the fleet began."""

    def note(self, error: DatabaseError) -> bool:
        """Take in an error; return whether the database is lost by it, and not only busy."""
        if isinstance(error, DatabaseBusy):
            # The database serves others of this daemon's greenlets, and fewer of them soon.
            if self.busy is None:
                log.warning("%s: not every cycle is in the journal", error)
            self.busy = error
            return False
        if self.lost is None:
            log.error("database: %s — pulling stops, the vehicles keep their data", error)
            self._emit(events.DatabaseDown())
        self.lost = error
        return True

    def end(self) -> None:
        """Take in that a cycle of the fleet can begin."""
        if self.lost is not None:
            log.warning("database is back")
            self.lost = None
            self._emit(events.DatabaseUp())
        self.busy = None
