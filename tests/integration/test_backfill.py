import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from math import ceil
from urllib.parse import parse_qsl

import pytest
from psycopg2 import sql

from fleetsyncd.commands.backfill_watch import Watch
from fleetsyncd.database import backfills, pausing, vehicles
from fleetsyncd.database.pool import Database
from fleetsyncd.database.removal import remove_vehicles
from fleetsyncd.database.views.backfills import BackfillStatus, backfill_statuses
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import CommandError, VehicleRemoved
from fleetsyncd.jobs import Backfill
from fleetsyncd.models import Window
from fleetsyncd.reports import JournalEntry, Outcome
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.times import iso_ms, utc_span
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def ask_for(it: Rig, start: timedelta, end: timedelta = timedelta(0)) -> Window:
    """Ask for an interval that begins and ends so long ago."""
    window = Window(it.now - start, it.now - end)
    it.database.run(lambda cursor: backfills.request_backfill(cursor, it.vehicle_id, window))
    return window


def requested(it: Rig) -> Backfill:
    return it.database.run(lambda cursor: backfills.open_backfills(cursor, (), 5))[it.vehicle_id]


def work(it: Rig, stopped: Callable[[], str | None] = lambda: None) -> JournalEntry:
    return run_backfill(it.vehicle(), requested(it), it.client, it.context(), stopped).entry


def status(it: Rig) -> BackfillStatus | None:
    statuses = it.database.run(lambda c: backfill_statuses(c, [it.vehicle_id]))
    return statuses.get(it.vehicle_id)


def stored(it: Rig) -> int:
    return int(it.run("SELECT count(*) FROM measurements")[0][0])


def down(_path: str, _query: str, _ask: Ask) -> Reply:
    """Answer as a vehicle whose own database is down."""
    return HTTPStatus.SERVICE_UNAVAILABLE, b"{}"


def stop_after(questions: int) -> Callable[[], str | None]:
    left = iter([None] * questions)
    return lambda: next(left, "stopped with the daemon")


def test_a_backfill_stores_every_row_and_changes_neither_watermark_nor_state(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60) as it:
        before = it.vehicle()
        window = ask_for(it, 3 * HOUR)
        row = work(it)
        assert row.status == Outcome.OK
        assert row.rows_written == stored(it) > 190_000
        after = replace(it.vehicle(), oldest_open_alarm=None)
        assert replace(after, learned=before.learned, intake=before.intake) == before
        it.start = window.start
        assert it.compare().clean
        done = status(it)
        assert done is not None
        assert (done.window, done.rows_added, done.is_whole) == (window, row.rows_written, True)
        assert (done.fraction, done.outcome, done.obstacle) == (1.0, "complete", None)
        ((outcome, rows, text),) = it.journal()
        assert (outcome, rows) == ("ok", row.rows_written)
        assert text.startswith("backfill of ")
        assert text.endswith("; complete")


def test_pulling_the_same_again_adds_nothing(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=2) as it:
        ask_for(it, HOUR)
        assert work(it).rows_written > 0
        ask_for(it, HOUR)
        assert work(it).rows_written == 0


def test_alarms_of_the_interval_are_pulled_too(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1, old_alarms=True) as it:
        ask_for(it, 30 * HOUR)
        work(it)
        count, first = it.run("SELECT count(*), min(triggered_at) FROM alarms_log")[0]
        assert count > 0
        assert first < it.now - 20 * HOUR


ALARM = {"alarm_id": 7, "channel_id": 1, "message": "hot"}


def alarms_answer(it: Rig, code: HTTPStatus) -> Hook:
    """Return a hook that answers `/alarms` with one alarm of an hour ago, or with an error."""
    body = json.dumps([{**ALARM, "triggered_at": iso_ms(it.now - HOUR)}])
    sent = body.encode() if code is HTTPStatus.OK else b"{}"
    return lambda path, query, ask: (code, sent) if path == "/alarms" else ask(query)


def is_open(it: Rig) -> bool:
    return bool(it.database.run(lambda cursor: backfills.open_backfills(cursor, (), 5)))


