from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from fleetsyncd.database import replicas, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.replicas import FRESH_SEC, Replica
from fleetsyncd.database.shard_locks import SHARDS, shard_of
from fleetsyncd.database.views.fleet import fleet_overview

MINE = Replica(sync_interval_sec=30.0, host="here")
OTHER = Replica(sync_interval_sec=30.0, host="there")


def beat(database: Database, replica: Replica, *, cycle_sec: float | None = None) -> None:
    database.run(lambda cursor: replicas.write_heartbeat(cursor, replica, cycle_sec, 3))


def ages(database: Database) -> list[tuple[str, float]]:
    """Return each listed daemon's host and the age of its heartbeat, the freshest first."""
    return [(each.host, each.age) for each in database.run(replicas.heartbeats)]


def silence(database: Database, replica: Replica, how_long: str) -> None:
    """Move a replica's last heartbeat into the past."""
    rows(
        database,
        "UPDATE fleetsync.replica SET beat_at = beat_at - %s::interval WHERE id = %s::uuid"
        " RETURNING 1",
        how_long,
        str(replica.id),
    )


def rows(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall()

    return database.run(work)


def alive(database: Database) -> set[UUID]:
    return {UUID(row[0]) for row in rows(database, "SELECT id::text FROM fleetsync.replica")}


def test_heartbeats_tell_their_age_by_the_databases_clock_and_host(database: Database) -> None:
    assert ages(database) == []
    beat(database, MINE)
    beat(database, OTHER)
    silence(database, MINE, "10 minutes")
    (fresh_host, fresh), (stale_host, stale) = ages(database)
    assert (fresh_host, stale_host) == ("there", "here")
    assert 0 <= fresh < FRESH_SEC
    assert 600 <= stale < 660

    beat(database, MINE)
    assert ages(database)[0][0] == "here"
    assert all(age < FRESH_SEC for _, age in ages(database))


def test_a_heartbeat_ahead_of_the_databases_clock_is_no_sign_of_life(database: Database) -> None:
    longer = replace(MINE, sync_interval_sec=300.0)
    database.run(lambda c: replicas.write_heartbeat(c, longer, None, 3, range(SHARDS)))
    silence(database, longer, "-59 minutes")
    vehicle = database.run(lambda c: vehicles.add_vehicle(c, "T-1", "10.8.0.1", 8001, None))

    (ahead,) = database.run(replicas.heartbeats)
    assert not ahead.alive
    assert ahead.last_text == "last heartbeat 59m ahead of the database's clock"
    (shown,) = database.run(lambda c: fleet_overview(c, 30.0))
    assert shown.id == vehicle
    assert shown.replica is None

    beat(database, OTHER)
    assert [host for host, _ in ages(database)] == ["there", "here"]
    assert database.run(lambda c: replicas.sync_interval(c, 60.0)) == 30.0
    beat(database, longer)
    assert all(each.alive for each in database.run(replicas.heartbeats))


def test_a_replica_beats_in_one_row_and_leaves_at_its_end(database: Database) -> None:
    beat(database, MINE)
    beat(database, MINE, cycle_sec=2.5)
    assert rows(database, "SELECT host, cycle_sec, vehicles FROM fleetsync.replica") == [
        ("here", 2.5, 3)
    ]
    database.run(lambda cursor: replicas.remove_replica(cursor, MINE))
    assert alive(database) == set()


def test_a_replica_that_was_silent_for_a_day_is_dropped_by_the_others(database: Database) -> None:
    newest = replace(MINE, id=uuid4())
    for replica in (MINE, OTHER):
        beat(database, replica)
    silence(database, MINE, "25 hours")
    silence(database, OTHER, "23 hours")
    beat(database, newest)
    assert alive(database) == {OTHER.id, newest.id}


def test_the_interval_of_the_replica_heard_last_decides_what_is_late(database: Database) -> None:
    truck = database.run(
        lambda cursor: vehicles.add_vehicle(cursor, "Truck-01", "10.0.0.1", 8001, None)
    )
    rows(
        database,
        "UPDATE vehicles SET sync_status = 'ok', last_sync_at = now() - interval '5 minutes'"
        " WHERE id = %s::uuid RETURNING 1",
        str(truck),
    )

    def state() -> str:
        return database.run(lambda cursor: fleet_overview(cursor, 30.0))[0].state

    assert state() == "late"
    beat(database, replace(MINE, sync_interval_sec=600.0))
    assert state() == "online"


def test_the_overview_names_the_living_replica_that_pulls_a_vehicle(database: Database) -> None:
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    mine = [shard_of(truck)]
    others = [shard for shard in range(SHARDS) if shard not in mine]

    def puller() -> str | None:
        return database.run(lambda c: fleet_overview(c, 30))[0].replica

    assert puller() is None
    database.run(lambda c: replicas.write_heartbeat(c, MINE, None, 1, mine))
    database.run(lambda c: replicas.write_heartbeat(c, OTHER, None, 0, others))
    assert puller() == f"here:{MINE.pid}"
    silence(database, MINE, "1 minute")
    assert puller() is None
    database.run(lambda c: replicas.write_heartbeat(c, OTHER, None, 1, range(SHARDS)))
    assert puller() == f"there:{OTHER.pid}"
