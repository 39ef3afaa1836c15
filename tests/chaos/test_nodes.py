from contextlib import closing
from random import Random
from threading import Lock

import pytest

from fleetsyncd.database import vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now
from tests import clustered
from tests.chaos import kinds
from tests.chaos.nodes import ClusterFaults

MONTHS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.measurements'::regclass"
COUNT = "SELECT count(*) FROM public.measurements"


@pytest.mark.long
def test_every_fault_of_the_nodes_strikes_and_leaves_nothing_behind(
    cluster: CitusCluster, cluster_database_name: str
) -> None:
    name = cluster_database_name
    clustered.migrated(cluster, name)
    clustered.distribute(cluster, name)
    faults = ClusterFaults(cluster, name, Lock())
    with closing(Database(DatabaseSettings(cluster.parameters(name)))) as database:
        database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.17", 8001, None))
        Partitions(database).ensure(utc_now(), utc_now())
        for kind in kinds.CLUSTER:
            database.run(lambda cursor: cursor.execute(COUNT))  # of which the workers keep sessions
            faults.strike(kind, Random(kind))
            assert faults.settle() == 0
            assert faults.counts[kind] == 1, kind
    for node in cluster.nodes:
        assert node.query(name, MONTHS) == [(1,)]
