"""A vehicle that drops a part of its history while an interval of it is pulled."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import parse_qs

import pytest

from fleetsyncd.database import backfills
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.backfills import backfill_statuses
from fleetsyncd.models import Window
from fleetsyncd.sync.dropping import MOST_FAILED
from fleetsyncd.sync.pull import HISTORY_ROWS
from tests.integration.rig import Ask, Reply, Rig, rig

HOUR = timedelta(hours=1)
LOOK = f"limit={HISTORY_ROWS}"
PIECE = timedelta(minutes=2)
"""A channel may be quiet for so long."""


@pytest.fixture
def away(database: Database) -> Iterator[Rig]:
    """A vehicle that was away for thirty hours, and keeps all of them."""
    with rig(database, watermark_ago=30 * 3600, channels=1) as it:
        it.live = timedelta(seconds=60)
        yield it


def drop_after(it: Rig, answers: int, *begins: timedelta) -> None:
    """Let the vehicle's history begin so long ago once it has given so many answers; so again."""
    given, steps = 0, list(begins)

    def drop(path: str, query: str, ask: Ask) -> Reply:
        nonlocal given
        it.asked.append((path, query))
        if path == "/data" and LOOK not in query:
            given += 1
            if steps and given > answers * (len(begins) - len(steps) + 1):
                it.simulated.history_start_ms = int((it.now - steps.pop(0)).timestamp() * 1000)
        return ask(query)

    it.simulated.hook = drop


def fail_looks(it: Rig, *which: int) -> Callable[[], int]:
    """Let these of the questions where the history begins fail; return what counts all of them."""
    answer = it.simulated.hook
    assert answer is not None
    looks = 0

    def fail(path: str, query: str, ask: Ask) -> Reply:
        nonlocal looks
        looks += LOOK in query
        if LOOK in query and looks in which:
            return HTTPStatus.SERVICE_UNAVAILABLE, b"{}"
        return answer(path, query, ask)

    it.simulated.hook = fail
    return lambda: looks


def lost(it: Rig) -> list[Window]:
    rows = it.run("SELECT from_at, to_at FROM fleetsync.lost_interval ORDER BY from_at")
    return [Window(*row) for row in rows]


def holes(it: Rig, since: datetime) -> list[Window]:
    """Return the intervals of which no row is stored, before what is live."""
    rows = it.run(
        "SELECT * FROM (SELECT time, lead(time) OVER (ORDER BY time) AS next FROM measurements"
        " WHERE time >= %s) pair WHERE next - time > %s",
        since,
        PIECE,
    )
    return [Window(*row) for row in rows]


def test_what_is_dropped_at_once_while_a_gap_is_pulled_is_gone_for_good(away: Rig) -> None:
    away.cycle()
    drop_after(away, 4, 10 * HOUR)
    text = away.catch_up()
    assert away.start is not None
    (hole,) = holes(away, away.start)
    assert hole.length > 10 * HOUR, "the vehicle dropped it before it was pulled"
    (gone,) = lost(away)
    assert abs(gone.start - hole.start) < PIECE
    assert abs(gone.end - hole.end) < PIECE
    assert text.count("gone for good") == 1
    assert "complete" in text


def test_what_is_dropped_again_and_again_is_gone_each_time(away: Rig) -> None:
    away.cycle()
    drop_after(away, 8, 20 * HOUR, 8 * HOUR)
    while away.catch_up() != "none":
        pass
    assert away.start is not None
    gone, missing = lost(away), holes(away, away.start)
    assert len(gone) == len(missing) > 1
    for each, hole in zip(gone, missing, strict=True):
        assert abs(each.start - hole.start) < PIECE
        assert abs(each.end - hole.end) < PIECE


def test_what_is_dropped_during_a_long_cycle_is_gone_for_good(away: Rig) -> None:
    away.live = None
    drop_after(away, 4, 10 * HOUR)
    report = away.cycle()
    assert away.start is not None
    (hole,) = holes(away, away.start)
    (gone,) = lost(away)
    assert abs(gone.start - hole.start) < PIECE
    assert abs(gone.end - hole.end) < PIECE
    assert str(report.error_msg).count("gone for good") == 1


def test_a_night_without_measurements_is_not_gone(away: Rig) -> None:
    night = Window(away.now - 20 * HOUR, away.now - 10 * HOUR)

    def parked(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data" and LOOK not in query:
            (begin,) = parse_qs(query)["from"]
            if night.start <= datetime.fromisoformat(begin) < night.end:
                return HTTPStatus.OK, b'{"count":0,"truncated":false,"rows":[]}'
        return ask(query)

    away.cycle()
    away.simulated.hook = parked
    assert "gone for good" not in away.catch_up()
    assert holes(away, night.start)
    assert lost(away) == []


def test_a_question_that_fails_meanwhile_does_not_keep_the_rest_of_the_gap(away: Rig) -> None:
    away.cycle()
    drop_after(away, 4, 10 * HOUR)
    looks = fail_looks(away, *range(2, 100))
    text = away.catch_up()
    assert text.count("how much is gone for good is not known") == 1
    assert "complete" in text
    assert looks() == 1 + MOST_FAILED


def test_what_is_dropped_is_gone_for_good_though_a_question_about_it_fails_once(
    away: Rig,
) -> None:
    away.cycle()
    drop_after(away, 4, 10 * HOUR)
    fail_looks(away, 2)
    text = away.catch_up()
    assert away.start is not None
    (hole,) = holes(away, away.start)
    gone = lost(away)
    assert abs(gone[0].start - hole.start) < PIECE
    assert abs(gone[-1].end - hole.end) < PIECE
    assert sum((each.length for each in gone), timedelta(0)) > hole.length - 2 * PIECE
    assert "not known" not in text


def test_what_was_dropped_before_is_gone_for_good_though_the_first_question_fails(
    away: Rig,
) -> None:
    away.cycle()
    away.simulated.history_start_ms = int((away.now - 10 * HOUR).timestamp() * 1000)
    fail_looks(away, 1)
    text = away.catch_up()
    assert away.start is not None
    (gone,) = lost(away)
    assert gone.start == away.start
    assert abs(gone.end - (away.now - 10 * HOUR)) < PIECE
    assert "not known" not in text


def test_what_is_stored_is_not_told_as_gone_when_a_gap_goes_on(away: Rig) -> None:
    away.cycle()
    turns = iter([True, True, False])
    away.attempt(may_go_on=lambda: next(turns))
    reached = away.watermark()
    assert reached is not None
    # Of what is asked for once more, since rows may be late.
    begins = reached - timedelta(seconds=20)
    away.simulated.history_start_ms = int(begins.timestamp() * 1000)
    away.now += timedelta(minutes=12)
    assert "gone for good" not in away.catch_up()
    assert lost(away) == []


def test_what_is_dropped_while_it_is_backfilled_counts_as_gone(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        it.cycle()
        window = Window(it.now - 30 * HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        drop_after(it, 4, 10 * HOUR)
        assert it.backfill().count("gone for good") == 1
        (hole,) = holes(it, window.start)
        done = it.database.run(lambda c: backfill_statuses(c, [it.vehicle_id]))[it.vehicle_id]
        assert done.gone_sec == pytest.approx(hole.length.total_seconds(), abs=60)
        assert not done.is_whole
