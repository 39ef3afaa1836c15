"""The local Citus cluster itself, before fleetsyncd is on it.

make test ARGS="--postgres-bin=/usr/lib/postgresql/15/bin -m citus"
"""

from pathlib import Path

import psycopg2
import pytest

from fleetsyncd.demo import citus_cluster, clusters
from fleetsyncd.demo.citus_cluster import CitusCluster, CitusMissing
from fleetsyncd.demo.embedded import APP, BINARIES, OWNER

TABLE = (
    "CREATE TABLE readings (vehicle int, value int, PRIMARY KEY (vehicle, value))",
    "SELECT create_distributed_table('readings', 'vehicle')",
    "INSERT INTO readings SELECT n, n FROM generate_series(1, 500) n",
)
MOVE = "SELECT citus_move_shard_placement(%s, %s, 5432, %s, 5432, 'force_logical')"
REBALANCE = "SELECT rebalance_table_shards(shard_transfer_mode := 'block_writes')"
COUNT = "SELECT count(*) FROM readings"


@pytest.fixture
def readings(cluster: CitusCluster, cluster_database_name: str) -> str:
    """Return a database with a distributed table of 500 rows."""
    for statement in TABLE:
        cluster.query(cluster_database_name, statement, user=OWNER)
    return cluster_database_name


def test_every_node_reaches_every_node_and_the_coordinator_knows_itself(
    cluster: CitusCluster, cluster_database_name: str
) -> None:
    name = cluster_database_name
    health = cluster.query(name, "SELECT result FROM citus_check_cluster_node_health()")
    assert health == [(True,)] * len(cluster.nodes) ** 2
    known = "SELECT groupid, metadatasynced FROM pg_dist_node ORDER BY 1"
    assert cluster.query(name, known) == [(number, True) for number in range(len(cluster.nodes))]


@pytest.mark.parametrize("user", [OWNER, APP])
def test_owner_and_daemon_log_in_to_every_node(
    cluster: CitusCluster, cluster_database_name: str, user: str
) -> None:
    for node in cluster.nodes:
        assert node.query(cluster_database_name, "SELECT session_user::text", user=user) == [
            (user,)
        ]


@pytest.mark.parametrize("how", ["restart", "crash", "kill"])
def test_a_worker_that_was_gone_is_found_again(
    cluster: CitusCluster, readings: str, how: str
) -> None:
    worker = cluster.workers[0].cluster
    if how == "kill":
        clusters.kill(worker)
    else:
        worker.halt("immediate" if how == "crash" else "fast")
    with pytest.raises(psycopg2.OperationalError, match="worker-1"):
        cluster.query(readings, COUNT)
    worker.start()
    assert cluster.query(readings, COUNT) == [(500,)]


def test_a_shard_moves_to_another_worker_with_its_rows(
    cluster: CitusCluster, readings: str
) -> None:
    shard, source = cluster.query(readings, "SELECT shardid, nodename FROM citus_shards LIMIT 1")[0]
    target = next(worker.host for worker in cluster.workers if worker.host != source)
    cluster.query(readings, MOVE, shard, source, target)
    placed = "SELECT shardid, nodename FROM citus_shards"
    assert (shard, target) in cluster.query(readings, placed)
    assert cluster.query(readings, COUNT) == [(500,)]


@pytest.mark.long
def test_a_third_worker_takes_shards_and_is_there_after_a_restart(server_folder: Path) -> None:
    try:
        started = citus_cluster.start(server_folder / "citus", durable=False)
    except CitusMissing as missing:
        pytest.skip(str(missing))
    try:
        started.create_database("fleet")
        for statement in TABLE:
            started.query("fleet", statement)
        started.add_worker("fleet")
        started.query(
            "fleet", "SELECT rebalance_table_shards(shard_transfer_mode := 'block_writes')"
        )
        started.stop()
        started = citus_cluster.start(server_folder / "citus", durable=False)
        nodes = "SELECT DISTINCT nodename FROM citus_shards ORDER BY 1"
        assert [host for (host,) in started.query("fleet", nodes)] == [
            str(server_folder / "citus" / f"worker-{number}") for number in (1, 2, 3)
        ]
        assert started.query("fleet", COUNT) == [(500,)]
    finally:
        started.stop()


def test_binaries_without_the_extension_are_told_with_the_remedy(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BINARIES, raising=False)
    with pytest.raises(CitusMissing, match="POSTGRES_BIN is not set: name the folder"):
        citus_cluster.start(server_folder / "citus")
