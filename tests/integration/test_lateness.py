"""Rows that a vehicle commits late, met by its own cycles."""

from datetime import timedelta
from functools import partial

from fleetsyncd.database import vehicle_memory
from fleetsyncd.database.pool import Database
from tests.integration.rig import rig


def test_lateness_that_others_find_only_grows_and_has_a_limit(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        known = []
        for seconds in (8, 3, 500):
            late = timedelta(seconds=seconds)
            it.database.run(
                partial(vehicle_memory.learn_lateness, vehicle_id=it.vehicle_id, late=late)
            )
            known += it.run("SELECT late_ms, overlap_ms FROM fleetsync.vehicle_state")
        assert known == [(8_000, 16_000), (8_000, 16_000), (120_000, 120_000)]