def test_a_backfill_is_not_done_before_it_has_its_alarms(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        window = ask_for(it, 3 * HOUR)
        it.simulated.hook = alarms_answer(it, HTTPStatus.SERVICE_UNAVAILABLE)
        first = run_backfill(it.vehicle(), requested(it), it.client, it.context())
        assert (first.entry.status, first.needs_attention) == (Outcome.ERROR, True)
        assert stored(it) == first.entry.rows_written > 10_000
        yet = status(it)
        assert yet is not None
        assert (yet.finished, yet.reached) == (False, window.end)
        assert "/alarms: HTTP 503" in str(yet.obstacle)
        it.simulated.hook = alarms_answer(it, HTTPStatus.OK)
        assert (work(it).status, is_open(it)) == (Outcome.OK, False)
        assert it.run("SELECT alarm_id FROM alarms_log") == [(7,)]
        done = status(it)
        assert done is not None
        assert (done.is_whole, done.rows_added) == (True, first.entry.rows_written)


def test_alarms_that_the_database_refuses_keep_a_backfill_open(
    database: Database, server: Server, database_name: str
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, 3 * HOUR)
        it.simulated.hook = alarms_answer(it, HTTPStatus.OK)
        check = "ALTER TABLE alarms_log ADD CONSTRAINT no_alarm CHECK (false) NOT VALID"
        server.execute(sql.SQL(check), database=database_name)
        assert work(it).status == Outcome.ERROR
        assert (stored(it) > 10_000, is_open(it)) == (True, True)
        drop = "ALTER TABLE alarms_log DROP CONSTRAINT no_alarm"
        server.execute(sql.SQL(drop), database=database_name)
        assert (work(it).status, is_open(it)) == (Outcome.OK, False)
        assert it.run("SELECT alarm_id FROM alarms_log") == [(7,)]


def test_an_old_vehicle_without_alarms_keeps_no_backfill_open_and_is_told_of(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)
        it.simulated.hook = alarms_answer(it, HTTPStatus.NOT_FOUND)
        report = run_backfill(it.vehicle(), requested(it), it.client, it.context())
        assert (report.entry.status, report.needs_attention) == (Outcome.OK, True)
        assert "without alarms, the vehicle has none to give" in str(report.entry.error_msg)
        done = status(it)
        assert done is not None
        assert (done.outcome, done.is_whole) == ("complete, but without alarms", False)
        ask_for(it, HOUR)
        assert it.run("SELECT lacks_alarms FROM fleetsync.backfill") == [(False,)]


def test_an_interrupted_backfill_goes_on_where_it_stopped(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        window = ask_for(it, 30 * HOUR)
        first = work(it, stop_after(11))  # one for the alarms
        assert (first.status, "stopped with the daemon" in str(first.error_msg)) == (
            Outcome.ERROR,
            True,
        )
        assert requested(it).reached == window.start + 10 * HOUR
        it.asked.clear()
        second = work(it)
        assert second.status == Outcome.OK
        _horizon, question, *_rest = [query for path, query in it.asked if path == "/data"]
        assert f"from={iso_ms(window.start + 10 * HOUR)}" in question
        done = status(it)
        assert done is not None
        assert done.rows_added == first.rows_written + second.rows_written
        it.start = window.start
        assert it.compare().clean


def test_a_failure_is_reported_and_the_rest_is_tried_again(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)

        def down(path: str, query: str, ask: Ask) -> Reply:
            return (HTTPStatus.SERVICE_UNAVAILABLE, b"{}") if path == "/data" else ask(query)

        it.simulated.hook = down
        assert work(it).status == Outcome.ERROR
        failed = status(it)
        assert failed is not None
        assert (failed.fraction, failed.finished) == (0.0, False)
        assert "HTTP 503" in str(failed.last_error)
        assert it.vehicle().failures == 0
        it.simulated.hook = None
        assert work(it).status == Outcome.OK


def test_what_the_vehicle_no_longer_keeps_is_reported_in_the_journal(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1, history_s=7200) as it:
        window = ask_for(it, 10 * HOUR)
        assert work(it).status == Outcome.OK
        text = it.journal()[0][2]
        begins = f"{it.now - 2 * HOUR:%Y-%m-%d %H}"
        assert f"gone for good: {window.start:%Y-%m-%d %H:%M:%S} to {begins}" in text


@pytest.mark.parametrize(
    ("kept_sec", "asked", "outcome"),
    [
        (7200, 10 * HOUR, "complete, but 8h of 10h gone"),
        (60, 10 * HOUR, "complete, but 10h of 10h gone"),
        (7200, HOUR, "complete"),
    ],
)
def test_how_much_of_the_interval_is_gone_at_the_vehicle_is_kept_for_whoever_looks_later(
    database: Database, kept_sec: float, asked: timedelta, outcome: str
) -> None:
    with rig(database, watermark_ago=60, channels=1, history_s=kept_sec) as it:
        ask_for(it, asked)
        report = run_backfill(it.vehicle(), requested(it), it.client, it.context())
        done = status(it)
        assert done is not None
        assert (done.outcome, done.is_whole) == (outcome, outcome == "complete")
        assert done.gone_sec == pytest.approx(max(0.0, asked.total_seconds() - kept_sec), abs=2)
        assert report.needs_attention == (outcome != "complete")
        ask_for(it, timedelta(minutes=1))
        again = status(it)
        assert again is not None
        assert again.gone_sec == 0


def test_an_interval_of_which_the_vehicle_has_nothing_left_is_told_as_a_whole_loss(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1, history_s=7200) as it:
        window = ask_for(it, 10 * HOUR, 5 * HOUR)
        assert work(it).status == Outcome.OK
        done = status(it)
        assert done is not None
        assert (done.outcome, done.is_whole) == ("nothing left to pull: all 5h gone", False)
        span = utc_span(window.start, window.end)
        told = f"gone for good: {span}, the vehicle has no measurement before its end"
        assert told in it.journal()[0][2]


def test_what_is_gone_is_counted_once_over_several_attempts(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1, history_s=7200) as it:
        ask_for(it, 30 * HOUR)
        work(it, stop_after(11))
        halfway = status(it)
        assert halfway is not None
        assert halfway.gone_sec == 10 * 3600
        work(it)
        done = status(it)
        assert done is not None
        assert done.gone_sec == pytest.approx(28 * 3600, abs=2)


def test_a_vehicle_whose_oldest_rows_are_null_still_tells_what_is_gone(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1, history_s=7200) as it:
        ask_for(it, 10 * HOUR)

        def off_at_first(_path: str, query: str, ask: Ask) -> Reply:
            code, body = ask(query)
            return code, re.sub(rb'"value":[^,}]+', b'"value":null', body, count=18)

        it.simulated.hook = off_at_first
        assert work(it).status == Outcome.OK
        assert "gone for good" in it.journal()[0][2]


def test_oldest_rows_that_hold_no_measurement_are_no_loss(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)

        def all_off(_path: str, query: str, ask: Ask) -> Reply:
            code, body = ask(query)
            return code, re.sub(rb'"value":[^,}]+', b'"value":null', body)

        it.simulated.hook = all_off
        assert work(it).status == Outcome.OK
        done = status(it)
        assert done is not None
        assert done.is_whole


def nulls_at_first(it: Rig, kept: timedelta, off: timedelta) -> Hook:
    """Return a hook of a vehicle whose history begins so long ago, with all channels off."""
    begins = it.now - kept

    def answer(path: str, query: str, ask: Ask) -> Reply:
        if path != "/data":
            return ask(query)
        asked = dict(parse_qsl(query))
        start, end = (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
        seconds = (max(start, begins) - begins) / SECOND
        rows = []
        for second in range(ceil(seconds), int((end - begins) / SECOND)):
            at = begins + second * SECOND
            value = None if at < begins + off else 1.0
            rows.append({"channel_id": 1, "value": value, "time": iso_ms(at)})
            if len(rows) == int(asked["limit"]):
                break
        return HTTPStatus.OK, json.dumps({"rows": rows, "truncated": False}).encode()

    return answer


def test_a_history_that_begins_with_all_channels_off_hides_no_loss(database: Database) -> None:
    with rig(database, watermark_ago=60) as it:
        ask_for(it, 5 * HOUR, 3 * HOUR)
        it.simulated.hook = nulls_at_first(it, 4 * HOUR, off=HOUR / 2)
        assert work(it).status == Outcome.OK
        done = status(it)
        assert done is not None
        assert (done.outcome, done.is_whole) == ("complete, but 60m of 2h gone", False)


def test_a_gap_whose_history_begins_with_all_channels_off_is_told_by_the_cycle(
    database: Database,
) -> None:
    with rig(database, watermark_ago=30 * 3600) as it:
        it.simulated.hook = nulls_at_first(it, 4 * HOUR, off=HOUR)
        assert f"to {it.now - 4 * HOUR:%Y-%m-%d %H:%M:%S}" in str(it.cycle().error_msg)


def first_question_fails(it: Rig) -> None:
    """Let the vehicle's own database be down for the first question for measurements only."""

    def answer(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data":
            it.simulated.hook = None
            return down(path, query, ask)
        return ask(query)

    it.simulated.hook = answer


def test_a_backfill_that_does_not_get_to_know_what_is_gone_is_tried_again(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1, history_s=7200) as it:
        ask_for(it, 10 * HOUR, 5 * HOUR)
        first_question_fails(it)
        assert work(it).status == Outcome.ERROR
        failed = status(it)
        assert failed is not None
        assert (failed.finished, "HTTP 503" in str(failed.obstacle)) == (False, True)
        assert work(it).status == Outcome.OK
        done = status(it)
        assert done is not None
        assert done.outcome == "nothing left to pull: all 5h gone"


def test_a_cycle_that_does_not_get_to_know_what_is_gone_says_so_and_pulls_the_rest(
    database: Database,
) -> None:
    with rig(database, watermark_ago=40 * 3600, channels=1, history_s=7200) as it:
        first_question_fails(it)
        report = it.cycle()
        assert (report.outcome, it.watermark()) == (Outcome.OK, it.now)
        assert "how much is gone for good is not known (/data: HTTP 503" in str(report.error_msg)


def test_a_gap_of_which_the_vehicle_has_nothing_left_is_told_by_the_cycle(
    database: Database,
) -> None:
    with rig(database, watermark_ago=40 * 3600, channels=1) as it:
        assert it.start is not None
        it.simulated.hook = lambda path, query, ask: (
            (HTTPStatus.OK, b'{"count":0,"truncated":false,"rows":[]}')
            if path == "/data"
            else ask(query)
        )
        it.cycle()
        assert f"gone for good: {it.start:%Y-%m-%d %H:%M:%S}" in str(it.journal()[0][2])


def test_a_gap_that_the_vehicles_retention_has_cut_is_reported_and_the_rest_stored(
    database: Database,
) -> None:
    with rig(database, watermark_ago=40 * 3600, channels=1, history_s=26 * 3600) as it:
        assert it.cycle().outcome is Outcome.OK
        status_, rows, text = it.journal()[0]
        assert status_ == "ok"
        assert rows > 0
        assert f"gone for good: {it.now - 40 * HOUR - timedelta(seconds=5):%Y-%m-%d %H:%M}" in text
        it.cycle(after=30)
        assert it.journal()[1][2] is None


def test_a_gap_of_a_vehicle_that_was_only_switched_off_is_no_loss(database: Database) -> None:
    with rig(database, watermark_ago=40 * 3600, channels=1) as it:
        it.cycle()
        assert it.journal()[0][2] is None


def cancelling(it: Rig, question: int) -> Callable[[str, str, Ask], Reply]:
    """Return a hook that cancels the backfill at a question for measurements, the first is 1."""
    asked = 0

    def cancel(path: str, query: str, ask: Ask) -> Reply:
        nonlocal asked
        asked += path == "/data" and "limit=100" not in query
        if asked == question:
            it.database.run(lambda c: backfills.cancel_backfill(c, it.vehicle_id))
        return ask(query)

    return cancel


def test_a_backfill_cancelled_before_it_stored_anything_leaves_no_entry(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, 30 * HOUR)
        known = replace(requested(it), alarms_reached=it.now)
        it.run("UPDATE fleetsync.backfill SET alarms_reached_at = %s", it.now)
        it.simulated.hook = cancelling(it, 1)
        report = run_backfill(it.vehicle(), known, it.client, it.context())
        assert "cancelled by an operator" in str(report.entry.error_msg)
        assert not report.needs_attention
        assert (it.journal(), stored(it), status(it)) == ([], 0, None)


def test_a_cancelled_backfill_is_no_error_and_says_how_far_it_came(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        window = ask_for(it, 30 * HOUR)
        it.simulated.hook = cancelling(it, 4)
        report = run_backfill(it.vehicle(), requested(it), it.client, it.context())
        assert not report.needs_attention
        ((outcome, rows, text),) = it.journal()
        assert (outcome, rows) == ("ok", stored(it))
        assert rows > 0
        reached = f"{window.start + 3 * HOUR:%Y-%m-%d %H:%M:%S}"
        assert f"cancelled by an operator; stored up to {reached}" in text


def test_another_daemon_that_goes_on_with_a_backfill_is_no_error(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, 3 * HOUR)
        known = requested(it)
        work(it)
        report = run_backfill(it.vehicle(), known, it.client, it.context())
        assert "another daemon goes on with it" in str(report.entry.error_msg)
        assert not report.needs_attention
        assert [outcome for outcome, *_ in it.journal()] == ["ok"]


def test_a_backfill_that_is_stopped_needs_no_attention_and_one_that_fails_does(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, 30 * HOUR)
        vehicle, context = it.vehicle(), it.context()
        stopped = run_backfill(vehicle, requested(it), it.client, context, stop_after(3))
        assert (stopped.entry.status, stopped.needs_attention) == (Outcome.ERROR, False)
        it.simulated.hook = down
        assert run_backfill(vehicle, requested(it), it.client, context).needs_attention


def test_a_request_that_replaced_the_one_at_work_is_not_marked_done_by_it(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)
        old = requested(it)
        window = ask_for(it, 3 * HOUR)
        entry = run_backfill(it.vehicle(), old, it.client, it.context()).entry
        assert "replaced by a newer request" in str(entry.error_msg)
        assert requested(it).reached == window.start
        assert work(it).status == Outcome.OK
        it.start = window.start
        assert it.compare().clean


def test_only_the_version_that_an_operator_has_seen_is_cancelled(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)
        seen = requested(it).asked_at
        ask_for(it, 3 * HOUR)
        newer = requested(it).asked_at

        def cancel(version: datetime) -> bool:
            return it.database.run(lambda c: backfills.cancel_backfill(c, it.vehicle_id, version))

        assert (cancel(seen), cancel(newer)) == (False, True)


def test_what_stands_in_the_way_of_a_backfill_is_told(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)

        def obstacle() -> str | None:
            known = status(it)
            assert known is not None
            return known.obstacle

        assert obstacle() is None
        it.simulated.hook = down
        it.cycle()
        assert "/status: HTTP 503" in str(obstacle())
        work(it)
        assert "/status: HTTP 503" in str(obstacle())
        it.database.run(lambda c: pausing.set_paused(c, it.vehicle_id, True))
        assert "paused" in str(obstacle())


def test_a_second_request_is_joined_to_the_unfinished_first(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, 9 * HOUR, 8 * HOUR)
        ask_for(it, 3 * HOUR, 2 * HOUR)
        assert requested(it).window == Window(it.now - 9 * HOUR, it.now - 2 * HOUR)


def test_a_request_returns_the_interval_that_it_is_joined_to(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, 9 * HOUR, 8 * HOUR)
        window = Window(it.now - 3 * HOUR, it.now - 2 * HOUR)
        real = it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        assert real == requested(it).window


def test_a_vehicle_removed_meanwhile_ends_its_backfill(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)
        known, vehicle = requested(it), it.vehicle()
        remove_vehicles(it.database, [it.vehicle_id], with_measurements=True)
        with pytest.raises(VehicleRemoved):
            run_backfill(vehicle, known, it.client, it.context())
        assert stored(it) == 0


def test_an_impossible_interval_is_refused_and_a_wide_one_cut(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        for start, end in ((HOUR, HOUR), (-HOUR, -2 * HOUR), (timedelta(900), timedelta(800))):
            with pytest.raises(CommandError, match="before it ends"):
                ask_for(it, start, end)
        ask_for(it, timedelta(days=900), -9 * HOUR)
        window = requested(it).window
        assert window.start == accepted_interval(it.now).start
        assert window.end <= it.now + HOUR


def test_paused_vehicles_wait_and_failing_ones_come_last(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)
        other = it.database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.9", 1, None))
        window = Window(it.now - HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, other, window))
        it.run("INSERT INTO fleetsync.vehicle_state (vehicle_id, failures) VALUES (%s, 3)",
               str(it.vehicle_id))  # fmt: skip
        open_ones = it.database.run(lambda c: backfills.open_backfills(c, (), 1))
        assert set(open_ones) == {other}
        it.database.run(lambda c: pausing.set_paused(c, other, True))
        open_ones = it.database.run(lambda c: backfills.open_backfills(c, (), 5))
        assert set(open_ones) == {it.vehicle_id}


def test_what_retention_has_dropped_is_not_pulled_back(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, timedelta(days=70), timedelta(days=69))
        context = replace(it.context(), measurements_keep_months=1)
        entry = run_backfill(it.vehicle(), requested(it), it.client, context).entry
        assert "nothing is kept" in str(entry.error_msg)
        assert (entry.status, stored(it)) == (Outcome.OK, 0)
        done = status(it)
        assert done is not None
        assert (done.finished, done.outcome) == (True, "nothing left to pull: all 24h gone")


def test_only_vehicles_that_have_a_backfill_are_watched(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)
        it.database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.9", 1, None))
        work(it)
        both = it.database.run(vehicles.list_vehicles)
        assert Watch(it.database, both).run(None) == 0
        told = capsys.readouterr().out
        assert ("Truck-01" in told, "Truck-02" in told) == (True, False)
        with pytest.raises(CommandError, match="no backfill is requested"):
            Watch(it.database, both[1:]).run(None)


@pytest.mark.parametrize("wait_sec", [None, 0.1], ids=["no wait", "wait"])
def test_a_missing_daemon_hides_no_pause(
    database: Database, capsys: pytest.CaptureFixture[str], wait_sec: float | None
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, HOUR)
        it.database.run(lambda c: pausing.set_paused(c, it.vehicle_id, True))
        watch = Watch(it.database, it.database.run(vehicles.list_vehicles))
        if wait_sec is None:
            watch.tell_obstacles()
        else:
            assert watch.run(wait_sec) == 1
        told = capsys.readouterr().err
        assert "no daemon is running" in told
        assert "[Truck-01] the vehicle is paused, its backfill waits" in told


def test_a_failed_cycle_stands_in_the_way_of_no_backfill_that_has_begun(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        ask_for(it, 30 * HOUR)
        work(it, stop_after(5))
        it.simulated.hook = down
        it.cycle()
        known = status(it)
        assert known is not None
        assert (known.obstacle, bool(known.vehicle_error)) == (None, True)


def test_alarms_that_only_a_backfill_brings_are_expected_by_the_checker(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        it.cycle()
        ask_for(it, timedelta(days=20), timedelta(days=19))
        work(it)
        assert it.run("SELECT count(*) > 0 FROM alarms_log WHERE triggered_at < now() - '10 d'::"
                      "interval") == [(True,)]  # fmt: skip
        assert it.compare().clean
