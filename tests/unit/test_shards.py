from collections import Counter
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.database.shard_locks import SHARDS, ShardHoldings, shard_of
from fleetsyncd.sync.shards import EVERY_SHARD, plan_rebalance


def settle(replicas: dict[str, set[int]], busy: dict[str, set[int]], rounds: int = 3) -> None:
    """Let every replica move in turn."""
    for _ in range(rounds):
        for name, mine in replicas.items():
            others = frozenset().union(*(held for key, held in replicas.items() if key != name))
            move = plan_rebalance(
                ShardHoldings(frozenset(mine), others, len(replicas)), busy.get(name, ())
            )
            assert not move.take & others
            assert move.release <= mine
            assert not move.release & busy.get(name, set())
            mine.difference_update(move.release)
            mine.update(move.take)


@given(st.integers(1, 70), st.integers(0, 70))
def test_every_shard_finds_exactly_one_replica_and_no_share_is_larger_than_fair(
    before: int, after: int
) -> None:
    replicas = {str(n): set[int]() for n in range(before)}
    settle(replicas, {})
    for n in range(before, after):
        replicas[str(n)] = set()
    for n in range(after, before - 1):
        del replicas[str(n)]
    settle(replicas, {})
    held = Counter(shard for mine in replicas.values() for shard in mine)
    assert held == Counter(EVERY_SHARD)
    assert max(map(len, replicas.values())) <= -(-SHARDS // len(replicas))


def test_a_shard_with_a_vehicle_at_work_is_kept_until_it_is_idle() -> None:
    held = ShardHoldings(EVERY_SHARD, frozenset(), 2)
    move = plan_rebalance(held, EVERY_SHARD - {7})
    assert move.release == {7}
    assert len(move.release_when_idle) == SHARDS // 2 - 1
    assert plan_rebalance(held, ()).release_when_idle == frozenset()


def test_vehicles_spread_over_the_shards_evenly() -> None:
    counts = Counter(shard_of(uuid4()) for _ in range(64_000))
    assert set(counts) == EVERY_SHARD
    assert max(counts.values()) < 1_250


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("00000000-0000-0000-0000-000000000000", 18),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", 19),
    ],
)
def test_a_vehicles_shard_never_changes(text: str, shard: int) -> None:
    assert shard_of(UUID(text)) == shard
