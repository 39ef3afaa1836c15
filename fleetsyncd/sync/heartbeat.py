"""This daemon's heartbeat in the database: operators and `health` see by it that it is alive."""

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Database
from fleetsyncd.database.replicas import HEARTBEAT_SEC, Replica
from fleetsyncd.database.schema.migrate import expected_migrations
from fleetsyncd.errors import DatabaseError
from fleetsyncd.reports import Unstored

log = logging.getLogger("sync")


class HeartbeatSender:
    """Writes the heartbeat of one daemon, and deletes it at the end."""

    def __init__(
        self, database: Database, sync_interval_sec: float, daemon_name: str | None = None
    ) -> None:
        self._database = database
        self._replica = Replica(
            sync_interval_sec, migration=expected_migrations()[-1], given_name=daemon_name
        )
        self._sent_at = float("-inf")

    @property
    def replica_id(self) -> UUID:
        """The id under which this daemon is listed."""
        return self._replica.id

    @property
    def is_due(self) -> bool:
        """Whether the last heartbeat is HEARTBEAT_SEC old."""
        return time.monotonic() - self._sent_at >= HEARTBEAT_SEC

    def send(
        self, cycle_sec: float | None, vehicles: int, shards: Sequence[int], unstored: Unstored
    ) -> None:
        """Write a heartbeat with the last cycle's seconds and the shards; raise DatabaseError."""
        self._sent_at = time.monotonic()
        self._database.run(
            lambda cursor: replicas.write_heartbeat(
                cursor, self._replica, cycle_sec, vehicles, shards, unstored
            )
        )

    def remove(self) -> None:
        """Delete the heartbeat: the daemon ends in good order. A failure is only logged."""
        try:
            self._database.run(lambda cursor: replicas.remove_replica(cursor, self._replica))
        except DatabaseError as error:
            log.warning("could not remove this daemon's heartbeat: %s", error)
