from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest

from fleetsyncd.database import audits, backfills
from fleetsyncd.database.pool import Database
from fleetsyncd.models import Window
from fleetsyncd.reports import Failure, Outcome
from fleetsyncd.sync import question_limit
from fleetsyncd.times import iso_ms
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

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
        assert "clock says 1970-01-01 00:03:00 UTC: set it" in it.journal()[0][2]
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


@pytest.mark.parametrize("year", [2200, 9999])
def test_a_clock_beyond_all_limits_is_the_vehicles_error_and_is_not_remembered(
    database: Database, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        before = it.vehicle()
        status, wrong = it.client.status, datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
        with monkeypatch.context() as mute:
            mute.setattr(it.client, "status", lambda: replace(status(), clock=wrong))
            assert it.cycle(after=30).failure is Failure.BAD_ANSWER
        assert f"clock says {year}-12-31 23:59:59 UTC: set it" in it.journal()[-1][2]
        assert (it.watermark(), it.vehicle().clock_skew) == (before.watermark, before.clock_skew)
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


@pytest.mark.parametrize("skew_ms", [251_000_000_000_000, -(2**63), 2**63 - 1])
def test_a_skew_that_no_clock_can_have_is_forgotten(database: Database, skew_ms: int) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        it.run("UPDATE fleetsync.vehicle_state SET clock_skew_ms = %s", skew_ms)
        assert it.vehicle().clock_skew is None
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_a_clock_that_was_ahead_for_one_cycle_costs_no_second_pull(database: Database) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        it.offset = timedelta(days=100)
        report = it.cycle(after=30)
        assert report.notes == ("the vehicle's clock is 100d ahead: set it",)
        it.offset = timedelta(0)
        for _ in range(2):
            overlap = it.vehicle().lateness.overlap
            report = it.cycle(after=30)
            assert report.interval is not None
            assert overlap is not None
            assert report.interval.length == timedelta(seconds=30) + overlap
        assert it.compare().clean


def test_our_own_clock_behind_for_one_cycle_costs_no_second_pull(database: Database) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        it.now, it.offset = it.now - 24 * HOUR, 24 * HOUR
        it.cycle(after=30)
        it.now, it.offset = it.now + 24 * HOUR, timedelta(0)
        report = it.cycle(after=30)
        assert report.interval is not None
        assert report.interval.length < timedelta(minutes=2)
        assert it.compare().clean


def test_rows_that_a_clock_hid_before_it_was_right_again_are_stored(database: Database) -> None:
    with rig(database, channels=1) as it:
        it.cycle(after=30)
        it.offset = timedelta(days=-20)
        it.cycle(after=30)
        reached = it.vehicle().pulled_until
        assert reached is not None
        # It measured for two minutes more by the wrong clock before that was put right.
        it.now += timedelta(minutes=2)
        it.offset = timedelta(0)
        it.run("DELETE FROM measurements WHERE time >= %s", reached)
        assert it.cycle().outcome is Outcome.OK
        hidden = it.run(
            "SELECT count(*) FROM measurements WHERE time >= %s AND time < %s",
            reached,
            reached + timedelta(minutes=2),
        )
        assert hidden == [(120,)]


def test_a_pull_that_ends_within_the_overlap_does_not_go_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_limit, "MOST_QUESTIONS", 1)
    with rig(database, channels=1) as it:
        ask_for_single_seconds(it)
        before = it.vehicle()
        it.simulated.hook = half_a_minute_for_data(it)
        for _ in range(3):
            report = it.cycle(after=1)
            assert it.vehicle().pulled_until is None
            assert it.watermark() == before.watermark
        assert (report.outcome, report.goes_on, report.failures) == (Outcome.ERROR, False, 3)
        assert "it comes no nearer to the present" in str(report.reason)


