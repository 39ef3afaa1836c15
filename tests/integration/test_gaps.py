"""What is live comes first; the gap before it is caught up beside the cycles."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest

from fleetsyncd.database import gaps, measurements
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_terms import change_terms
from fleetsyncd.demo.faults import Faults
from fleetsyncd.errors import DatabaseError
from fleetsyncd.lateness import LONGEST_OVERLAP, Added
from fleetsyncd.models import Window
from fleetsyncd.sync.pull import HISTORY_ROWS
from fleetsyncd.sync.window import MOST_ISLANDS
from fleetsyncd.terms import Given, TermsChange
from tests.integration.rig import Ask, Reply, Rig, rig

HOUR = 3600.0
LIVE = timedelta(seconds=60)


@pytest.fixture
def away(database: Database) -> Iterator[Rig]:
    """A vehicle that was away for three hours."""
    with rig(database, watermark_ago=3 * HOUR, channels=2) as it:
        it.live = LIVE
        yield it


def islands(it: Rig) -> list[Window]:
    return list(it.vehicle().islands)


def asked_windows(it: Rig) -> list[Window]:
    """Return the windows of measurements that the vehicle was asked for, and forget them."""
    windows = []
    for path, query in it.asked:
        told = parse_qs(query)
        if path == "/data" and told["limit"] != [str(HISTORY_ROWS)]:
            windows.append(
                Window(*(datetime.fromisoformat(told[end][0]) for end in ("from", "to")))
            )
    it.asked.clear()
    return windows


def step_back(it: Rig, seconds: float) -> None:
    """Set the vehicle's clock back: what it stamps from then on, nobody has pulled."""
    it.offset -= timedelta(seconds=seconds)
    it.run("DELETE FROM public.measurements WHERE time >= %s", it.now + it.offset)


def finish(it: Rig) -> None:
    """Run cycles and catch-ups until nothing is missing."""
    for _ in range(200):
        it.cycle(after=5)
        while it.catch_up() != "none":
            pass
        if not islands(it) and not it.vehicle().pulled_until:
            return
    raise AssertionError(f"still missing: {it.vehicle()}")


def test_the_first_cycle_after_a_gap_stores_what_is_live_and_no_more(away: Rig) -> None:
    before = away.watermark()
    report = away.cycle()
    assert report.outcome == "ok"
    assert away.watermark() == before, "the gap is not pulled yet"
    assert islands(away) == [Window(away.now - LIVE, away.now)]
    assert asked_windows(away) == [Window(away.now - LIVE, away.now)]
    assert report.live_to == away.now
    assert "it is caught up beside what is live" in str(report.error_msg)
    assert away.compare().clean


def test_alarms_of_the_gap_and_of_what_is_live_are_stored_in_the_first_cycle(
    database: Database,
) -> None:
    with rig(database, watermark_ago=2 * 24 * HOUR) as it:
        it.live = LIVE
        report = it.cycle()
        assert report.alarm_watermark == it.now
        count = it.run("SELECT count(*) FROM public.alarms_log")[0][0]
        assert count
        it.catch_up()
        finish(it)
        assert it.compare().clean


def test_the_watermark_jumps_to_the_end_of_what_is_live_when_the_gap_is_pulled(away: Rig) -> None:
    away.cycle()
    assert away.catch_up().endswith("complete")
    assert (away.watermark(), islands(away)) == (away.now, [])
    state = away.run(
        "SELECT catching_up_from, catching_up_to, catching_up_rows FROM fleetsync.vehicle_state"
    )
    assert state == [(None, None, None)]
    assert away.compare().clean
    assert away.cycle(after=30).error_msg is None
    assert away.compare().clean


