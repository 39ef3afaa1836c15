"""Measurements are put behind a view in the middle of a storm, tried until it is done."""

from threading import Event, Thread

import psycopg2

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.hidden import conversion, layout, obstacles
from fleetsyncd.demo.embedded import OWNER, Server
from fleetsyncd.errors import DatabaseError, MigrationFailed
from fleetsyncd.settings import DatabaseSettings
from tests import hidden
from tests.chaos import audit

PAUSE_SEC = 0.5


class Conversion:
    """The operator's command, given again as often as a fault of the database ends it."""

    def __init__(self, server: Server, database: str, after_sec: float) -> None:
        self._settings = DatabaseSettings(server.parameters(database, OWNER))
        self._after_sec = after_sec
        self._storm_ended = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.tries = 0
        self._faults: list[Exception] = []

    def begin(self) -> None:
        """Begin, in a thread of its own, after a part of the storm."""
        self._thread.start()

    def finish(self) -> None:
        """Wait until it is done; once more, if the database was replaced by an older copy."""
        self._storm_ended.set()
        self._thread.join()
        if self._faults:
            raise self._faults[0]
        self._convert()

    def _run(self) -> None:
        self._storm_ended.wait(self._after_sec)
        try:
            while not self._try():
                self._storm_ended.wait(PAUSE_SEC)
        except Exception as error:
            self._faults.append(error)

    def _try(self) -> bool:
        self.tries += 1
        try:
            self._convert()
        except (MigrationFailed, DatabaseError, psycopg2.Error):
            # Refused while nothing strikes, it is a fault of the conversion.
            if self._storm_ended.is_set():
                raise
            return False
        return True

    def _convert(self) -> None:
        conversion.convert(self._settings, _obstacles, _noted_hypertable, hidden.QUICK)


def _obstacles(cursor: Cursor) -> list[Misfit]:
    """Return what is in the way, but for the storm's own trigger."""
    return [each for each in obstacles.misfits(cursor, None) if audit.TRIGGER not in str(each)]


def _noted_hypertable(cursor: Cursor) -> str:
    """Return what makes the hidden table a hypertable, in which rows that are added are noted."""
    return hidden.short_chunks(cursor) + audit.note_added(layout.TABLE)
