"""Which replica pulls which vehicles: each shard of the fleet is an advisory lock in PostgreSQL.

The locks belong to the session of one dedicated connection. A replica that dies loses them with it
at once; one that freezes loses them when PostgreSQL has received nothing for IDLE_SEC. No clock is
compared with another.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.session import Session

SHARDS = 64
IDLE_SEC = 20
SHARD_CLASS = 0x666C7368
PRESENCE_CLASS = 0x666C7072
_LOCKS = """
SELECT classid::bigint, objid::int, pid = pg_backend_pid() FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid IN (%s, %s)
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@cache
def shard_of(vehicle_id: UUID) -> int:
    """Return the shard of a vehicle, which never changes."""
    return sha256(str(vehicle_id).encode()).digest()[0] % SHARDS


def in_shards(column: str, shards: Collection[int] | None) -> tuple[str, list[Any]]:
    """Return an SQL condition with its arguments: the vehicle's id belongs to one of the shards.

    None stands for all shards. The hash is that of `shard_of`.
    """
    if shards is None:
        return "", []
    shard = f"mod(get_byte(sha256(convert_to({column}::text, 'UTF8')), 0), {SHARDS})"
    return f" AND {shard} = ANY (%s::int[])", [sorted(shards)]


@dataclass(frozen=True, slots=True)
class ShardHoldings:
    """The shards of this replica, those of others, and the number of replicas."""

    mine: frozenset[int]
    others: frozenset[int]
    replicas: int


class ShardLocks:
    """This replica's locks: one for its presence, one for each shard that it holds."""

    def __init__(self, database: Database) -> None:
        self._session = Session(database, _register_replica)

    def read(self) -> ShardHoldings:
        """Return who holds which shards; after a DatabaseError this replica holds none."""
        return self._session.run(_holdings)

    def take(self, shards: Collection[int]) -> None:
        """Take those of the shards that no replica holds; raise DatabaseError."""
        if shards:
            self._session.run(lambda cursor: _for_each(cursor, "pg_try_advisory_lock", shards))

    def release(self, shards: Collection[int]) -> None:
        """Release shards; raise DatabaseError."""
        if shards:
            self._session.run(lambda cursor: _for_each(cursor, "pg_advisory_unlock", shards))

    def close(self) -> None:
        """End the session: other replicas may take its shards at once."""
        self._session.close()


def _register_replica(cursor: Cursor) -> None:
    """Let PostgreSQL end the session if it becomes idle, and lock this replica's presence."""
    # Servers before version 14 have only the second.
    names = ["idle_session_timeout", "idle_in_transaction_session_timeout"]
    cursor.execute(
        "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = ANY (%s)",
        (f"{IDLE_SEC}s", names),
    )
    cursor.execute("SELECT pg_advisory_lock_shared(%s, 0)", (PRESENCE_CLASS,))


def _holdings(cursor: Cursor) -> ShardHoldings:
    cursor.execute(_LOCKS, (SHARD_CLASS, PRESENCE_CLASS))
    rows = cursor.fetchall()
    shards = [(shard, mine) for kind, shard, mine in rows if kind == SHARD_CLASS]
    return ShardHoldings(
        mine=frozenset(shard for shard, mine in shards if mine),
        others=frozenset(shard for shard, mine in shards if not mine),
        replicas=sum(kind == PRESENCE_CLASS for kind, _, _ in rows),
    )


def _for_each(cursor: Cursor, function: str, shards: Collection[int]) -> None:
    cursor.execute(
        f"SELECT {function}(%s, shard) FROM unnest(%s::int[]) shard",  # noqa: S608  two constants
        (SHARD_CLASS, sorted(shards)),
    )
