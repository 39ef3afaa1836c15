from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.models import Outcome
from tests.integration.rig import rig

HOUR = timedelta(hours=1)


def test_a_clock_behind_ends_the_watermark_at_the_vehicles_own_time(database: Database) -> None:
    with rig(database) as it:
        it.offset = timedelta(seconds=-40)
        for _ in range(3):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert it.watermark() == it.now - timedelta(seconds=40)
        assert it.compare().clean


def test_a_clock_ahead_never_pushes_the_watermark_into_the_future(database: Database) -> None:
    with rig(database) as it:
        it.offset = HOUR
        for _ in range(3):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert it.watermark() == it.now
        assert it.compare().clean


def test_what_a_clock_ahead_stamped_is_stored_when_its_time_comes(database: Database) -> None:
    with rig(database) as it:
        it.offset = timedelta(minutes=5)
        it.cycle(after=30)
        it.offset = timedelta(0)
        it.cycle(after=30)
        it.cycle(after=600)
        assert it.compare().clean


def test_a_clock_set_back_loses_no_row_before_the_watermark(database: Database) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        reached = it.watermark()
        it.offset = -HOUR
        first_row_after = it.now + it.offset
        it.run("DELETE FROM measurements WHERE time >= %s", first_row_after)
        it.cycle(after=30)
        it.cycle(after=30)
        again = it.run(
            "SELECT count(DISTINCT date_trunc('second', time)) FROM measurements"
            " WHERE time >= %s AND time < %s",
            first_row_after,
            it.now + it.offset,
        )
        assert again == [(60,)]
        assert it.watermark() == reached
        assert it.vehicle().pulled_until == it.now + it.offset


def test_when_the_clock_is_right_again_the_pull_goes_on_from_the_watermark(
    database: Database,
) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        it.offset = -HOUR
        it.cycle(after=30)
        it.offset = timedelta(0)
        it.cycle(after=30)
        assert it.watermark() == it.now
        assert it.vehicle().pulled_until is None
        assert it.compare().clean


def test_a_clock_at_1970_is_an_error_of_its_own_and_moves_nothing(database: Database) -> None:
    with rig(database) as it:
        before = it.watermark()
        it.offset = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=3) - it.now
        assert it.cycle().outcome is Outcome.ERROR
        assert "clock says 1970-01-01 00:03: set it" in it.journal()[0][2]
        assert it.watermark() == before
        assert it.run("SELECT count(*) FROM measurements") == [(0,)]
        it.offset = timedelta(0)
        it.cycle(after=30)
        assert it.compare().clean


def test_an_answer_without_a_date_does_not_move_the_watermark_past_a_slow_clock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig(database) as it:
        it.offset = timedelta(seconds=-40)
        it.cycle(after=30)
        status = it.client.status
        with monkeypatch.context() as mute:
            mute.setattr(it.client, "status", lambda: replace(status(), clock=None))
            assert it.cycle(after=30).outcome is Outcome.OK
            assert it.watermark() == it.now - timedelta(seconds=40)
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_a_daemons_clock_set_back_is_reported_and_loses_nothing_once_it_is_right(
    database: Database,
) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        it.now -= HOUR
        for _ in range(2):
            assert it.cycle(after=30).outcome is Outcome.OK
            assert "is ahead of this host's clock" in it.journal()[-1][2]
        it.now += HOUR
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.journal()[-1][2] is None
        assert it.compare().clean


def test_our_own_clock_a_day_ahead_moves_no_watermark_and_loses_nothing(database: Database) -> None:
    # What is missed while a clock seems to be a day behind is asked for again: a whole day.
    with rig(database, channels=2) as it:
        it.cycle(after=30)
        it.now, it.offset = it.now + 24 * HOUR, -24 * HOUR
        for _ in range(2):
            assert it.cycle(after=30).outcome is Outcome.OK
            mark = it.watermark()
            assert mark is not None
            assert mark <= it.now - 24 * HOUR
        it.now, it.offset = it.now - 24 * HOUR, timedelta(0)
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_two_pulls_in_one_moment_are_both_well(database: Database) -> None:
    with rig(database) as it:
        it.overlap = timedelta(0)
        for _ in range(2):
            assert it.cycle().outcome is Outcome.OK
        assert it.watermark() == it.now
