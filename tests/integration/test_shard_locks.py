import time
from uuid import uuid4

import pytest

from fleetsyncd.database import loading, sync_requests, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.shard_locks import SHARDS, ShardLocks, shard_of
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.sync.shards import EVERY_SHARD, ShardAssignment


def end_sessions(database: Database) -> None:
    """End every session that holds a shard, as PostgreSQL does with one that fell silent."""

    def work(cursor: Cursor) -> None:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")

    database.run(work)


def until_alone(share: ShardAssignment) -> None:
    """Rebalance until every shard is ours: a closed session's backend takes a moment to end."""
    ends = time.monotonic() + 10
    while share.shards is not None:
        assert time.monotonic() < ends
        share.rebalance(())


def test_a_vehicles_shard_is_the_same_in_the_database(database: Database) -> None:
    def look(cursor: Cursor) -> None:
        ids = [
            vehicles.add_vehicle(cursor, f"v{port}", "10.8.0.1", port, None)
            for port in range(1, 200)
        ]
        for shard in range(SHARDS):
            found = {vehicle.id for vehicle in loading.load_vehicles(cursor, shards=[shard])}
            assert found == {key for key in ids if shard_of(key) == shard}

    database.run(look)


def test_a_lone_replica_takes_every_shard_and_two_share_them(database: Database) -> None:
    one, two = ShardAssignment(ShardLocks(database)), ShardAssignment(ShardLocks(database))
    one.rebalance(())
    assert one.shards is None
    two.rebalance(())
    assert two.numbers == []
    one.rebalance(())
    two.rebalance(())
    assert sorted(one.numbers + two.numbers) == sorted(EVERY_SHARD)
    assert len(one.numbers) == len(two.numbers) == SHARDS // 2
    two.close()
    until_alone(one)
    one.close()


def test_a_shard_is_handed_over_only_when_its_vehicle_is_done(database: Database) -> None:
    one, two = ShardAssignment(ShardLocks(database)), ShardAssignment(ShardLocks(database))
    one.rebalance(())
    two.rebalance(())
    busy = [uuid4() for _ in range(2_000)]
    assert {shard_of(key) for key in busy} == EVERY_SHARD
    one.rebalance(busy)
    two.rebalance(())
    assert len(one.numbers) == SHARDS // 2
    assert two.numbers == []
    one.rebalance(())
    two.rebalance(())
    assert sorted(one.numbers + two.numbers) == sorted(EVERY_SHARD)
    one.close()
    two.close()


def test_whose_session_was_ended_comes_back_with_what_the_others_left(database: Database) -> None:
    one, two = ShardAssignment(ShardLocks(database)), ShardAssignment(ShardLocks(database))
    one.rebalance(())
    end_sessions(database)
    until_alone(two)
    one.rebalance(())
    assert one.numbers == []
    two.rebalance(())
    one.rebalance(())
    assert sorted(one.numbers + two.numbers) == sorted(EVERY_SHARD)
    one.close()
    two.close()


def test_a_lost_session_is_logged_once_and_then_opened_anew(database: Database) -> None:
    locks = ShardLocks(database)
    locks.take([1, 2])
    assert locks.read().mine == {1, 2}
    end_sessions(database)
    with pytest.raises(DatabaseLost):
        locks.read()
    assert locks.read().mine == frozenset()
    locks.close()


def test_requests_for_other_replicas_vehicles_are_left_to_them(database: Database) -> None:
    key = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 1, None))
    database.run(lambda c: sync_requests.request_sync(c, key))
    mine, others = {shard_of(key)}, EVERY_SHARD - {shard_of(key)}
    assert database.run(lambda c: sync_requests.take_sync_requests(c, (), others)) == set()
    assert database.run(lambda c: sync_requests.take_sync_requests(c, (), mine)) == {key}
