import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import parse_qs

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.faults import Faults
from fleetsyncd.demo.lateness import Lateness
from fleetsyncd.demo.readings import CHANNELS
from fleetsyncd.errors import VehicleRemoved
from fleetsyncd.reports import Outcome, Progress
from fleetsyncd.sync import question_limit
from fleetsyncd.sync.prefetch import LazyPage, Prefetch
from fleetsyncd.sync.pull import HISTORY_ROWS
from fleetsyncd.telemetry import DataPage
from tests.integration.rig import KEY, Ask, Eager, Reply, rig


def test_two_cycles_store_every_row_once_and_the_journal_has_their_numbers(
    database: Database,
) -> None:
    with rig(database) as it:
        first, second = it.cycle(), it.cycle(after=30)
        comparison = it.compare()
        assert comparison.clean, comparison.examples
        stored = it.run("SELECT count(*) FROM measurements")[0][0]
        assert stored > 300 * 17
        assert first.rows_written + second.rows_written == stored
        assert it.journal() == [("ok", first.rows_written, None), ("ok", second.rows_written, None)]
        assert it.watermark() == it.now


def test_a_vehicle_without_a_watermark_begins_with_the_first_window(database: Database) -> None:
    with rig(database, watermark_ago=None) as it:
        report = it.cycle()
        assert report.interval is not None
        assert report.interval.length == timedelta(seconds=60)
        it.start = report.interval.start
        assert it.compare().clean