def test_a_pull_behind_the_watermark_goes_on_though_the_clock_is_ahead_now(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig(database, channels=1) as it:
        it.cycle(after=30)
        it.offset = -HOUR
        it.cycle(after=30)
        it.offset = timedelta(seconds=3)
        it.run("UPDATE fleetsync.vehicle_state SET data_window_ms = 60000")
        monkeypatch.setattr(question_limit, "MOST_QUESTIONS", 3)
        reached = []
        for _ in range(4):
            it.cycle(after=1)
            reached.append(it.vehicle().pulled_until)
        known = [moment for moment in reached if moment is not None]
        assert known == sorted(set(known))
        monkeypatch.undo()
        assert it.cycle(after=1).outcome is Outcome.OK
        assert it.vehicle().pulled_until is None
        assert it.compare().clean


@pytest.mark.parametrize("limit", [None, 1])
def test_alarms_hidden_by_a_step_back_are_stored_though_its_first_pull_ended_early(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    with rig(database, watermark_ago=3 * 3600, channels=1) as it:
        it.cycle()
        it.offset = -HOUR
        hidden = it.now + it.offset + timedelta(minutes=2)
        it.run("DELETE FROM alarms_log WHERE triggered_at >= %s", it.now + it.offset)
        it.run("UPDATE fleetsync.vehicle_state SET alarms_digest = NULL, data_window_ms = 60000")
        down: Reply = (HTTPStatus.SERVICE_UNAVAILABLE, b"{}")
        it.simulated.hook = lambda path, query, ask: down if path == "/alarms" else ask(query)
        if limit is None:
            it.cycle(after=600, stopped=stop_after(2))
        else:
            with monkeypatch.context() as limited:
                limited.setattr(question_limit, "MOST_QUESTIONS", limit)
                it.cycle(after=600)
        asked: list[str] = []

        def watch(path: str, query: str, ask: Ask) -> Reply:
            asked.extend([query] if path == "/alarms" else [])
            return ask(query)

        it.simulated.hook = watch
        for _ in range(3):
            assert it.cycle(after=30).outcome is Outcome.OK
        starts = [query.partition("from=")[2][:24] for query in asked]
        assert min(starts) < iso_ms(hidden)
        assert it.compare().clean


def stop_after(windows: int) -> Callable[[], str | None]:
    left = iter([None] * windows)
    return lambda: next(left, "stopped")


def ask_for_single_seconds(it: Rig) -> None:
    """Let the vehicle's link have been learned to carry a second of its time at once."""
    it.run(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, data_window_ms) VALUES (%s::uuid, 1000)",
        str(it.vehicle_id),
    )


def half_a_minute_for_data(it: Rig) -> Hook:
    """Let half a minute pass before each answer to `/data`."""

    def hook(path: str, query: str, ask: Ask) -> Reply:
        it.asked.append((path, query))
        if path == "/data":
            it.now += timedelta(seconds=30)
        return ask(query)

    return hook


def test_a_pull_that_comes_no_nearer_still_asks_for_the_alarms(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_limit, "MOST_QUESTIONS", 1)
    with rig(database, channels=1) as it:
        ask_for_single_seconds(it)
        began = it.now
        it.simulated.hook = half_a_minute_for_data(it)
        assert it.cycle().failure is Failure.BAD_ANSWER
        assert [path for path, _ in it.asked][-1] == "/alarms"
        assert it.vehicle().alarm_watermark == began


POWER_CUT = -timedelta(days=20_000)
"""A clock that is back in the year 1972: such a vehicle answers as if nothing was ever there."""


def test_a_backfill_takes_no_answer_of_a_clock_that_is_too_early(database: Database) -> None:
    with rig(database, channels=2) as it:
        it.cycle()
        window = Window(it.now - timedelta(minutes=5), it.now - timedelta(minutes=1))
        it.run("DELETE FROM public.measurements")
        it.run("DELETE FROM public.alarms_log")
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        it.offset = POWER_CUT
        assert "which is too early: set it" in it.backfill()
        assert it.run("SELECT finished_at, alarms_reached_at FROM fleetsync.backfill") == [
            (None, None)
        ]
        it.offset = timedelta(0)
        it.now += timedelta(seconds=1)
        assert it.backfill().endswith("complete")
        assert it.run("SELECT count(*) > 0 FROM public.measurements") == [(True,)]


def test_a_gap_is_not_passed_over_while_a_clock_is_too_early(database: Database) -> None:
    with rig(database, watermark_ago=2 * HOUR.total_seconds(), channels=2) as it:
        it.live = timedelta(seconds=60)
        it.cycle()
        reached = it.watermark()
        it.offset = POWER_CUT
        it.now += timedelta(seconds=1)
        assert "which is too early: set it" in it.catch_up()
        assert it.watermark() == reached
        it.offset = timedelta(0)
        it.now += timedelta(seconds=1)
        assert it.catch_up().endswith("complete")
        assert it.compare().clean


def test_an_audit_does_not_take_a_clock_that_is_too_early_for_a_lost_history(
    database: Database,
) -> None:
    with rig(database, channels=2) as it:
        it.cycle()
        start = it.now - timedelta(minutes=4)
        it.database.run(
            lambda c: audits.request_audit(c, it.vehicle_id, start, it.now, report_only=False)
        )
        it.offset = POWER_CUT
        assert "which is too early: set it" in it.audit()
        assert it.run("SELECT gone, finished_at FROM fleetsync.audit") == [(0, None)]
        it.offset = timedelta(0)
        it.now += timedelta(seconds=1)
        assert "nothing missing or different" in it.audit()


@pytest.mark.parametrize("call", ["/data", "/alarms"])
def test_a_clock_that_is_set_back_within_a_cycle_moves_no_watermark(
    database: Database, call: str
) -> None:
    with rig(database, channels=2) as it:
        before = it.vehicle().alarm_watermark, it.watermark()

        def cut(path: str, query: str, ask: Ask) -> Reply:
            it.offset = POWER_CUT if path == call else timedelta(0)
            return ask(query)

        it.simulated.hook = cut
        report = it.cycle()
        assert f"{call}: the vehicle's clock says" in str(report.error_msg)
        if call == "/data":
            assert it.watermark() == before[1]
        it.simulated.hook = None
        it.offset = timedelta(0)
        it.cycle(after=30)
        assert it.compare().clean