def test_the_pace_of_a_gap_counts_the_time_that_storing_takes(
    away: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, advance, told = measurements.add_pulled, gaps.advance_gap, list[float]()

    def slow(*args: Any) -> Added:
        away.now += timedelta(seconds=2)
        return add(*args)

    def noted(cursor: Cursor, update: gaps.GapUpdate) -> tuple[datetime, datetime | None]:
        told.append(update.seconds)
        return advance(cursor, update)

    away.cycle()
    monkeypatch.setattr(measurements, "add_pulled", slow)
    monkeypatch.setattr(gaps, "advance_gap", noted)
    assert away.catch_up().endswith("complete")
    assert told
    assert min(told) >= 2.0


def test_cycles_go_on_at_the_end_of_what_is_live_while_the_gap_is_pulled(
    database: Database,
) -> None:
    with rig(database, watermark_ago=30 * HOUR, channels=1) as it:
        it.live = LIVE
        it.cycle()
        reached = it.watermark()
        assert reached is not None
        for _ in range(3):
            it.asked.clear()
            live_to = islands(it)[-1].end
            overlap = it.vehicle().lateness.overlap
            assert overlap is not None
            live = it.cycle(after=30)
            assert asked_windows(it) == [Window(live_to - overlap, it.now)]
            assert (live.outcome, live.error_msg) == ("ok", None)
            it.now += timedelta(seconds=1)
            assert "stored up to" in it.catch_up(may_go_on=lambda: False)
            assert it.watermark() == reached + timedelta(hours=1) - LONGEST_OVERLAP
            reached = it.watermark()
            assert reached is not None
            assert it.compare().clean
        finish(it)
        assert it.compare().clean


@pytest.mark.parametrize("late", [20, 90])
def test_rows_that_were_committed_after_the_last_pull_before_a_gap_are_stored(
    database: Database, late: int
) -> None:
    with rig(database, channels=2) as it:
        it.live = LIVE
        for _ in range(3):
            it.cycle(after=30)
        it.simulated.faults = Faults(commit_delay_s=late)
        it.run("DELETE FROM measurements WHERE time >= %s", it.now - timedelta(seconds=late))
        it.run("UPDATE fleetsync.vehicle_state SET overlap_ms = 1000, late_ms = 0")
        it.cycle(after=3600)
        finish(it)
        assert it.compare(delay=late).clean


def test_an_attempt_goes_on_where_the_last_one_ended_and_asks_for_nothing_again(
    database: Database,
) -> None:
    with rig(database, watermark_ago=30 * HOUR, channels=1) as it:
        it.live = LIVE
        it.cycle()
        it.asked.clear()
        goes_on_at = None
        windows = []
        for _ in range(3):
            report = it.attempt(may_go_on=lambda: False, goes_on_at=goes_on_at)
            assert report is not None
            goes_on_at = report.reached
            windows += asked_windows(it)
        assert [window.start for window in windows[1:]] == [window.end for window in windows[:-1]]
        it.set_watermark(windows[0].end)
        assert it.attempt(may_go_on=lambda: False, goes_on_at=goes_on_at) is None, "no island"
        it.cycle(after=30)
        it.asked.clear()
        it.attempt(may_go_on=lambda: False, goes_on_at=goes_on_at)
        assert asked_windows(it)[0].start == windows[0].end - LONGEST_OVERLAP


def test_an_interrupted_catch_up_goes_on_where_it_stopped(database: Database) -> None:
    with rig(database, watermark_ago=30 * HOUR, channels=1) as it:
        it.live = LIVE
        it.cycle()
        turns = iter([None, None, None, "stopped with the daemon"])
        assert "stopped with the daemon" in it.catch_up(stopped=lambda: next(turns, "again"))
        reached = it.watermark()
        assert it.compare().clean
        it.asked.clear()
        assert it.catch_up().endswith("complete")
        first = asked_windows(it)[0]
        assert reached is not None
        assert first.start == reached - LONGEST_OVERLAP
        assert it.compare().clean


def test_a_gap_that_fails_says_why_and_leaves_what_is_live_alone(away: Rig) -> None:
    away.cycle()
    assert away.simulated.hook is not None

    def refuse(path: str, query: str, ask: Ask) -> Reply:
        status, body = ask(query)
        return (status, b"[not json") if path == "/data" else (status, body)

    away.simulated.hook, log = refuse, away.simulated.hook
    away.now += timedelta(seconds=1)
    text = away.catch_up()
    assert "/data" in text
    error = away.run("SELECT gap_error FROM fleetsync.vehicle_state")[0][0]
    assert "/data" in error
    assert away.journal()[-1][0] == "error"
    assert away.run("SELECT sync_status FROM public.vehicles") == [("ok",)]
    away.simulated.hook = log
    finish(away)
    assert away.run("SELECT gap_error FROM fleetsync.vehicle_state") == [(None,)]
    assert away.compare().clean


def test_a_vehicle_that_is_gone_again_leaves_an_island_and_begins_another(away: Rig) -> None:
    away.cycle()
    for _ in range(5):
        away.cycle(after=30)
    first = islands(away)[0]
    assert first.length > LONGEST_OVERLAP
    away.cycle(after=2 * HOUR)
    second = Window(away.now - LIVE, away.now)
    assert islands(away) == [first, second]
    away.asked.clear()
    assert away.catch_up().endswith("complete")
    assert away.watermark() == first.end
    assert islands(away) == [second]
    assert away.compare().clean
    assert away.catch_up().endswith("complete")
    assert (away.watermark(), islands(away)) == (second.end, [])
    asked = asked_windows(away)
    assert not [w for w in asked if w.start < first.end - LONGEST_OVERLAP and w.end > first.start]
    assert away.compare().clean


def test_a_short_gap_stays_in_the_cycle(database: Database) -> None:
    with rig(database, watermark_ago=240, channels=1) as it:
        it.live = LIVE
        it.cycle()
        assert (it.watermark(), islands(it)) == (it.now, [])
        assert it.compare().clean


def test_a_first_window_that_is_long_begins_with_what_is_live(database: Database) -> None:
    with rig(database, watermark_ago=None, channels=1) as it:
        it.live = timedelta(seconds=5)
        it.cycle()
        begins = it.now - timedelta(seconds=60)
        assert it.watermark() == begins
        assert islands(it) == [Window(it.now - it.live, it.now)]
        it.start = begins
        it.catch_up()
        assert (it.watermark(), islands(it)) == (it.now, [])
        assert it.compare().clean


def test_of_a_vehicle_with_a_rate_a_cycle_leaves_all_before_what_is_live_to_the_catch_up(
    database: Database,
) -> None:
    with rig(database, watermark_ago=LIVE.total_seconds() + 30, channels=1) as it:
        it.live = LIVE
        rate = TermsChange(gap_kbit=Given(64))
        database.run(lambda c: change_terms(c, it.vehicle_id, rate, 30))
        it.cycle()
        assert asked_windows(it) == [Window(it.now - LIVE, it.now)]
        assert it.catch_up().endswith("complete")
        it.cycle(after=30)
        assert (it.watermark(), islands(it)) == (it.now, [])
        assert it.compare().clean


def test_without_live_windows_a_cycle_pulls_everything_and_forgets_islands(away: Rig) -> None:
    away.cycle()
    away.live = None
    away.cycle(after=30)
    assert (away.watermark(), islands(away)) == (away.now, [])
    assert away.run("SELECT catching_up_from FROM fleetsync.vehicle_state") == [(None,)]
    assert away.compare().clean


def test_a_cycle_and_a_catch_up_that_end_at_once_leave_a_true_watermark(away: Rig) -> None:
    away.cycle()
    texts: list[str] = []

    def meanwhile() -> None:
        if not texts:
            away.client, others = away.connect(*away.simulated.address), away.client
            texts.append(away.catch_up())
            away.client.close()
            away.client = others

    away.cycle(after=30, stopped=meanwhile)
    assert texts[0].endswith("complete")
    assert away.compare().clean
    assert away.catch_up() == "none"
    assert (away.watermark(), islands(away)) == (away.now, [])
    assert away.compare().clean


def test_a_watermark_that_is_set_back_makes_a_gap_before_what_is_live(away: Rig) -> None:
    away.cycle()
    away.catch_up()
    back = away.now - timedelta(hours=2)
    away.set_watermark(back)
    away.run("DELETE FROM public.measurements WHERE time >= %s", back)
    away.cycle(after=30)
    assert away.watermark() == back
    finish(away)
    assert away.compare().clean


def test_a_catch_up_whose_watermark_was_set_back_stores_nothing_more(away: Rig) -> None:
    away.cycle()
    begun = away.watermark()
    assert begun is not None
    back = begun - timedelta(hours=1)
    stale = away.vehicle()
    away.set_watermark(back)
    update = gaps.GapUpdate(
        vehicle=stale,
        watermark=begun + timedelta(hours=1),
        hint=None,
        rows=0,
        added=0,
        seconds=0,
        covered=timedelta(0),
    )
    with pytest.raises(DatabaseError, match="set back meanwhile"):
        away.database.run(lambda cursor: gaps.advance_gap(cursor, update))
    assert away.watermark() == back


def test_a_catch_up_does_not_pass_a_clock_that_was_set_back_meanwhile(away: Rig) -> None:
    away.cycle()
    stale = away.vehicle()
    away.offset = timedelta(minutes=-40)
    away.cycle(after=30)
    behind = islands(away)[0].start
    assert behind < stale.islands[0].start, "the gap ends earlier now"
    update = gaps.GapUpdate(
        vehicle=stale,
        watermark=stale.islands[0].start,
        hint=None,
        rows=0,
        added=0,
        seconds=0,
        covered=timedelta(0),
    )
    with pytest.raises(DatabaseError, match="clock was set back meanwhile"):
        away.database.run(lambda cursor: gaps.advance_gap(cursor, update))
    assert away.watermark() == stale.watermark
    reached, _ = away.database.run(
        lambda cursor: gaps.advance_gap(cursor, replace(update, watermark=behind))
    )
    assert reached == behind, "up to there the gap is the same"


def test_no_vehicle_has_more_islands_than_are_kept(away: Rig) -> None:
    away.cycle()
    for _ in range(MOST_ISLANDS + 3):
        away.cycle(after=400)
        assert len(islands(away)) <= MOST_ISLANDS
    finish(away)
    assert away.compare().clean


def test_a_clock_that_is_set_back_behind_what_is_live_hides_nothing(away: Rig) -> None:
    away.cycle()
    away.cycle(after=30)
    step_back(away, 2400)
    away.cycle(after=30)
    assert islands(away)[-1].end == away.now + away.offset
    for _ in range(4):
        away.cycle(after=30)
    away.offset = timedelta(0)
    away.cycle(after=30)
    finish(away)
    assert away.compare().clean


def test_a_clock_that_is_set_back_behind_the_watermark_hides_nothing(away: Rig) -> None:
    away.cycle()
    step_back(away, 4 * HOUR)
    away.cycle(after=30)
    assert away.vehicle().pulled_until is not None
    away.cycle(after=30)
    away.offset = timedelta(0)
    away.cycle(after=30)
    finish(away)
    assert away.compare().clean


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_meanwhile_nothing_is_lost_and_the_watermark_is_true(
    database: Database, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  a test's own choices
    with rig(database, watermark_ago=1800, channels=1) as it:
        it.live = LIVE
        for _ in range(30):
            what = chance.choice(
                ("live", "live", "away", "gap", "slice", "stop", "clock", "back", "right")
            )
            if what == "away":
                it.now += timedelta(seconds=chance.choice((120, 400, 2000)))
            elif what == "clock":
                it.offset += timedelta(seconds=chance.choice((30, 600)))
            elif what == "back":
                step_back(it, chance.choice((900, 300, 30)))
                it.cycle(after=1)
            elif what == "right":
                it.offset = timedelta(0)
            elif what == "gap":
                it.catch_up()
            elif what == "slice":
                it.catch_up(may_go_on=lambda: False)
            elif what == "stop":
                turns: Iterator[str | None] = iter([None])
                it.catch_up(stopped=partial(next, turns, "stopped"))
            else:
                it.cycle(after=30)
            if it.offset == timedelta(0) and not it.vehicle().pulled_until:
                found = it.compare()
                assert (found.altered, found.unexpected) == (0, 0), found.examples
        it.offset = timedelta(0)
        it.cycle(after=30)
        finish(it)
        found = it.compare()
        assert found.clean, found.examples


@pytest.mark.parametrize("old_version", [False, True])
def test_a_cycle_that_pulls_everything_keeps_no_island_that_a_step_back_made_untrue(
    away: Rig, *, old_version: bool
) -> None:
    away.cycle()
    for _ in range(20):
        away.cycle(after=30)
    stale = away.run("SELECT islands::text FROM fleetsync.vehicle_state")[0][0]
    step_back(away, 300)
    away.live = None
    away.cycle(after=30)
    if old_version:  # it knows no islands, and does not date what it writes
        away.run(
            "UPDATE fleetsync.vehicle_state SET islands = %s::tstzmultirange,"
            " updated_at = updated_at + interval '1 ms'",
            stale,
        )
    away.live = LIVE
    away.cycle(after=30)
    away.offset = timedelta(0)
    finish(away)
    found = away.compare()
    assert found.clean, found.examples


@pytest.mark.parametrize("moment", ["before", "within"])
def test_a_step_back_is_heeded_though_the_catch_up_ends_meanwhile(
    away: Rig, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away.cycle()
    for _ in range(8):
        away.cycle(after=30)
    known = away.vehicle()
    if moment == "before":
        away.catch_up()
    step_back(away, 120)
    monkeypatch.setattr(away, "vehicle", lambda: known)
    ended: list[str] = []

    def meanwhile() -> None:
        if moment == "within" and not ended:
            ended.append("")
            away.client, others = away.connect(*away.simulated.address), away.client
            assert away.catch_up().endswith("complete")
            away.client.close()
            away.client = others

    away.cycle(after=30, stopped=meanwhile)
    monkeypatch.undo()
    for _ in range(8):
        away.cycle(after=30)
    finish(away)
    found = away.compare()
    assert found.clean, found.examples


@pytest.mark.parametrize("overlap", [300, 1200])
def test_an_overlap_longer_than_a_live_window_is_asked_again_in_every_cycle(
    database: Database, overlap: int
) -> None:
    with rig(database, watermark_ago=240, channels=1, faults=Faults(commit_delay_s=200)) as it:
        it.live = LIVE
        it.overlap = timedelta(seconds=overlap)
        for _ in range(30):
            it.cycle(after=30)
            while it.catch_up() != "none":
                pass
        it.now += timedelta(seconds=10)
        found = it.compare(delay=200)
        assert found.clean, found.examples
        it.now += timedelta(hours=2)
        finish(it)
        found = it.compare(delay=200)
        assert found.clean, found.examples


@pytest.mark.parametrize("back_to", [4 * HOUR, None])
def test_a_watermark_that_is_set_back_makes_islands_void(away: Rig, back_to: float | None) -> None:
    away.cycle()
    for _ in range(10):
        away.cycle(after=30)
    since = away.now - timedelta(seconds=back_to or 30)
    away.run("DELETE FROM public.measurements WHERE time >= %s", since)
    away.run("DELETE FROM public.alarms_log")
    away.start = since
    away.set_watermark(None if back_to is None else since)
    away.cycle(after=30)
    finish(away)
    found = away.compare()
    assert found.clean, found.examples


def test_alarms_of_a_time_that_was_set_back_to_are_asked_for_again(database: Database) -> None:
    with rig(database, watermark_ago=24 * HOUR) as it:
        it.live = LIVE
        it.cycle()
        it.catch_up()
        it.run("DELETE FROM public.alarms_log")
        it.set_watermark(it.now - timedelta(hours=20))
        it.start = it.now - timedelta(hours=20)
        it.cycle(after=30)
        finish(it)
        found = it.compare()
        assert found.clean, found.examples


def test_an_island_before_the_watermark_is_no_gap(away: Rig) -> None:
    away.cycle()
    away.set_watermark(away.now + timedelta(seconds=1))
    assert away.database.run(lambda c: gaps.open_gaps(c, set())) == []


def test_a_window_ahead_of_a_gap_is_an_island_whatever_was_restored_meanwhile(away: Rig) -> None:
    """The database may go back between a cycle's first look and its commit."""
    away.cycle()
    snapshot = away.run("SELECT islands::text FROM fleetsync.vehicle_state")[0][0]
    away.cycle(after=30)
    log = away.simulated.hook
    assert log is not None

    def restore(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data":
            away.simulated.hook = log
            away.run("UPDATE fleetsync.vehicle_state SET islands = %s::tstzmultirange", snapshot)
        return log(path, query, ask)

    away.simulated.hook = restore
    away.cycle(after=30)
    assert len(islands(away)) == 2, "what was restored away is a gap again"
    finish(away)
    assert away.compare().clean
