"""What is known of a removed vehicle's past is true again at its return."""

from datetime import datetime, timedelta

import pytest

from fleetsyncd.database import removal, removed_vehicles, restoration
from fleetsyncd.database.pool import Database
from fleetsyncd.database.restoration import NewRegistration
from tests.integration.rig import KEY, Rig, rig

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
COVERED = "SELECT kind, from_at, to_at FROM fleetsync.coverage ORDER BY from_at"


def remove(it: Rig) -> None:
    removal.remove_vehicles(it.database, [it.vehicle_id], with_measurements=False)


def restore(it: Rig) -> None:
    key = str(it.vehicle_id)
    it.database.run(
        lambda c: restoration.restore(
            c, removed_vehicles.find_removed(c, key), NewRegistration(key=KEY)
        )
    )


@pytest.mark.parametrize("removed", [False, True])
def test_what_a_clock_that_was_behind_has_stamped_meanwhile_is_pulled(
    database: Database, removed: bool
) -> None:
    with rig(database, watermark_ago=300, channels=1) as it:
        it.live = 120 * SECOND
        it.cycle()
        it.offset = -2 * HOUR
        for _ in range(4):
            it.cycle(after=30)
        asked_to = it.vehicle().pulled_until
        if removed:
            remove(it)
        it.now += HOUR / 2
        stamped = it.now + it.offset
        it.offset = timedelta(0)
        it.now += 6 * HOUR
        if removed:
            restore(it)
        it.cycle(after=30)
        while it.catch_up() != "none":
            pass
        times = "SELECT count(*) FROM measurements WHERE time >= %s AND time < %s"
        assert it.run(times, asked_to, stamped)[0][0] > 1_700


def test_what_is_lost_is_lost_still_at_the_return(database: Database) -> None:
    with rig(database, watermark_ago=3 * 3600, channels=1) as it:
        it.cycle()
        lost = {
            "gone for good": (it.now - 2 * HOUR, it.now - 1.5 * HOUR),
            "missing by audit": (it.now - HOUR, it.now - HOUR / 2),
        }
        for kind, (start, end) in lost.items():
            it.run(
                "INSERT INTO fleetsync.lost_interval (vehicle_id, kind, from_at, to_at)"
                " SELECT id, %s, %s, %s FROM vehicles",
                kind,
                start,
                end,
            )
        begun = it.now - 3 * HOUR
        it.run("UPDATE fleetsync.vehicle_state SET covered_from = %s", begun)
        before = covered(it)
        assert before[0] == ("complete", begun, it.now - 2 * HOUR)
        assert len(before) == 5
        remove(it)
        restore(it)
        assert covered(it) == before


def covered(it: Rig) -> list[tuple[str, datetime, datetime]]:
    return [(kind, start, end) for kind, start, end in it.run(COVERED)]
