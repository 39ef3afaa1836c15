"""Heartbeats of the daemons (replicas): which of them are alive, by the database's clock."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from fleetsyncd import __version__
from fleetsyncd.database.pool import Cursor
from fleetsyncd.reports import Unstored
from fleetsyncd.text import CLOCKS_AGREE_SEC, age, is_ahead, sanitise

HEARTBEAT_SEC = 5.0
FRESH_SEC = 30.0
"""A daemon with an older heartbeat hangs or has ended."""
LISTED_FOR = "1 day"
REASON_LIMIT = 300
NOTHING_UNSTORED = Unstored()
_HEARTBEAT = """
INSERT INTO fleetsync.replica AS r
    (id, host, pid, version, interval_sec, cycle_sec, vehicles, shards, unstored, unstored_reason,
    migration, name)
VALUES (%(id)s::uuid, %(host)s, %(pid)s, %(version)s, %(interval)s, %(cycle)s, %(vehicles)s,
    %(shards)s::int[], %(unstored)s, %(reason)s, %(migration)s,
    %(name)s)
ON CONFLICT (id) DO UPDATE SET beat_at = now(), cycle_sec = excluded.cycle_sec,
    vehicles = excluded.vehicles, shards = excluded.shards, unstored = excluded.unstored,
    unstored_reason = excluded.unstored_reason
"""


def this_host() -> str:
    """Return the host name that heartbeats of this host carry."""
    return socket.gethostname()


def name_of(given: str | None, host: str, pid: int) -> str:
    """Return a daemon's name for operators: the given one, or else host and process."""
    return given or f"{host}:{pid}"


@dataclass(frozen=True, slots=True)
class Replica:
    """One running daemon."""

    sync_interval_sec: float
    id: UUID = field(default_factory=uuid4)
    host: str = field(default_factory=this_host)
    pid: int = field(default_factory=os.getpid)
    migration: str | None = None
    """The newest one that it knows."""
    given_name: str | None = None
    """DAEMON_NAME."""


def write_heartbeat(
    cursor: Cursor,
    replica: Replica,
    cycle_sec: float | None,
    vehicles: int,
    shards: Sequence[int] = (),
    unstored: Unstored = NOTHING_UNSTORED,
) -> None:
    """Write the heartbeat of `replica`; delete replicas that have been silent for a day."""
    cursor.execute(
        _HEARTBEAT,
        {
            "id": str(replica.id),
            "host": replica.host,
            "pid": replica.pid,
            "version": __version__,
            "interval": replica.sync_interval_sec,
            "cycle": cycle_sec,
            "vehicles": vehicles,
            "shards": list(shards),
            "unstored": unstored.vehicles,
            "migration": replica.migration,
            "name": replica.given_name,
            "reason": unstored.reason and sanitise(unstored.reason, REASON_LIMIT),
        },
    )
    cursor.execute(
        "DELETE FROM fleetsync.replica WHERE beat_at < now() - %s::interval", (LISTED_FOR,)
    )


def remove_replica(cursor: Cursor, replica: Replica) -> None:
    """Delete `replica`, which ends in good order."""
    cursor.execute("DELETE FROM fleetsync.replica WHERE id = %s::uuid", (str(replica.id),))


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of a daemon; `age` in seconds by the database's clock."""

    host: str
    version: str
    sync_interval_sec: float
    cycle_sec: float | None
    vehicles: int | None
    age: float
    pid: int
    shards: tuple[int, ...]
    """The shards of the fleet that it pulls."""
    unstored: Unstored = NOTHING_UNSTORED
    """What it could not store in its last cycles."""
    running_sec: float = 0.0
    """For how long it has run or, if it has ended, since when it was started."""
    given_name: str | None = None
    """DAEMON_NAME, which the one that is started in its place has too."""

    @property
    def alive(self) -> bool:
        """Whether the heartbeat is fresh; one that is ahead says nothing of the present."""
        return self.age < FRESH_SEC and not self.is_ahead

    @property
    def is_ahead(self) -> bool:
        """Whether it was written before the database's clock was set back."""
        return is_ahead(self.age)

    @property
    def ahead_text(self) -> str:
        """How far it is ahead, in words."""
        return f"{age(-self.age)} ahead of the database's clock"

    @property
    def last_text(self) -> str:
        """When it was written, in words."""
        when = self.ahead_text if self.is_ahead else f"{self.age:.0f} s ago"
        return f"last heartbeat {when}"

    @property
    def name(self) -> str:
        """The daemon's name for operators."""
        return name_of(self.given_name, self.host, self.pid)


def heartbeats(cursor: Cursor) -> list[Heartbeat]:
    """Return the heartbeats of all listed daemons, the freshest first, those ahead last."""
    cursor.execute(
        "SELECT host, version, interval_sec, cycle_sec, vehicles,"
        " extract(epoch FROM now() - beat_at)::float8, pid, shards,"
        " unstored, unstored_reason, extract(epoch FROM now() - started_at)::float8, name"
        " FROM fleetsync.replica"
        " ORDER BY beat_at > now() + make_interval(secs => %s), beat_at DESC",
        (CLOCKS_AGREE_SEC,),
    )
    return [_heartbeat(row) for row in cursor.fetchall()]


def sync_interval(cursor: Cursor, default_sec: float) -> float:
    """Return the seconds between the cycles of the daemon that was heard last, or the default."""
    known = heartbeats(cursor)
    return known[0].sync_interval_sec if known else default_sec


def _heartbeat(row: tuple[Any, ...]) -> Heartbeat:
    (
        host, version, interval_sec, cycle_sec, vehicles, age, pid, shards, unstored, reason,
        running_sec, name,
    ) = row  # fmt: skip
    return Heartbeat(
        host=sanitise(host, 100),
        version=sanitise(version, 30),
        sync_interval_sec=interval_sec,
        cycle_sec=cycle_sec,
        vehicles=vehicles,
        age=age,
        pid=pid,
        shards=tuple(shards),
        unstored=Unstored(unstored, reason and sanitise(reason, REASON_LIMIT)),
        running_sec=running_sec,
        given_name=name and sanitise(name, 100),
    )


def older_daemons(cursor: Cursor, migration: str) -> list[str]:
    """Return the hosts of listed daemons that do not know `migration`."""
    cursor.execute(
        "SELECT DISTINCT host FROM fleetsync.replica"
        " WHERE migration IS NULL OR migration < %s ORDER BY host",
        (migration,),
    )
    return [sanitise(host, 100) for (host,) in cursor.fetchall()]
