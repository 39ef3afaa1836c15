"""This replica's share of the fleet: shards taken, given up and handed over."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from math import ceil
from uuid import UUID

from fleetsyncd.database.shard_locks import SHARDS, ShardHoldings, ShardLocks, shard_of
from fleetsyncd.errors import DatabaseLost

log = logging.getLogger("sync")
EVERY_SHARD = frozenset(range(SHARDS))


@dataclass(frozen=True, slots=True)
class Rebalance:
    """Shards to take now, to give up now, and to give up as soon as they are idle."""

    take: frozenset[int] = frozenset()
    release: frozenset[int] = frozenset()
    leave: frozenset[int] = frozenset()


def plan_rebalance(held: ShardHoldings, busy: Collection[int]) -> Rebalance:
    """Return the move towards equal shares; a shard with a `busy` vehicle is not given up yet.

    Nobody holds more than a full share, so what is left over is enough for everybody else.
    """
    share = ceil(SHARDS / max(1, held.replicas))
    surplus = len(held.mine) - share
    if surplus <= 0:
        free = sorted(EVERY_SHARD - held.mine - held.others)
        return Rebalance(take=frozenset(free[: share - len(held.mine)]))
    release = sorted(held.mine.difference(busy))[:surplus]
    leave = sorted(held.mine.intersection(busy))[: surplus - len(release)]
    return Rebalance(release=frozenset(release), leave=frozenset(leave))


class ShardAssignment:
    """The shards that this replica works on; without locks it works on all of them."""

    def __init__(self, locks: ShardLocks | None) -> None:
        self._locks = locks
        self._told: tuple[int, int] | None = None
        self._mine = EVERY_SHARD if locks is None else frozenset()

    @property
    def shards(self) -> frozenset[int] | None:
        """The shards whose vehicles may be started; None for all."""
        return None if self._mine == EVERY_SHARD else self._mine

    @property
    def held(self) -> list[int]:
        """The same, in order, as a heartbeat tells them."""
        return sorted(self._mine)

    def rebalance(self, busy: Collection[UUID]) -> None:
        """Take or give up shards; `busy` are the vehicles at work here. Raises DatabaseError.

        A session that PostgreSQL has ended, since we fell silent, is opened anew at once.
        """
        if self._locks is None:
            return
        try:
            held = self._locks.read()
        except DatabaseLost:
            self._mine = frozenset()
            held = self._locks.read()
        move = plan_rebalance(held, {shard_of(vehicle_id) for vehicle_id in busy})
        self._locks.release(move.release)
        self._locks.take(move.take)
        if move.take or move.release:
            held = self._locks.read()
        self._mine = held.mine - move.leave
        self._tell(held)

    def has(self, vehicle_id: UUID) -> bool:
        """Tell whether a vehicle is ours to pull."""
        return shard_of(vehicle_id) in self._mine

    def close(self) -> None:
        """Leave every shard to the others."""
        self._mine = frozenset()
        if self._locks is not None:
            self._locks.close()

    def _tell(self, held: ShardHoldings) -> None:
        now = (len(self._mine), held.replicas)
        if now != self._told and (held.replicas > 1 or self._told is not None):
            log.info("pulling %d of %d shards, %d replica(s) in all", now[0], SHARDS, now[1])
        self._told = now
