"""Minutes of what the daemon pulls: cycles, late commits, gaps, backfills, audits, replays."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from fleetsyncd.database import audits, backfills
from fleetsyncd.database.pool import Database
from fleetsyncd.models import Window
from fleetsyncd.sync.replay import replay
from tests.integration.rig import Rig, rig
from tests.integration.test_minutes import due, expected, keep_all, stored

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Picture = dict[tuple[Any, ...], Any]


def picture(found: set[tuple[Any, ...]]) -> Picture:
    """Return minutes by their key; sums depend on the order of adding in their last digits."""
    return {row[:3]: pytest.approx(row[3:], rel=1e-9) for row in found}


def assert_exact(database: Database) -> None:
    assert {row[:3]: row[3:] for row in stored(database)} == picture(expected(database))


@pytest.fixture
def pulled(database: Database) -> Iterator[Rig]:
    """Return a vehicle that was pulled for twenty minutes, three hours ago."""
    with rig(database, channels=3) as it:
        it.now -= 3 * HOUR
        it.set_watermark(it.now - 20 * MINUTE)
        it.cycle()
        keep_all(database)
        assert_exact(database)
        assert stored(database)
        yield it


def test_cycles_are_followed(database: Database, pulled: Rig) -> None:
    for after in (30, 600, 1, 1800, 300):
        pulled.cycle(after=after)
        keep_all(database)
        assert_exact(database)
    assert not due(database)
    watermark = pulled.watermark()
    assert watermark is not None
    newest = max(row[2] for row in stored(database))
    assert watermark - newest <= 7 * MINUTE


def test_a_backfill_of_a_time_before_changes_the_minutes_that_it_touches(
    database: Database, pulled: Rig
) -> None:
    window = Window(pulled.now - 50 * MINUTE, pulled.now - 10 * MINUTE)
    pulled.database.run(lambda c: backfills.request_backfill(c, pulled.vehicle_id, window))
    pulled.backfill()
    assert due(database)
    keep_all(database)
    assert_exact(database)
    assert len(stored(database)) >= 3 * 45


def test_rows_that_an_audit_finds_come_in(database: Database, pulled: Rig) -> None:
    pulled.cycle(after=1800)
    lost = Window(pulled.now - 20 * MINUTE, pulled.now - 15 * MINUTE)
    # Before its minutes are computed, as if the vehicle had committed them late.
    pulled.run(
        "DELETE FROM measurements WHERE time >= %s AND time < %s AND channel_id = 1",
        lost.start, lost.end,
    )  # fmt: skip
    keep_all(database)
    assert_exact(database)
    start = pulled.now - HOUR / 2
    pulled.database.run(
        lambda c: audits.request_audit(c, pulled.vehicle_id, start, pulled.now, report_only=False)
    )
    pulled.audit()
    assert due(database)
    keep_all(database)
    assert_exact(database)


def test_a_watermark_that_is_set_back_does_no_harm(database: Database, pulled: Rig) -> None:
    pulled.set_watermark(pulled.now - HOUR)
    keep_all(database)
    assert_exact(database)
    pulled.cycle(after=10)
    keep_all(database)
    assert_exact(database)


def test_a_clock_that_is_set_back_does_no_harm(database: Database, pulled: Rig) -> None:
    pulled.offset = -15 * MINUTE
    for after in (30, 30, 1800):
        pulled.cycle(after=after)
        keep_all(database)
        assert_exact(database)


def test_what_is_replayed_comes_in(database: Database, pulled: Rig) -> None:
    at = pulled.now - 10 * MINUTE
    raw = f'{{"channel_id": 99, "time": "{at:%Y-%m-%dT%H:%M:%S.5Z}", "value": 4.5}}'
    pulled.run(
        "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason)"
        " VALUES (%s::uuid, gen_random_uuid(), '/data', %s, 'made by hand')",
        str(pulled.vehicle_id), raw,
    )  # fmt: skip
    context = pulled.context()
    replay(database, context.partitions, context.accepted_interval)
    assert len(due(database)) == 1
    keep_all(database)
    assert_exact(database)
    assert [row[3:5] for row in stored(database) if row[1] == 99] == [(1, 4.5)]


def test_a_gap_is_followed_as_it_is_pulled(database: Database) -> None:
    with rig(database, channels=2) as it:
        it.live = 2 * MINUTE
        it.now -= HOUR
        it.set_watermark(it.now - 5 * HOUR)
        it.cycle()
        keep_all(database)
        questions = iter([None] * 4)
        it.catch_up(stopped=lambda: next(questions, "stopped"))
        keep_all(database)
        assert_exact(database)
        it.catch_up()
        keep_all(database)
        assert_exact(database)
        assert not due(database)
        assert len(stored(database)) >= 2 * 280
