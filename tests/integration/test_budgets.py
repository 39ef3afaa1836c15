"""What one vehicle may store: no table can be filled by one, and nothing is lost by the limits."""

import json
import logging
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import count

import pytest

from fleetsyncd.budgets import Intake, VehicleBudget
from fleetsyncd.database import (
    backfills,
    loading,
    vehicle_memory,
    vehicles,
)
from fleetsyncd.database.intake import heavy_vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.models import Window
from fleetsyncd.reports import Failure, Outcome
from fleetsyncd.sync import pull
from fleetsyncd.sync.intake_watch import IntakeWatch
from fleetsyncd.times import iso_ms
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

HOUR = timedelta(hours=1)


def tomorrow(it: Rig) -> None:
    """Let what was stored today have been stored yesterday."""
    it.run("UPDATE fleetsync.vehicle_state SET intake_day = intake_day - 1")


def new_alarms_in_each_answer(it: Rig, many: int) -> Hook:
    """Send so many alarms that were never sent before, whatever is asked for."""
    numbers = count()

    def hook(path: str, query: str, ask: Ask) -> Reply:
        it.asked.append((path, query))
        if path != "/alarms":
            return ask(query)
        alarm = {"channel_id": 1, "message": "x", "triggered_at": iso_ms(it.now)}
        entries = [{"alarm_id": next(numbers), **alarm} for _ in range(many)]
        return HTTPStatus.OK, json.dumps(entries).encode()

    return hook


