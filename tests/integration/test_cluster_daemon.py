"""The daemon on a real cluster: cycles, lost workers, moves, minutes, views, doctor."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import psycopg2
import pytest

from fleetsyncd.database import (
    access,
    due_minutes,
    measurements,
    minutes,
    purge,
    removal,
    removed_vehicles,
    vehicles,
)
from fleetsyncd.database.closed_months import due_months
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import TRANSACTION_SEC, Cursor, Database
from fleetsyncd.database.retention_kinds import Kind
from fleetsyncd.database.retention_plan import make_plan
from fleetsyncd.database.schema.distribution import health
from fleetsyncd.database.schema.notice_checks import check_disk
from fleetsyncd.database.views.estimates import Count, count_measurements
from fleetsyncd.database.views.minute_series import read_minutes
from fleetsyncd.database.views.series import Slices
from fleetsyncd.database.views.storage import DiskUnknown, storage
from fleetsyncd.database.views.vehicle import channel_values
from fleetsyncd.demo import clusters
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable, WorkerLost
from fleetsyncd.findings import Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from fleetsyncd.time_limits import Deadline
from tests.clustered import distribute, migrated, owner_of
from tests.freezing import frozen
from tests.integration.rig import rig

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SHARD_OF = "get_shard_id_for_distribution_column('public.measurements', %s::uuid)"
NODE_OF = f"SELECT nodename FROM citus_shards WHERE shardid = {SHARD_OF}"  # noqa: S608
MOVE = f"""
SELECT citus_move_shard_placement({SHARD_OF}, %s, 5432, %s, 5432, 'block_writes')
"""
KEPT = """
SELECT channel_id, minute, count, min, max, sum, first, last
FROM measurements_minute WHERE vehicle_id = %s::uuid ORDER BY 1, 2
"""
SHOWN = """
SELECT channel_id, minute, count FROM fleetsync.minute_values(%s::uuid, '{1,7}', %s, %s)
ORDER BY 1, 2
"""
COUNT = "SELECT count(*) FROM public.measurements WHERE vehicle_id = %s::uuid"


@pytest.fixture
def name(cluster: CitusCluster, cluster_database_name: str) -> str:
    """Return a database of the cluster whose measurements are distributed."""
    migrated(cluster, cluster_database_name)
    distribute(cluster, cluster_database_name)
    return cluster_database_name


@pytest.fixture
def database(cluster: CitusCluster, name: str) -> Iterator[Database]:
    opened = Database(DatabaseSettings(cluster.parameters(name), pool_size=4))
    yield opened
    opened.close()


@pytest.fixture
def trucks(database: Database) -> list[UUID]:
    Partitions(database).ensure(NOON, NOON)
    return [
        database.run(
            partial(vehicles.add_vehicle, name=f"T-{n}", host=f"127.0.0.{n}", port=9, key=None)
        )
        for n in range(1, 9)
    ]


def rows(start: datetime, count: int, channels: tuple[int, ...] = (1, 7)) -> Measurements:
    """Return rows whose sums are exact in any order of adding."""
    return Measurements.from_rows(
        (start + n * SECOND, channel, float((n * 37 + channel * 11) % 64) / 8 - 2)
        for n in range(count)
        for channel in channels
    )


def add(database: Database, truck: UUID, page: Measurements) -> int:
    return database.run(lambda cursor: measurements.add_measurements(cursor, truck, page))


def ask(database: Database, query: str, *values: object) -> list[tuple[object, ...]]:
    def read(cursor: Cursor) -> list[tuple[object, ...]]:
        cursor.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    return database.run(read)


def worker_of(cluster: CitusCluster, database: Database, truck: UUID) -> Server:
    ((host,),) = ask(database, NODE_OF, str(truck))
    return next(worker for worker in cluster.workers if worker.host == host)


def on_two_workers(
    cluster: CitusCluster, database: Database, trucks: list[UUID]
) -> tuple[UUID, UUID]:
    """Return a vehicle of one worker and one of the other."""
    first = worker_of(cluster, database, trucks[0])
    return trucks[0], next(t for t in trucks if worker_of(cluster, database, t) is not first)


def test_a_fleet_is_pulled_and_all_that_it_answered_is_stored(database: Database) -> None:
    with rig(database) as it:
        assert it.cycle().outcome == "ok"
        assert it.cycle(after=30).outcome == "ok"
        assert it.cycle(after=600).outcome == "ok"
        assert it.compare().clean


def test_repeated_and_late_rows_are_counted_as_they_are(
    database: Database, trucks: list[UUID]
) -> None:
    assert add(database, trucks[0], rows(NOON, 100)) == 200
    assert add(database, trucks[0], rows(NOON, 100)) == 0

    def pulled(cursor: Cursor) -> tuple[int, int]:
        page = rows(NOON - 10 * SECOND, 130)
        newest = NOON + 99 * SECOND
        added = measurements.add_pulled(cursor, trucks[0], page, newest, NOON)
        return added.rows, added.late

    assert database.run(pulled) == (60, 20)


def test_a_worker_down_costs_its_vehicles_only_and_is_named(
    cluster: CitusCluster, database: Database, trucks: list[UUID]
) -> None:
    lost, other = on_two_workers(cluster, database, trucks)
    worker = worker_of(cluster, database, lost)
    add(database, lost, rows(NOON, 1))
    clusters.kill(worker.cluster)
    try:
        for work in (
            partial(add, database, lost, rows(NOON, 2)),
            partial(ask, database, COUNT, str(lost)),
        ):
            with pytest.raises(WorkerLost, match=worker.host):
                work()
        assert add(database, other, rows(NOON, 1)) == 2
        faults = database.run(lambda c: list(health.check_cluster(c)))
        assert any(worker.host in each.text for each in faults if each.level is Level.FAULT)
    finally:
        worker.cluster.start()
    add(database, lost, rows(NOON, 2))  # a server without fsync may have lost its last commits
    assert ask(database, COUNT, str(lost)) == [(4,)]


def test_a_frozen_worker_costs_its_vehicles_only_and_is_named(
    cluster: CitusCluster, database: Database, trucks: list[UUID]
) -> None:
    lost, other = on_two_workers(cluster, database, trucks)
    worker = worker_of(cluster, database, lost)
    database.close()  # what is connected to the worker does not notice
    tries = []

    def waits(cursor: Cursor) -> int:
        tries.append(cursor)
        return measurements.add_measurements(cursor, lost, rows(NOON, 1))

    os.kill(worker.cluster.pid, signal.SIGSTOP)
    try:
        with pytest.raises(WorkerLost, match=worker.host):
            database.run(waits)
        assert len(tries) == 1
        assert add(database, other, rows(NOON, 1)) == 2
    finally:
        os.kill(worker.cluster.pid, signal.SIGCONT)
    assert add(database, lost, rows(NOON, 1)) == 2


def backends(worker: Server, name: str) -> list[int]:
    """Return the processes of a worker that serve a database."""
    found = worker.query(name, "SELECT pid FROM pg_stat_activity WHERE datname = %s", name)
    return [pid for (pid,) in found]


def test_a_worker_that_froze_with_its_connections_open_is_named_when_time_is_over(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    hasty = Database(DatabaseSettings(cluster.parameters(name), pool_size=4), statement_sec=1)
    add(hasty, trucks[0], rows(NOON, 1))
    worker = worker_of(cluster, database, trucks[0])
    with (
        closing(hasty),
        frozen(backends(worker, name)),
        pytest.raises(DatabaseError, match=f"rows are on {worker.host}"),
    ):
        add(hasty, trucks[0], rows(NOON, 2))
    assert add(database, trucks[0], rows(NOON, 3)) >= 2


def overdue_once() -> Deadline:
    """Return a deadline that the first transaction does not meet."""
    fired: list[float] = []

    @contextmanager
    def deadline(seconds: float, error: Callable[[], Exception]) -> Iterator[None]:
        yield
        if seconds == TRANSACTION_SEC and not fired:
            fired.append(seconds)
            raise error()

    return deadline


def test_a_transaction_that_takes_too_long_is_no_lost_database_while_the_coordinator_answers(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    worker = worker_of(cluster, database, trucks[0])
    for work, told in (
        (lambda d: add(d, trucks[0], rows(NOON, 1)), f"rows are on {worker.host}:"),
        (lambda d: ask(d, "SELECT 1"), "the coordinator answers others"),
    ):
        with closing(
            Database(DatabaseSettings(cluster.parameters(name)), deadline=overdue_once())
        ) as late:
            with pytest.raises(DatabaseError, match=rf"did not finish within 90 s; .*{told}") as it:
                work(late)
            assert not isinstance(it.value, DatabaseUnavailable)


def test_what_a_worker_refuses_is_told_with_its_name(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    worker = worker_of(cluster, database, trucks[0])
    ((shard,),) = ask(database, f"SELECT {SHARD_OF}", str(trucks[0]))
    few = f"ALTER TABLE measurements_{shard} ADD CONSTRAINT few CHECK (value > 100) NOT VALID"
    own = "SET citus.enable_manual_changes_to_shards = on; SET citus.enable_ddl_propagation = off"
    worker.query(name, f"{own}; {few}")
    with pytest.raises(DatabaseError, match=rf"few.*\(on the node {worker.host}"):
        add(database, trucks[0], rows(NOON, 1))


def test_a_shard_that_has_moved_is_found_again(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    add(database, trucks[0], rows(NOON, 10))
    source = worker_of(cluster, database, trucks[0])
    target = next(worker for worker in cluster.workers if worker is not source)
    truck = str(trucks[0])
    cluster.query(name, MOVE, truck, source.host, target.host)
    assert add(database, trucks[0], rows(NOON, 20)) == 20
    assert ask(database, COUNT, truck) == [(40,)]
    assert worker_of(cluster, database, trucks[0]) is target


def test_a_connection_of_before_the_extension_is_made_anew(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    add(database, trucks[0], rows(NOON, 10))
    settings = DatabaseSettings(cluster.parameters(name), pool_size=4)
    stale = Database(settings)
    stale._on_cluster = False
    for connection in [stale.connect() for _ in range(4)]:
        connection.on_cluster = False
        stale._idle.append((connection, 1e12))
    assert ask(stale, COUNT, str(trucks[0])) == [(20,)]
    assert add(stale, trucks[0], rows(NOON, 11)) == 2
    stale.close()


def test_minutes_are_those_of_the_rows(database: Database, trucks: list[UUID]) -> None:
    add(database, trucks[0], rows(NOON, 3600))
    pulled = "UPDATE vehicles SET last_sync_at = %s, last_seen_at = now()"
    ask(database, pulled, NOON + 3600 * SECOND)
    database.run(minutes.begin)
    while waiting := database.run(lambda c: minutes.waiting(c, every=minutes.MINUTE)):
        database.run(partial(minutes.keep, ids=waiting))
    while found := database.run(lambda c: due_minutes.due_vehicles(c, 1)):
        database.run(partial(due_minutes.work_off, vehicle_id=found[0]))
    stored = ask(database, KEPT, str(trucks[0]))
    expected = ask(
        database,
        "SELECT channel_id, date_trunc('minute', time), count(*)::int, min(value), max(value),"
        " sum(value), (array_agg(value ORDER BY time))[1],"
        " (array_agg(value ORDER BY time DESC))[1] FROM measurements"
        " WHERE vehicle_id = %s::uuid AND time < %s GROUP BY 1, 2 ORDER BY 1, 2",
        str(trucks[0]),
        NOON + timedelta(minutes=55),
    )
    assert len(stored) == 2 * 55
    assert stored == expected
    late = Measurements.from_rows([(NOON + SECOND / 2, 1, 0.5)])
    assert add(database, trucks[0], late) == 1
    assert ask(database, "SELECT count(*) FROM fleetsync.minute_due") == [(1,)]
    shown = ask(database, SHOWN, str(trucks[0]), NOON, NOON + timedelta(hours=1))
    assert len(shown) == 2 * 60
    slices = Slices.until((NOON + timedelta(hours=5)).timestamp(), 6 * 3600.0, 60)
    plotted = database.run(
        partial(read_minutes, vehicle_id=trucks[0], channels=[1, 7], slices=slices)
    )
    assert plotted is not None
    assert [sum(each.count for each in series.values) for series in plotted] == [3601, 3600]
    assert shown[0][2] == 61


def test_newest_values_are_shown(database: Database, trucks: list[UUID]) -> None:
    add(database, trucks[0], rows(NOON, 10))
    for channel in (1, 7, 9):
        ask(
            database,
            "INSERT INTO channel_config (vehicle_id, channel_id, name) VALUES (%s::uuid, %s, 'c')",
            str(trucks[0]),
            channel,
        )
    shown = database.run(partial(channel_values, vehicle_id=trucks[0]))
    newest = rows(NOON, 10)
    assert [each.value for each in shown] == [*newest.values[-2:], None]


def test_storage_tells_months_and_workers(
    cluster: CitusCluster, database: Database, trucks: list[UUID]
) -> None:
    for truck in trucks:
        add(database, truck, rows(NOON, 600))
    found = database.run(storage)
    assert [node.shards for node in found.nodes] == [4, 4]
    month = next(each for each in found.tables if each.is_measurements and each.rows)
    assert month.rows == pytest.approx(600 * 2 * len(trucks), rel=0.5)
    assert sum(node.bytes for node in found.nodes) >= month.total_bytes > 600 * 2 * 8 * 68
    assert len(found.nodes) == len(cluster.workers)
    plan = database.run(lambda c: make_plan(c, Kind.MEASUREMENTS, 1, datetime.now(UTC)))
    assert (plan.extent.months, plan.extent.rows > 0) == (1, True)


def test_storage_tells_what_other_workers_have_while_one_is_down(
    cluster: CitusCluster, database: Database, trucks: list[UUID]
) -> None:
    for truck in trucks:
        add(database, truck, rows(NOON, 600))
    whole = database.run(storage)
    worker = cluster.workers[0]
    clusters.kill(worker.cluster)
    try:
        part = database.run(storage)
        (disk,) = database.run(lambda c: list(check_disk(c)))
    finally:
        worker.cluster.start()
    assert (whole.is_whole, part.is_whole) == (True, False)
    lost, other = sorted(part.nodes, key=lambda node: node.is_reachable)
    assert (worker.host in lost.address, lost.shards, lost.bytes) == (True, 4, 0)
    assert other == next(node for node in whole.nodes if node.address == other.address)
    assert 0 < part.measurement_bytes < whole.measurement_bytes
    assert DiskUnknown.CLUSTER.value in disk.text


def test_a_large_number_is_estimated_by_the_workers_statistics(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    for truck in trucks[:4]:
        add(database, truck, rows(NOON, 2_000))
    assert counted(database, trucks[:2]) == Count(1_000, exact=False, at_least=True)
    cluster.query(name, "ANALYZE measurements", user=OWNER)
    several = counted(database, trucks[:2])
    assert (several.exact, several.at_least) == (False, False)
    assert several.rows == pytest.approx(8_000, rel=0.2)


def test_the_least_is_told_of_a_large_number_while_another_worker_is_down(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    truck, lost = on_two_workers(cluster, database, trucks)
    add(database, truck, rows(NOON, 2_000))
    cluster.query(name, "ANALYZE measurements", user=OWNER)
    worker = worker_of(cluster, database, lost)
    clusters.kill(worker.cluster)
    try:
        assert counted(database, [truck]) == Count(1_000, exact=False, at_least=True)
    finally:
        worker.cluster.start()


def test_what_a_vehicle_left_without_a_record_is_found(
    database: Database, trucks: list[UUID]
) -> None:
    stray = UUID(int=9)
    assert stray not in trucks
    add(database, stray, rows(NOON, 5))
    found = database.run(partial(removed_vehicles.find_removed, text=str(stray)))
    assert (found.id, found.name) == (stray, None)


def counted(database: Database, ids: list[UUID]) -> Count:
    return database.run(partial(count_measurements, ids=ids, exact_up_to=1_000))


def test_a_closed_month_is_tidied_on_the_workers(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    for start in range(0, 3600, 60):
        add(database, trucks[0], rows(NOON + start * SECOND, 60, tuple(range(1, 19))))
    owner = Database(owner_of(cluster, name))
    ((month,),) = [owner.run(lambda c: due_months(c, datetime.now(UTC), timedelta(0)))]
    assert month.name == "measurements_2026_02"
    cluster.query(name, f"REINDEX INDEX CONCURRENTLY {month.key}", user=OWNER)
    after = owner.run(lambda c: due_months(c, datetime.now(UTC), timedelta(0)))
    assert sum(each.key_bytes for each in after) < 0.8 * month.key_bytes
    owner.close()
    assert ask(database, COUNT, str(trucks[0])) == [(3600 * 18,)]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("DROP TRIGGER copy_access ON vehicle_access", "not copied to the workers"),
        (
            "ALTER TABLE vehicle_access DISABLE TRIGGER copy_access",
            "not copied to the workers",
        ),
        ("DROP POLICY measurements_superuser ON measurements", "policies of measurements"),
        (
            "CREATE OR REPLACE FUNCTION fleetsync.storage_table(vehicle uuid) RETURNS text"
            " LANGUAGE sql IMMUTABLE AS $$ SELECT 'public.measurements' $$",
            "does not name shards",
        ),
    ],
)
def test_doctor_finds_what_is_missing_and_the_named_remedy_mends_it(
    cluster: CitusCluster, name: str, database: Database, broken: str, told: str
) -> None:
    def findings() -> list[str]:
        found = database.run(lambda c: list(health.check_cluster(c)))
        return [each.text for each in found if each.level is not Level.OK]

    assert findings() == []
    cluster.query(name, broken, user=OWNER)
    assert any(told in text for text in findings())
    distribute(cluster, name)
    assert findings() == []


def test_doctor_looks_at_the_connections_between_machines(
    cluster: CitusCluster, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warnings() -> list[str]:
        found = database.run(lambda c: list(health.check_cluster(c)))
        return [f"{each.text}: {each.remedy}" for each in found if each.level is Level.WARNING]

    assert warnings() == []
    # As if the nodes were on other machines, and these connections were theirs.
    monkeypatch.setattr(health, "_is_here", lambda _node: False)
    assert warnings() == []  # an ordinary role does not see the setting
    cluster.query("postgres", f"GRANT pg_read_all_settings TO {APP}")
    try:
        assert [text for text in warnings() if "tcp_user_timeout" in text] == warnings() != []
    finally:
        cluster.query("postgres", f"REVOKE pg_read_all_settings FROM {APP}")
    monkeypatch.setattr(health, "_IS_OPEN", "SELECT true")
    (told, *others) = warnings()
    assert len(others) == len(cluster.workers)
    assert "unencrypted" in told
    assert "sslmode=require" in told


def test_a_vehicle_that_somebody_sees_is_removed_and_purged_with_its_rows(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    add(database, trucks[0], rows(NOON, 50))
    add(database, trucks[1], rows(NOON, 50))
    owner = Database(owner_of(cluster, name))
    owner.run(partial(access.grant, user_id=UUID(int=1), vehicles=trucks[:2]))
    owner.close()
    (removed,) = removal.remove_vehicles(database, trucks[:1], with_measurements=True)
    assert (removed.measurements_left, removed.users) == (True, (UUID(int=1),))
    (left,) = database.run(removed_vehicles.recorded)
    extent = database.run(partial(removed_vehicles.read_extent, vehicle=left))
    assert extent is not None
    assert extent.channels == (1, 7)
    assert purge.purge(database, left) == 100
    counted = [ask(database, COUNT, str(truck)) for truck in trucks[:2]]
    assert counted == [[(0,)], [(100,)]]
    assert database.run(lambda c: list(health.check_cluster(c)))[0].level is Level.OK


@pytest.mark.parametrize("door", ["add_measurements", "store_measurements"])
def test_nobody_comes_in_through_a_worker_or_without_the_role(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID], door: str
) -> None:
    call = f"SELECT fleetsync.{door}(%s::uuid, '{{1}}', '{{2026-02-10}}', '{{1}}', null, null)"
    for node in cluster.nodes:
        with pytest.raises(psycopg2.Error, match=r"app\.user_role|permission denied"):
            node.query(name, call, str(trucks[0]), user=APP)
    assert ask(database, COUNT, str(trucks[0])) == [(0,)]