def test_an_answer_updates_presence_and_version(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        row = it.run("SELECT sync_status, software_version, last_seen_at IS NOT NULL FROM vehicles")
        assert row == [("ok", "1.1.0", True)]


def test_channels_are_stored_and_rewritten_only_when_they_change(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        assert it.run("SELECT count(*) FROM channel_config") == [(len(CHANNELS),)]
        before = it.run("SELECT channel_id, xmin::text FROM channel_config ORDER BY 1")
        it.run("UPDATE fleetsync.vehicle_state SET channels_digest = 0")
        it.cycle(after=30)
        assert it.run("SELECT channel_id, xmin::text FROM channel_config ORDER BY 1") == before


def test_rows_committed_late_are_met_by_the_next_cycle(database: Database) -> None:
    with rig(database, faults=Faults(commit_delay_s=3)) as it:
        for _ in range(4):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare(delay=3).clean


def test_without_overlap_late_rows_would_be_lost_and_the_checker_sees_it(
    database: Database,
) -> None:
    with rig(database, faults=Faults(lateness=Lateness(3))) as it:
        it.overlap = timedelta(0)
        for _ in range(4):
            it.cycle(after=30)
        assert it.compare(delay=3).lost > 0


def test_a_gap_over_a_day_is_pulled_by_the_hour_and_complete(database: Database) -> None:
    with rig(database, watermark_ago=26 * 3600, channels=1) as it:
        progress: list[Progress] = []
        report = it.cycle(on_progress=progress.append)
        horizon, *questions = [query for path, query in it.asked if path == "/data"]
        assert horizon.endswith(f"limit={HISTORY_ROWS}")
        assert len(questions) == 27
        assert len(progress) == 27
        assert progress[-1].fraction == 1
        assert report.outcome is Outcome.OK
        assert it.compare().clean


def test_a_truncated_hour_is_requested_again_in_ten_minutes(database: Database) -> None:
    with rig(database, watermark_ago=3590) as it:
        assert it.cycle().outcome is Outcome.OK
        lengths = [_seconds(query) for path, query in it.asked if path == "/data"]
        assert lengths[0] == 3595
        assert set(lengths[1:-1]) == {600}
        assert it.compare().clean


def _seconds(query: str) -> float:
    arguments = parse_qs(query)
    start, end = (datetime.fromisoformat(arguments[name][0]) for name in ("from", "to"))
    return (end - start).total_seconds()


def test_a_vehicle_with_a_small_limit_is_halved_down_and_complete(database: Database) -> None:
    with rig(database, watermark_ago=120) as it:
        it.simulated.hook = lambda _path, query, ask: ask(query.replace("limit=50000", "limit=200"))
        assert it.cycle().outcome is Outcome.OK
        assert it.compare().clean


def test_a_millisecond_too_dense_for_one_answer_is_requested_per_channel(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rig(database, watermark_ago=1) as it:
        context = it.context()
        monkeypatch.setattr(it, "context", lambda: replace(context, pull_overlap=timedelta(0)))
        it.simulated.hook = lambda _path, query, ask: ask(query.replace("limit=50000", "limit=5"))
        assert it.cycle().outcome is Outcome.OK
        assert it.compare().clean


def test_a_channel_that_the_vehicle_measures_but_does_not_list_is_requested_too(
    database: Database,
) -> None:
    with rig(database, watermark_ago=1) as it:
        it.overlap = timedelta(0)

        def unlisted(path: str, query: str, ask: Ask) -> Reply:
            status, body = ask(query.replace("limit=50000", "limit=5"))
            if path == "/channels":
                listed = [one for one in json.loads(body) if one["channel_id"] != 1]
                body = json.dumps(listed).encode()
            return status, body

        it.simulated.hook = unlisted
        assert it.cycle().outcome is Outcome.OK
        assert it.run("SELECT 1 FROM measurements WHERE channel_id = 1")
        assert it.compare().clean


def test_the_next_window_is_requested_before_this_one_is_stored(database: Database) -> None:
    stored: list[int] = []

    def begin(ask: Callable[[], DataPage]) -> Eager:
        stored.append(it.run("SELECT count(*) FROM measurements")[0][0])
        return Eager(ask)

    with rig(database, watermark_ago=26 * 3600, channels=1) as it:
        it.begin = begin
        assert it.cycle().outcome is Outcome.OK
        assert stored[0] == 0
        assert 0 < stored[1] < 2 * 3600
        assert len(stored) == 26
        assert it.compare().clean


def test_a_prefetched_window_that_is_not_needed_any_more_is_dropped(database: Database) -> None:
    begun: list[Eager] = []

    def begin(ask: Callable[[], DataPage]) -> Eager:
        begun.append(Eager(ask))
        return begun[-1]

    with rig(database, watermark_ago=26 * 3600, channels=1) as it:
        it.begin = begin
        answers = iter([None, None, None])
        assert it.cycle(stopped=lambda: next(answers, "paused")).stopped
        assert [each.dropped for each in begun] == [False, False, True]
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


@pytest.mark.parametrize("begin", [LazyPage, Eager])
def test_an_interrupted_gap_resumes_where_it_stopped(database: Database, begin: Prefetch) -> None:
    with rig(database, watermark_ago=26 * 3600, channels=1) as it:
        it.begin = begin

        def dies_after_ten(path: str, query: str, ask: Ask) -> Reply:
            it.asked.append((path, query))
            if path == "/data" and len(it.asked) > 13:
                return HTTPStatus.SERVICE_UNAVAILABLE, b"{}"
            return ask(query)

        it.simulated.hook = dies_after_ten
        report = it.cycle()
        assert report.outcome is Outcome.ERROR
        assert report.rows_written > 0
        reached = it.watermark()
        assert reached == report.watermark
        assert it.start is not None
        assert reached is not None
        assert reached > it.start + timedelta(hours=9)
        it.simulated.hook = None
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


@pytest.mark.parametrize("reason", ["paused", "stopped with the daemon"])
def test_a_gap_stopped_on_purpose_is_no_failure_and_goes_on_later(
    database: Database, reason: str
) -> None:
    with rig(database, watermark_ago=26 * 3600, channels=1) as it:
        answers = iter([None, None, None])
        report = it.cycle(stopped=lambda: next(answers, reason))
        assert report.stopped
        assert it.journal()[-1][0] == "error"
        assert reason in it.journal()[-1][2]
        assert it.vehicle().failures == 0
        assert it.vehicle().status == "ok"
        it.cycle(after=30)
        assert it.compare().clean


def test_a_vehicle_removed_in_mid_cycle_leaves_nothing_behind(database: Database) -> None:
    with rig(database) as it:

        def removes(path: str, query: str, ask: Ask) -> Reply:
            if path == "/data":
                it.run("DELETE FROM vehicles")
            return ask(query)

        it.simulated.hook = removes
        with pytest.raises(VehicleRemoved):
            it.cycle()
        assert it.run("SELECT count(*) FROM measurements") == [(0,)]


def test_a_watermark_set_back_in_mid_cycle_is_respected(database: Database) -> None:
    with rig(database) as it:
        assert it.start is not None
        earlier = it.start - timedelta(hours=1)

        def sets_back(path: str, query: str, ask: Ask) -> Reply:
            if path == "/data":
                it.set_watermark(earlier)
            return ask(query)

        it.simulated.hook = sets_back
        assert it.cycle().outcome is Outcome.ERROR
        assert it.watermark() == earlier
        it.simulated.hook, it.start = None, earlier
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_no_transaction_is_open_while_the_vehicle_is_awaited(database: Database) -> None:
    with rig(database) as it:
        open_transactions: list[int] = []

        def looks(_path: str, query: str, ask: Ask) -> Reply:
            busy = it.run(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
                " AND application_name = 'fleetsyncd'"
            )
            open_transactions.append(busy[0][0])
            return ask(query)

        it.simulated.hook = looks
        it.cycle()
        assert open_transactions == [0, 0, 0, 0]


def test_the_key_is_in_no_table_but_its_own(database: Database) -> None:
    with rig(database) as it:
        it.simulated.hook = lambda *_: (
            HTTPStatus.BAD_REQUEST,
            f'{{"error":"invalid_params","detail":"{KEY}"}}'.encode(),
        )
        it.cycle()
        assert "••••" in it.journal()[0][2]
        assert KEY not in it.journal()[0][2]


def test_a_gap_that_takes_longer_than_a_cycle_may_goes_on_with_its_alarms_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_limit, "MOST_QUESTIONS", 10)
    with rig(database, watermark_ago=30 * 3600, channels=1) as it:
        report = it.cycle()
        assert (report.stopped, report.goes_on, report.failures) == (True, True, 0)
        assert "10 questions are asked; resumes at" in str(report.reason)
        reached = it.watermark()
        assert it.vehicle().alarm_watermark == it.now
        assert report.watermark == reached
        while it.cycle(after=1).goes_on:
            pass
        assert it.journal()[-1][0] == "ok"
        assert it.compare().clean


@pytest.mark.parametrize("begin", [LazyPage, Eager])
def test_what_was_learned_of_a_link_is_known_to_the_next_cycle(
    database: Database, begin: Prefetch
) -> None:
    with rig(database, watermark_ago=3600, channels=1) as it:
        it.begin = begin
        it.run(
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, data_window_ms, alarms_window_ms)"
            " VALUES (%s::uuid, 600000, 1800000)",
            str(it.vehicle_id),
        )
        it.cycle()
        lengths = [query for path, query in it.asked if path == "/data"]
        assert len(lengths) > 3
        assert len([path for path, _ in it.asked if path == "/alarms"]) == 2
        learned = it.vehicle().learned
        assert learned.data is not None
        assert learned.data > timedelta(minutes=10)
        assert it.compare().clean