def stored(it: Rig, table: str) -> int:
    return int(it.run(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608  a test's own constant


def test_a_vehicle_with_ever_new_alarms_is_asked_for_none_after_its_budget(
    database: Database,
) -> None:
    with rig(database) as it:
        it.budget = VehicleBudget(vehicle_max_alarms_per_day=100)
        it.simulated.hook = new_alarms_in_each_answer(it, 40)
        for _ in range(6):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert stored(it, "alarms_log") == 120
        assert len([path for path, _ in it.asked if path == "/alarms"]) == 3
        text = it.journal()[-1][2]
        assert "120 alarms came today, 101 are allowed" in text
        assert "VEHICLE_MAX_ALARMS_PER_DAY" in text
        kept = it.vehicle().alarm_watermark
        assert kept is not None
        begins = it.now - timedelta(seconds=90)
        assert begins - it.overlap <= kept < begins
        tomorrow(it)
        it.asked.clear()
        it.cycle(after=30)
        (query,) = (query for path, query in it.asked if path == "/alarms")
        assert query < f"from={iso_ms(kept)}"


def test_a_vehicle_with_as_many_alarms_as_it_may_have_gets_no_new_ones_but_resolutions(
    database: Database,
) -> None:
    def answer(*alarms: tuple[int, datetime | None]) -> Hook:
        entries = [
            {
                "alarm_id": number,
                "channel_id": 1,
                "message": "x",
                "triggered_at": iso_ms(at),
                "resolved_at": resolved and iso_ms(resolved),
            }
            for number, resolved in alarms
        ]
        body = json.dumps(entries).encode()
        return lambda path, query, ask: (HTTPStatus.OK, body) if path == "/alarms" else ask(query)

    with rig(database) as it:
        at = it.now
        it.budget = VehicleBudget(vehicle_max_alarms=2)
        it.simulated.hook = answer((1, None), (2, None))
        it.cycle(after=30)
        reached = it.vehicle().alarm_watermark
        it.simulated.hook = answer((1, it.now), (2, None), (3, None))
        for _ in range(2):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert "1 alarm(s) refused: 2 are stored" in it.journal()[-1][2]
        assert reached is not None
        assert it.vehicle().alarm_watermark == reached - it.overlap
        assert it.run("SELECT alarm_id, resolved_at IS NULL FROM alarms_log ORDER BY 1") == [
            (1, False),
            (2, True),
        ]
        it.budget = VehicleBudget(vehicle_max_alarms=3)
        it.cycle(after=30)
        assert stored(it, "alarms_log") == 3
        assert it.vehicle().alarm_watermark == it.now


def test_new_channels_beyond_those_that_a_vehicle_may_have_are_refused_and_told(
    database: Database,
) -> None:
    numbers = count()

    def hook(path: str, query: str, ask: Ask) -> Reply:
        if path != "/channels":
            return ask(query)
        channel = {"name": "x", "phys_min": 0, "phys_max": 1}
        return HTTPStatus.OK, json.dumps(
            [{"channel_id": next(numbers), **channel} for _ in range(30)]
        ).encode()

    with rig(database) as it:
        it.budget = VehicleBudget(vehicle_max_channels=50)
        it.simulated.hook = hook
        for _ in range(3):
            assert it.cycle(after=30).outcome is Outcome.OK
        assert stored(it, "channel_config") == 50
        remark = "channel(s) refused: 50 are stored, as many as a vehicle may have"
        assert f"10 {remark}" in it.journal()[1][2]
        assert f"30 {remark}" in it.journal()[2][2]


def test_channels_that_are_renamed_in_each_cycle_are_written_up_to_the_days_budget(
    database: Database,
) -> None:
    numbers = count()

    def hook(path: str, query: str, ask: Ask) -> Reply:
        code, body = ask(query)
        if path == "/channels":
            name = f"renamed {next(numbers)}"
            body = json.dumps([{**each, "name": name} for each in json.loads(body)]).encode()
        return code, body

    with rig(database, channels=10) as it:
        it.budget = VehicleBudget(vehicle_max_channel_changes_per_day=25)
        it.simulated.hook = hook
        for _ in range(5):
            assert it.cycle(after=30).outcome is Outcome.OK
        refused = "10 change(s) refused: 30 were stored today, 25 are allowed"
        assert [refused in str(entry[2]) for entry in it.journal()] == [False] * 3 + [True] * 2
        assert it.run("SELECT DISTINCT name FROM channel_config") == [("renamed 2",)]
        tomorrow(it)
        it.cycle(after=30)
        assert it.run("SELECT DISTINCT name FROM channel_config") == [("renamed 5",)]


def test_what_is_unchanged_is_confirmed_after_the_days_budget_for_changes(
    database: Database,
) -> None:
    aged = "UPDATE channel_config SET synced_at = now() - interval '2 h'"
    fresh = "SELECT channel_id FROM channel_config WHERE synced_at > now() - interval '1 h'"
    one, two, three, four = (
        {"channel_id": number, "name": f"channel {number}", "phys_min": 0} for number in range(1, 5)
    )
    told: list[dict[str, object]] = [one, two, three]

    def hook(path: str, query: str, ask: Ask) -> Reply:
        return ask(query) if path != "/channels" else (HTTPStatus.OK, json.dumps(told).encode())

    with rig(database) as it:
        it.budget = VehicleBudget(vehicle_max_channel_changes_per_day=3)
        it.simulated.hook = hook
        it.cycle()
        it.run(aged)
        assert it.cycle(after=30).error_msg is None
        assert it.run(f"{fresh} ORDER BY 1") == [(1,), (2,), (3,)]
        told[1:] = [{**two, "name": "renamed"}, three, four]
        it.run(aged)
        assert "2 change(s) refused: 3 were stored today, 3 are" in str(
            it.cycle(after=30).error_msg
        )
        assert it.run(f"{fresh} ORDER BY 1") == [(1,), (3,)]
        names = "SELECT name FROM channel_config ORDER BY channel_id"
        assert it.run(names) == [("channel 1",), ("channel 2",), ("channel 3",)]
        tomorrow(it)
        assert it.cycle(after=30).error_msg is None
        assert it.run(names) == [("channel 1",), ("renamed",), ("channel 3",), ("channel 4",)]
        assert len(it.run(fresh)) == 4


def test_a_vehicle_that_measures_too_much_is_an_error_and_goes_on_the_next_day(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60) as it:
        it.budget = VehicleBudget(vehicle_max_rows_per_day=1500)
        for _ in range(3):
            report = it.cycle(after=30)
        assert (report.outcome, report.failure) == (Outcome.ERROR, Failure.OVER_BUDGET)
        assert "measurements came today, 1,502 are allowed" in str(report.reason)
        reached = it.watermark()
        assert reached == it.now - timedelta(seconds=60)
        tomorrow(it)
        assert it.cycle(after=30).outcome is Outcome.OK
        assert it.compare().clean


def test_a_long_gap_is_within_the_budget_of_the_days_that_it_covers(database: Database) -> None:
    with rig(database, watermark_ago=5 * 86_400, channels=1) as it:
        it.budget = VehicleBudget(vehicle_max_rows_per_day=100_000)
        assert it.cycle().outcome is Outcome.OK
        assert it.vehicle().intake.rows > 400_000
        assert it.vehicle().intake.seconds == pytest.approx(5 * 86_400, abs=10)


def test_a_backfill_counts_for_the_budget_and_goes_on_when_there_is_room(
    database: Database,
) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        it.cycle()
        window = Window(it.now - 30 * HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        it.simulated.hook = it._log
        it.budget = VehicleBudget(vehicle_max_rows_per_day=5_000)
        assert "(VEHICLE_MAX_ROWS_PER_DAY)" in it.backfill()
        asked = len(it.asked)
        assert "(VEHICLE_MAX_ROWS_PER_DAY)" in it.backfill()
        assert [path for path, _ in it.asked[asked:]] == ["/status"]
        it.budget = VehicleBudget()
        assert "complete" in it.backfill()
        it.start = window.start
        assert it.compare().clean


def test_an_alarm_that_ends_before_it_begins_is_stored_as_it_came_and_told(
    database: Database,
) -> None:
    with rig(database) as it:
        at = it.now - timedelta(seconds=10)
        alarm = {
            "alarm_id": 1,
            "channel_id": 1,
            "message": "x",
            "triggered_at": iso_ms(at),
            "resolved_at": iso_ms(at - HOUR),
        }
        body = json.dumps([alarm]).encode()
        it.simulated.hook = lambda path, query, ask: (
            (HTTPStatus.OK, body) if path == "/alarms" else ask(query)
        )
        it.cycle()
        assert it.journal()[-1][2] == "1 alarm(s) resolved before they were triggered"
        assert it.run("SELECT triggered_at, resolved_at FROM alarms_log") == [(at, at - HOUR)]
        it.cycle(after=30)
        assert it.journal()[-1][2] is None


def test_expired_alarms_are_deleted_and_not_asked_for_again(database: Database) -> None:
    with rig(database, watermark_ago=20 * 86_400, channels=1) as it:
        it.alarms_keep = timedelta(days=8)
        it.run(
            "INSERT INTO alarms_log"
            " (vehicle_id, alarm_id, channel_id, message, triggered_at, resolved_at)"
            " SELECT %s::uuid, -n, 1, 'x', now() - n * interval '1 day',"
            " CASE WHEN n <> 15 THEN now() END FROM generate_series(1, 20) n",
            str(it.vehicle_id),
        )
        policy = RetentionPolicy(None, None, None, timedelta(days=8))
        for _step in Retention(database, policy, batch=5, at_once=True).steps(lambda: it.now):
            pass
        kept = [number for (number,) in it.run("SELECT -alarm_id FROM alarms_log ORDER BY 1")]
        assert kept == [1, 2, 3, 4, 5, 6, 7, 15]
        it.cycle()
        (query,) = (query for path, query in it.asked if path == "/alarms")
        assert iso_ms(it.now - timedelta(days=8)) in query


@pytest.mark.parametrize("table", ["alarms_log", "fleetsync.replaced_alarm"])
def test_loading_the_fleet_costs_no_more_for_a_vehicle_with_many_open_alarms(
    database: Database, table: str
) -> None:
    with rig(database) as it:
        it.run(
            f"INSERT INTO {table}"  # noqa: S608  a table of this test's
            " (vehicle_id, alarm_id, channel_id, message, triggered_at)"
            " SELECT %s::uuid, n, 1, 'x', now() - interval '1 day' + n * interval '1 s'"
            " FROM generate_series(1, 20000) n",
            str(it.vehicle_id),
        )
        it.run(f"ANALYZE {table}")
        statement = loading.LOAD_VEHICLES.format(conditions="")
        plan = it.run(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", loading.OPEN_ALARM_MAX_AGE)[0][
            0
        ][0]["Plan"]

        def rows_read(node: dict[str, object]) -> float:
            """Return the rows that the plan has read of alarms, dropped ones included."""
            own = 0.0
            if node.get("Relation Name") == table.rpartition(".")[2]:
                removed = node.get("Rows Removed by Filter", 0)
                own = float(str(node["Actual Rows"])) + float(str(removed))
            parts = node.get("Plans", [])
            assert isinstance(parts, list)
            return own + sum(rows_read(part) for part in parts)

        assert rows_read(plan) <= 1


def test_a_vehicle_that_stores_ten_times_what_the_others_do_is_named_once_a_day(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.fromisoformat("2026-11-26T12:00Z")

    def store_an_hour(cursor: Cursor) -> None:
        for number in range(6):
            key = vehicles.add_vehicle(cursor, f"Truck-{number}", f"10.8.0.{number}", 8001, None)
            rows = 18 * 3600 * (30 if number == 3 else 1)
            vehicle_memory.count_intake(cursor, key, Intake(rows=rows, seconds=3600))

    database.run(store_an_hour)
    watch = IntakeWatch(database, lambda: now)
    with caplog.at_level(logging.WARNING, "sync"):
        for _ in range(3):
            watch.check()
        assert caplog.messages == [
            "Truck-3 stores 540 rows a second of its time, 30 times what the usual vehicle does"
        ]
        now += timedelta(days=1)
        watch.check()
        assert len(caplog.messages) == 2
    assert [vehicle.name for vehicle in database.run(heavy_vehicles)] == ["Truck-3"]


def test_what_was_stored_on_another_day_does_not_count(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        assert it.vehicle().intake.rows > 0
        tomorrow(it)
        assert it.vehicle().intake == Intake()
        it.cycle(after=30)
        assert 0 < it.vehicle().intake.rows < 1000


def test_rows_that_are_stored_already_count_for_the_budget_as_well(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=1) as it:
        for _ in range(3):
            it.set_watermark(it.now - timedelta(seconds=60))
            it.cycle()
        assert stored(it, "measurements") == 65
        assert 3 * 64 < it.vehicle().intake.rows <= 3 * 65


def test_alarms_that_are_stored_already_are_not_written_again(database: Database) -> None:
    with rig(database, watermark_ago=1800) as it:
        it.cycle()
        before = it.run("SELECT alarm_id, xmin::text, xmax::text FROM alarms_log ORDER BY 1")
        it.run(
            "UPDATE fleetsync.vehicle_state SET alarms_digest = 0, alarm_watermark = %s", it.start
        )
        it.cycle()
        assert (
            it.run("SELECT alarm_id, xmin::text, xmax::text FROM alarms_log ORDER BY 1") == before
        )


def test_a_backfill_over_the_alarms_budget_is_left_open_for_the_rest(database: Database) -> None:
    with rig(database, watermark_ago=60, channels=2) as it:
        it.cycle()
        window = Window(it.now - 5 * HOUR, it.now)
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        it.run("UPDATE fleetsync.vehicle_state SET day_alarms = 7000")
        assert "asked for tomorrow" in it.backfill()
        tomorrow(it)
        assert "complete" in it.backfill()
        it.start = window.start
        assert it.compare().clean


def test_a_millisecond_with_too_many_rows_over_all_channels_is_the_vehicles_error(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "PAGE_LIMIT", 100)

    def hook(path: str, query: str, ask: Ask) -> Reply:
        if path != "/data":
            return ask(query)
        time = iso_ms(it.now - timedelta(seconds=1))
        rows = [{"channel_id": 1, "value": 1.0, "time": time}] * 60
        truncated = "channel_id=" not in query
        return HTTPStatus.OK, json.dumps({"truncated": truncated, "rows": rows}).encode()

    with rig(database) as it:
        it.simulated.hook = hook
        assert it.cycle(after=30).failure is Failure.BAD_ANSWER
        assert "too many rows of all channels" in it.journal()[-1][2]
