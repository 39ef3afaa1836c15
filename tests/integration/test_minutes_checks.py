"""What operators are told of minutes: doctor's check, and the progress that it follows from."""

from datetime import timedelta
from uuid import UUID

import pytest

from fleetsyncd.database import minutes, vehicles
from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema.fleet_checks import check_minutes
from fleetsyncd.database.shard_locks import SHARDS, shard_of
from fleetsyncd.database.views.minutes import MinutesProgress, minutes_progress
from fleetsyncd.findings import Level
from tests.integration.test_minutes import (
    HOUR,
    NOON,
    SECOND,
    ask,
    keep_all,
    pulled,
    rows,
    set_watermark,
    store_rows,
)


@pytest.fixture
def kept(database: Database) -> UUID:
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    pulled(database, truck, NOON, 3600)
    keep_all(database)
    return truck


def told(database: Database, keep_months: int | None = 0) -> list[tuple[Level, str]]:
    policy = RetentionPolicy(None, None, None, minutes_keep_months=keep_months)
    found = database.run(lambda cursor: list(check_minutes(cursor, policy)))
    return [(each.level, each.text) for each in found]


def test_doctor_tells_how_far_minutes_are(database: Database, kept: UUID) -> None:
    assert told(database, None) == []
    assert told(database) == [(Level.OK, "complete for 1 vehicle(s)")]
    store_rows(database, kept, rows(NOON + SECOND / 2, 3))
    due = "past ones of 1 vehicle(s) are still to be computed"
    assert told(database) == [(Level.OK, due)]
    set_watermark(database, kept, NOON + 4 * HOUR)
    assert told(database) == [(Level.WARNING, "they are 3h behind the measurements")]


@pytest.mark.parametrize("watermark", ["infinity", "-infinity", None])
def test_a_watermark_that_others_wrote_keeps_nobody_from_being_kept(
    database: Database, kept: UUID, watermark: str | None
) -> None:
    other = database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.2", 8001, None))
    for each in (other, kept):
        ask(
            database, "UPDATE vehicles SET last_sync_at = %s WHERE id = %s::uuid",
            watermark, str(each),
        )  # fmt: skip
    database.run(minutes.begin)
    database.run(minutes.waiting)
    progress = database.run(minutes_progress)
    assert progress.behind <= timedelta(0) or watermark == "infinity"
    assert isinstance(progress, MinutesProgress)


def test_only_the_vehicles_of_these_shards_count(database: Database, kept: UUID) -> None:
    mine = shard_of(kept)
    others = [shard for shard in range(SHARDS) if shard != mine]
    pulled(database, kept, NOON + HOUR, 3600)
    assert database.run(lambda c: minutes_progress(c, [mine])).vehicles == 1
    assert database.run(lambda c: minutes_progress(c, others)).vehicles == 0
    assert database.run(lambda c: minutes.waiting(c, [mine])) == [kept]
    assert database.run(lambda c: minutes.waiting(c, others)) == []
