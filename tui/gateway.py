"""The dashboard's view of the database: frozen snapshots, no Textual."""

from dataclasses import dataclass

from fleetsyncd.database import replicas
from fleetsyncd.database.overview import overview
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.states import VehicleOverview


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet at one moment; `heartbeat` is the age in seconds of the newest daemon's."""

    vehicles: tuple[VehicleOverview, ...]
    heartbeat: float | None

    @property
    def daemon_alive(self) -> bool:
        """Whether some daemon's heartbeat is fresh."""
        return self.heartbeat is not None and self.heartbeat < replicas.FRESH_SEC


class Gateway:
    """Reads snapshots; usable from any thread."""

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval

    def snapshot(self) -> Snapshot:
        """Return the fleet as it is now; raise DatabaseError."""

        def read(cursor: Cursor) -> Snapshot:
            vehicles = overview(cursor, self._interval)
            return Snapshot(tuple(vehicles), replicas.newest_beat(cursor, None))

        return self._database.run(read)
