"""This replica's shards of the fleet: which it takes, releases and hands over."""

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
    """Shards to take now, to release now, and to release as soon as they are idle."""

    take: frozenset[int] = frozenset()
    release: frozenset[int] = frozenset()
    release_when_idle: frozenset[int] = frozenset()


def plan_rebalance(held: ShardHoldings, busy: Collection[int]) -> Rebalance:
    """Return the next step towards equal shares; a shard with a `busy` vehicle stays for now.

    No replica holds more than a full share, so the rest is enough for all the others.
    """
    share = ceil(SHARDS / max(1, held.replicas))
    surplus = len(held.mine) - share
    if surplus <= 0:
        free = sorted(EVERY_SHARD - held.mine - held.others)
        return Rebalance(take=frozenset(free[: share - len(held.mine)]))
    release = sorted(held.mine.difference(busy))[:surplus]
    later = sorted(held.mine.intersection(busy))[: surplus - len(release)]
    return Rebalance(release=frozenset(release), release_when_idle=frozenset(later))


class ShardAssignment:
    """The shards whose vehicles this replica pulls; without locks it pulls all of them."""

    def __init__(self, locks: ShardLocks | None) -> None:
        self._locks = locks
        self._logged: tuple[int, int] | None = None
        self._mine = EVERY_SHARD if locks is None else frozenset()

    @property
    def shards(self) -> frozenset[int] | None:
        """The shards whose vehicles may be started; None for all."""
        return None if self._mine == EVERY_SHARD else self._mine

    @property
    def numbers(self) -> list[int]:
        """The same shards in order, also when these are all: as a heartbeat reports them."""
        return sorted(self._mine)

    def rebalance(self, busy: Collection[UUID]) -> None:
        """Take or release shards; `busy` are the vehicles being pulled. Raises DatabaseError.

        If PostgreSQL has ended the session because it was idle for too long, a new one is opened.
        """
        if self._locks is None:
            return
        try:
            held = self._locks.read()
        except DatabaseLost:
            self._mine = frozenset()
            held = self._locks.read()
        plan = plan_rebalance(held, {shard_of(vehicle_id) for vehicle_id in busy})
        self._locks.release(plan.release)
        self._locks.take(plan.take)
        if plan.take or plan.release:
            held = self._locks.read()
        self._mine = held.mine - plan.release_when_idle
        self._log_change(held)

    def has(self, vehicle_id: UUID) -> bool:
        """Tell whether this replica pulls the vehicle."""
        return shard_of(vehicle_id) in self._mine

    def close(self) -> None:
        """Release every shard."""
        self._mine = frozenset()
        if self._locks is not None:
            self._locks.close()

    def _log_change(self, held: ShardHoldings) -> None:
        now = (len(self._mine), held.replicas)
        if now != self._logged and (held.replicas > 1 or self._logged is not None):
            log.info("pulling %d of %d shards, %d replica(s) in all", now[0], SHARDS, now[1])
        self._logged = now
