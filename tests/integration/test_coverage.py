"""What of a vehicle's time is stored, missing or lost, as the view `fleetsync.coverage` says."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from fleetsyncd.database import audits, backfills, gaps, losses
from fleetsyncd.database.gaps import OpenGap
from fleetsyncd.database.pool import Database
from fleetsyncd.database.removal import remove_vehicles
from fleetsyncd.database.schema.fleet_checks import check_gaps
from fleetsyncd.database.views.coverage import Coverage, vehicle_coverage
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.models import HistoryLook, Window
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.sync.catch_up_runner import CatchUpRunner
from fleetsyncd.sync.history import LOOK_AGAIN
from fleetsyncd.sync.pull import HISTORY_ROWS
from tests.integration.rig import Rig, rig

HOUR = timedelta(hours=1)
LIVE = timedelta(seconds=60)
Parts = list[tuple[str, datetime | None, datetime | None]]


@pytest.fixture
def away(database: Database) -> Iterator[Rig]:
    """A vehicle that was away for three hours."""
    with rig(database, watermark_ago=3 * 3600, channels=1) as it:
        it.live = LIVE
        yield it


@pytest.fixture
def dropping(database: Database) -> Iterator[Rig]:
    """A vehicle that was away for forty hours, and keeps only two."""
    with rig(database, watermark_ago=40 * 3600, channels=1, history_s=7200) as it:
        it.live = LIVE
        yield it


def coverage(it: Rig) -> Parts:
    found = it.database.run(lambda cursor: vehicle_coverage(cursor, it.vehicle_id))
    return [(part.kind.value, part.from_at, part.to_at) for part in found]


def lost(it: Rig) -> list[Window]:
    rows = it.run("SELECT from_at, to_at FROM fleetsync.lost_interval ORDER BY from_at")
    return [Window(*row) for row in rows]


def record(it: Rig, start: int, end: int, kind: str = losses.GONE) -> None:
    """Record that an interval is lost that began and ended so many hours ago."""
    window = Window(it.now - start * HOUR, it.now - end * HOUR)
    it.database.run(lambda cursor: losses.record_loss(cursor, it.vehicle_id, window, kind))


def shown(it: Rig) -> VehicleOverview:
    (vehicle,) = it.database.run(lambda cursor: fleet_overview(cursor, 30))
    return vehicle


def looks(it: Rig) -> int:
    """Return how often the vehicle was asked where its history begins, and forget it."""
    count = sum(f"limit={HISTORY_ROWS}" in query.split("&") for _path, query in it.asked)
    it.asked.clear()
    return count


def test_a_vehicle_that_was_never_pulled_has_no_coverage(database: Database) -> None:
    with rig(database, watermark_ago=None) as it:
        assert coverage(it) == []


def test_coverage_of_a_new_vehicle_begins_with_its_first_window(database: Database) -> None:
    with rig(database, watermark_ago=None, channels=1) as it:
        begun = it.now - timedelta(seconds=60)
        it.cycle()
        assert coverage(it) == [("complete", begun, it.now)]
        it.cycle(after=30)
        assert coverage(it) == [("complete", begun, it.now)]


def test_where_coverage_begins_is_not_known_of_a_watermark_that_was_there(away: Rig) -> None:
    assert coverage(away)[0] == ("complete", None, away.watermark())


def test_a_gap_lies_between_what_is_complete_and_what_is_live(away: Rig) -> None:
    known = away.watermark()
    away.cycle()
    begun = away.now - LIVE
    assert coverage(away) == [
        ("complete", None, known),
        ("gap", known, begun),
        ("live island", begun, away.now),
    ]
    away.catch_up()
    assert coverage(away) == [("complete", None, away.now)]


def test_a_vehicle_that_is_silent_has_a_gap_up_to_now(away: Rig) -> None:
    complete, gap = coverage(away)
    assert complete[0] == "complete"
    assert gap[:2] == ("gap", away.watermark())
    assert gap[2] is not None
    assert gap[2] >= away.now


@pytest.mark.parametrize("asked_rarely", ["its own terms", "the daemon"])
def test_what_comes_with_the_next_cycle_of_a_vehicle_that_is_asked_rarely_is_no_gap(
    database: Database, asked_rarely: str
) -> None:
    with rig(database, watermark_ago=600, channels=1) as it:
        complete = [("complete", None, it.watermark())]
        assert len(coverage(it)) == 2, "five minutes, with an interval of 30 s"
        if asked_rarely == "the daemon":
            every(it, 250)
            assert coverage(it) == complete
            every(it, 150)
        else:
            set_interval(it, 250)
            assert coverage(it) == complete
            set_interval(it, 150)
        assert [part[0] for part in coverage(it)] == ["complete", "gap"]


def every(it: Rig, seconds: float) -> None:
    """Let a daemon run that asks the fleet so often."""
    it.run(
        "INSERT INTO fleetsync.replica AS r (id, host, pid, version, interval_sec)"
        " VALUES (%s::uuid, 'here', 1, '1', %s)"
        " ON CONFLICT (id) DO UPDATE SET interval_sec = excluded.interval_sec",
        str(it.vehicle_id),
        seconds,
    )


def set_interval(it: Rig, seconds: float) -> None:
    it.run(
        "INSERT INTO fleetsync.vehicle_terms (vehicle_id, interval_sec) VALUES (%s::uuid, %s)"
        " ON CONFLICT (vehicle_id) DO UPDATE SET interval_sec = excluded.interval_sec",
        str(it.vehicle_id),
        seconds,
    )


def test_a_vehicle_whose_clock_is_behind_has_no_gap_after_its_own_present(away: Rig) -> None:
    known = away.watermark()
    assert known is not None
    away.run(
        "INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, clock_skew_ms) VALUES (%s::uuid, %s)"
        " ON CONFLICT (vehicle_id) DO UPDATE SET clock_skew_ms = excluded.clock_skew_ms",
        str(away.vehicle_id),
        -(3 * 3600 - 60) * 1000,
    )
    assert coverage(away) == [("complete", None, known)]
    away.run("UPDATE fleetsync.vehicle_state SET clock_skew_ms = -3600000")
    _complete, (kind, _from_at, to_at) = coverage(away)
    assert kind == "gap"
    assert to_at is not None
    assert abs(to_at - (known + 2 * HOUR)) < timedelta(minutes=1)


def test_what_the_vehicle_has_dropped_is_committed_with_the_watermark(dropping: Rig) -> None:
    known = dropping.watermark()
    assert known is not None
    dropping.cycle()
    dropping.catch_up()
    (gone,) = lost(dropping)
    assert gone.start == known
    assert abs(gone.end - (dropping.now - 2 * HOUR)) < timedelta(minutes=1)
    assert coverage(dropping) == [
        ("complete", None, known),
        (Coverage.GONE, known, gone.end),
        ("complete", gone.end, dropping.now),
    ]


def test_what_is_gone_of_a_short_gap_that_is_old_is_told(away: Rig) -> None:
    away.cycle()
    away.cycle(after=3000)
    begun = away.watermark()
    first, second = away.vehicle().islands
    away.now += HOUR
    away.cycle()
    away.simulated.history_start_ms = int((away.now - LIVE).timestamp() * 1000)
    while away.catch_up() != "none":
        pass
    assert lost(away)[:2] == [
        Window(begun or away.now, first.start),
        Window(first.end, second.start),
    ]


def test_what_is_gone_of_one_gap_is_no_proof_of_the_next_one(away: Rig) -> None:
    away.cycle()
    away.cycle(after=2 * 3600)
    first, second = away.vehicle().islands
    away.simulated.history_start_ms = int(away.now.timestamp() * 1000) - 1000
    while away.catch_up() != "none":
        pass
    assert [window.end for window in lost(away)] == [first.start, second.start]


def test_a_cycle_that_pulls_some_hours_records_what_is_gone(away: Rig) -> None:
    away.live = None
    away.simulated.history_start_ms = int((away.now - HOUR).timestamp() * 1000)
    known = away.watermark()
    away.cycle()
    (gone,) = lost(away)
    assert gone.start == known
    assert abs(gone.end - (away.now - HOUR)) < timedelta(minutes=1)


def test_a_catch_up_that_stops_early_has_recorded_what_it_has_passed_over(dropping: Rig) -> None:
    dropping.cycle()
    known = dropping.watermark()
    assert known is not None
    dropping.catch_up(stopped=lambda: "stopped" if dropping.watermark() != known else None)
    assert lost(dropping) == [Window(known, dropping.watermark() or known)]


def test_a_cycle_that_pulls_all_records_what_is_gone_as_well(dropping: Rig) -> None:
    dropping.live = None
    known = dropping.watermark()
    dropping.cycle()
    (gone,) = lost(dropping)
    assert gone.start == known


def test_what_a_backfill_gets_after_all_is_lost_no_more(away: Rig) -> None:
    away.live = None
    away.cycle()
    record(away, 3, 1)
    window = Window(away.now - 2 * HOUR, away.now - HOUR / 2)
    away.database.run(lambda cursor: backfills.request_backfill(cursor, away.vehicle_id, window))
    assert "complete" in away.backfill()
    assert lost(away) == [Window(away.now - 3 * HOUR, away.now - 2 * HOUR)]


def test_a_backfill_of_what_the_vehicle_has_dropped_recovers_nothing(dropping: Rig) -> None:
    dropping.live = None
    dropping.cycle()
    record(dropping, 20, 10)
    before = lost(dropping)
    window = Window(dropping.now - 20 * HOUR, dropping.now - 10 * HOUR)
    dropping.database.run(
        lambda cursor: backfills.request_backfill(cursor, dropping.vehicle_id, window)
    )
    dropping.backfill()
    assert lost(dropping) == before


@pytest.mark.parametrize("live", [LIVE, None], ids=["gap", "cycle"])
@pytest.mark.parametrize("is_there", [True, False])
def test_what_was_gone_is_judged_anew_if_the_watermark_is_set_back(
    dropping: Rig, live: timedelta | None, is_there: bool
) -> None:
    dropping.live = live
    known = dropping.watermark()
    pull_all(dropping)
    (gone,) = lost(dropping)
    record(dropping, 48, 47)
    if is_there:
        dropping.simulated.history_start_ms -= 60 * 3_600_000
    dropping.set_watermark(known)
    pull_all(dropping, after=30)
    before, *after = lost(dropping)
    assert before.end < gone.start, "what is older is not pulled again"
    assert after == ([] if is_there else [gone])


def pull_all(it: Rig, after: float = 0) -> None:
    it.cycle(after=after)
    while it.catch_up() != "none":
        pass


def test_lost_intervals_that_touch_are_one_and_those_of_another_kind_stay_apart(away: Rig) -> None:
    record(away, 9, 8)
    record(away, 7, 6)
    record(away, 6, 5, "missing by audit")
    record(away, 8, 7)
    assert lost(away) == [
        Window(away.now - 9 * HOUR, away.now - 6 * HOUR),
        Window(away.now - 6 * HOUR, away.now - 5 * HOUR),
    ]
    kinds = [part[0] for part in coverage(away)]
    assert kinds == ["complete", "gone for good", "missing by audit", "complete", "gap"]


def audited(it: Rig, window: Window, *, report_only: bool = False) -> None:
    it.database.run(
        lambda c: audits.request_audit(
            c, it.vehicle_id, window.start, window.end, report_only=report_only
        )
    )
    assert "checked" in it.audit()


def test_what_an_audit_has_only_reported_is_missing_until_it_is_stored(away: Rig) -> None:
    away.live = None
    away.cycle()
    end = away.now
    away.run("DELETE FROM measurements WHERE time > %s", end - HOUR / 2)
    audited(away, Window(end - 2 * HOUR, end - HOUR), report_only=True)
    assert coverage(away) == [("complete", None, end)], "of that nothing is missing"
    last = Window(end - HOUR, end)
    audited(away, last, report_only=True)
    assert coverage(away) == [
        ("complete", None, last.start),
        (Coverage.MISSING, last.start, end),
    ]
    audited(away, Window(last.start, end - 0.75 * HOUR), report_only=True)
    assert lost(away) == [Window(end - 0.75 * HOUR, end)], "a quarter of it is complete"
    audited(away, last)
    assert coverage(away) == [("complete", None, end)]


def test_what_a_look_has_stored_is_missing_no_more(away: Rig) -> None:
    away.live = None
    away.cycle()
    away.cycle(after=30)
    record(away, 3, 0, losses.MISSING)
    away.run(
        "INSERT INTO fleetsync.verified (vehicle_id, age_sec, verified_to, looked_to)"
        " SELECT id, 60, %s, %s FROM vehicles",
        away.start,
        away.start,
    )
    assert away.look(60) is not None
    assert len(lost(away)) == 2, "what it looked at is complete"


def test_an_interval_is_lost_in_one_way_only(away: Rig) -> None:
    record(away, 9, 3)
    record(away, 6, 5, losses.MISSING)
    record(away, 8, 7, losses.MISSING)
    ago = [
        (round((away.now - start) / HOUR), round((away.now - end) / HOUR), kind)
        for start, end, kind in away.run(
            "SELECT from_at, to_at, kind FROM fleetsync.lost_interval ORDER BY from_at"
        )
    ]
    gone, missing = losses.GONE, losses.MISSING
    assert ago == [
        (9, 8, gone),
        (8, 7, missing),
        (7, 6, gone),
        (6, 5, missing),
        (5, 3, gone),
    ]
    record(away, 9, 3)
    assert [window.length for window in lost(away)] == [6 * HOUR]


def test_an_audit_that_gets_what_was_gone_after_all_says_so(away: Rig) -> None:
    away.live = None
    away.cycle()
    record(away, 3, 1)
    now = away.now
    audited(away, Window(now - 2 * HOUR, now - 1.5 * HOUR))
    assert lost(away) == [
        Window(now - 3 * HOUR, now - 2 * HOUR),
        Window(now - 1.5 * HOUR, now - HOUR),
    ]


def test_a_vehicle_has_no_more_lost_intervals_than_are_kept(
    away: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "MOST_INTERVALS", 3)
    for hour in (20, 18, 16, 14, 12):
        record(away, hour, hour - 1)
    assert lost(away) == [
        Window(away.now - 20 * HOUR, away.now - 15 * HOUR),
        Window(away.now - 14 * HOUR, away.now - 13 * HOUR),
        Window(away.now - 12 * HOUR, away.now - 11 * HOUR),
    ]


def test_lost_intervals_go_with_their_vehicle(away: Rig) -> None:
    record(away, 9, 8)
    remove_vehicles(away.database, [away.vehicle_id], with_measurements=False)
    assert lost(away) == []


def test_the_overview_shows_what_is_live_and_the_gap(away: Rig) -> None:
    away.cycle()
    vehicle = shown(away)
    assert vehicle.state is State.CATCHING_UP
    assert vehicle.lag is not None
    assert vehicle.lag < 60
    assert vehicle.complete_age == pytest.approx(3 * 3600, abs=60)
    assert vehicle.gap is not None
    assert vehicle.gap.from_at == away.watermark()
    assert vehicle.gap.to_at == away.now - LIVE
    assert vehicle.gap.missing_sec == pytest.approx(3 * 3600 - 60)
    assert vehicle.catching_up is not None
    assert vehicle.catching_up.fraction == 0


def test_the_parts_of_a_gap_count_together(away: Rig) -> None:
    away.cycle()
    away.cycle(after=2 * 3600)
    vehicle = shown(away)
    assert vehicle.gap is not None
    assert vehicle.gap.missing_sec == pytest.approx(5 * 3600 - 120)
    assert away.vehicle().missing == timedelta(seconds=5 * 3600 - 120)
    away.catch_up()
    vehicle = shown(away)
    assert vehicle.catching_up is not None
    assert vehicle.catching_up.fraction == pytest.approx(3 / 5, abs=0.01)


def test_a_gap_that_makes_no_progress_is_in_the_remark(away: Rig) -> None:
    away.cycle()
    away.database.run(lambda cursor: gaps.fail_gap(cursor, away.vehicle_id, "/data: HTTP 503"))
    vehicle = shown(away)
    assert "its gap makes no progress: /data: HTTP 503" in vehicle.remark
    (finding,) = check_gaps([vehicle])
    assert "/data: HTTP 503" in finding.text


def test_a_vehicle_is_asked_for_its_history_at_most_every_ten_minutes(away: Rig) -> None:
    away.cycle()
    away.catch_up(stopped=lambda: "stopped")
    assert looks(away) == 1
    away.cycle(after=30)
    away.catch_up(stopped=lambda: "stopped")
    assert looks(away) == 0
    away.cycle(after=LOOK_AGAIN.total_seconds())
    away.catch_up(stopped=lambda: "stopped")
    assert looks(away) == 1


def test_a_gap_that_the_vehicle_will_have_dropped_is_told_and_forgotten_with_the_gap(
    database: Database,
) -> None:
    with rig(database, watermark_ago=3 * 3600, channels=1, history_s=4 * 3600) as it:
        it.live = LIVE
        it.cycle()
        it.catch_up(stopped=lambda: "stopped")
        assert shown(it).gap is not None
        for _ in range(5):
            it.simulated.history_start_ms += int(LOOK_AGAIN.total_seconds() * 1000)
            it.cycle(after=LOOK_AGAIN.total_seconds())
            it.catch_up(stopped=lambda: "stopped")
        (finding,) = check_gaps([shown(it)])
        assert "loses data from" in finding.text
        gap = shown(it).gap
        assert gap is not None
        assert gap.loses_from == it.watermark()
        assert gap.loses_in_sec is not None
        assert "loses data from" in shown(it).remark
        while it.catch_up() != "none":
            pass
        assert it.vehicle().history is None


def urgent_of(it: Rig, *, most_gaps: int) -> list[str]:
    """Return the vehicles whose gaps a runner pulls first, of two that lose data and two others."""
    runner = CatchUpRunner(
        it.context(), lambda *_: None, lambda _error: None, catch_up_concurrency=most_gaps
    )
    gap = Window(it.now - 3 * HOUR, it.now)
    names = {}
    due = []
    for name, begins in (("fine", 9), ("other", 9), ("loses", 1), ("lies", 1)):
        key = uuid4()
        names[key] = name
        look = HistoryLook(it.now - begins * HOUR, it.now, gap.start)
        due.append(OpenGap(key, gap, look))
    return [names[key] for key, _urgent in runner._turns.order(due, 0, it.now)[:most_gaps]]


def test_gaps_that_lose_data_go_first_in_half_of_the_slots(away: Rig) -> None:
    assert urgent_of(away, most_gaps=1) == ["loses"]
    assert urgent_of(away, most_gaps=2) == ["loses", "fine"]
    assert urgent_of(away, most_gaps=3) == ["loses", "fine", "other"]
    assert urgent_of(away, most_gaps=4) == ["loses", "fine", "other", "lies"]
    assert urgent_of(away, most_gaps=8)[:2] == ["loses", "lies"]


def test_a_lookup_of_one_vehicle_does_not_read_the_whole_fleet(away: Rig) -> None:
    plan = away.run(
        "EXPLAIN SELECT * FROM fleetsync.coverage WHERE vehicle_id = %s::uuid", str(away.vehicle_id)
    )
    assert not [line for (line,) in plan if "CTE Scan" in line]
