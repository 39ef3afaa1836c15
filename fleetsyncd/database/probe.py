"""What a transaction that took too long on a cluster waited for: the coordinator, or a worker."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database import cluster
from fleetsyncd.errors import DatabaseError

PROBE_SEC = 5.0
"""In which a coordinator that is not lost answers."""
_LOOK_AT_NODE = "look at the workers: whether they answer, their load and their locks"


class Probe:
    """Asks the coordinator once, and briefly.

    Each `begin()` is a transaction of PROBE_SEC on a new connection: idle ones may be as mute as
    the one that was waited for, and all others busy.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[extensions.cursor]]) -> None:
        self._begin = begin
        self._probing = threading.Lock()

    def located(self, error: DatabaseError, vehicle_id: UUID | None) -> DatabaseError:
        """Return what a transaction that took too long came to, with the node that it waited for.

        Where the coordinator answers others, it waited for a worker: as far as it is known, for
        that with the vehicle's rows. Then the database is not lost.
        """
        # When a worker is lost, many ask at once: of them all, the server bears one connection.
        if not self._probing.acquire(timeout=PROBE_SEC):
            return error
        try:
            with self._begin() as cursor:
                node = cluster.keeper(cursor, vehicle_id)
        except (DatabaseError, psycopg2.Error):
            return error
        finally:
            self._probing.release()
        where = f"the vehicle's rows are on {node}" if node else "the coordinator answers others"
        return DatabaseError(f"{error.reason}; {where}", _LOOK_AT_NODE)
