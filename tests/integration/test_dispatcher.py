"""Vehicles that never come to an end, and the shards that they keep busy."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import gevent
import pytest
from gevent.event import Event
from psycopg2 import sql

from fleetsyncd.database import backfills, loading, pausing, vehicle_changes, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.shard_locks import SHARDS, ShardLocks, shard_of
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import (
    DatabaseBusy,
    DatabaseLost,
    DatabaseReadOnly,
    VehicleRefused,
)
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.monitoring import events
from fleetsyncd.reports import CycleReport
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.dispatcher import Dispatcher
from fleetsyncd.sync.plan import Plan
from fleetsyncd.sync.requests import RequestReader
from fleetsyncd.sync.rests import Rests
from fleetsyncd.sync.silence import Silences
from fleetsyncd.sync.supervisor import Supervisor
from fleetsyncd.traffic import Traffic
from fleetsyncd.vehicle.answer import Answer

HOSTILE = 100
ANSWER_SEC = 0.005


class EndlessVehicle:
    """Answers each question at once, and never so that it would be the last."""

    pull_timeout_sec = 10.0

    def __init__(self) -> None:
        self.questions = 0

    def _answer(self, value: object) -> Answer:
        self.questions += 1
        gevent.sleep(ANSWER_SEC)
        return Answer(json.dumps(value).encode(), None)

    def status(self) -> Answer:
        return self._answer({"software_version": "1", "db_ok": True})

    def channels(self) -> Answer:
        channel = {"name": "", "phys_min": 0, "phys_max": 1}
        return self._answer([{"channel_id": n, **channel} for n in range(1000)])

    def data(self, _window: Window, channel_id: int | None = None, _limit: int = 0) -> Answer:
        return self._answer({"rows": [], "truncated": channel_id is None})

    def alarms(self, _window: Window) -> Answer:
        return self._answer([])

    def close(self) -> None:
        pass


def context_of(database: Database) -> SyncContext:
    def connect(_vehicle: object) -> Any:
        return EndlessVehicle()

    return SyncContext(
        database=database,
        partitions=Partitions(database),
        connect=connect,
        pull_window=timedelta(seconds=60),
        pull_overlap=timedelta(seconds=5),
        now=lambda: datetime.now(UTC),
    )


@contextmanager
def dispatcher(
    database: Database, reports: list[CycleReport], silences: Silences | None = None
) -> Iterator[Dispatcher]:
    never = Silences(timedelta(seconds=60), timedelta(seconds=60))
    made = Dispatcher(
        context_of(database),
        sync_interval_sec=30.0,
        sync_concurrency=2 * HOSTILE,
        kept_sessions=HOSTILE,
        catch_up_concurrency=1,
        silences=silences or never,
        on_report=reports.append,
        on_attempt=lambda _report: None,
        on_database_error=lambda error: pytest.fail(str(error)),
    )
    yield made
    made.end(0)


def register(database: Database, count: int) -> None:
    def add(cursor: Cursor) -> None:
        for number in range(count):
            vehicles.add_vehicle(cursor, f"H-{number}", f"10.8.0.{number}", 8001, None)

    database.run(add)


def test_shards_that_another_replica_is_to_pull_are_given_up_though_their_vehicles_never_end(
    database: Database,
) -> None:
    register(database, HOSTILE)
    fleet = database.run(loading.load_vehicles)
    busy_shards = {shard_of(vehicle.id) for vehicle in fleet}
    assert len(busy_shards) > SHARDS / 2
    other = ShardLocks(database)
    reports: list[CycleReport] = []
    with dispatcher(database, reports) as pulling:
        pulling.rebalance()
        pulling.start_fleet_cycle(fleet)
        gevent.sleep(0.5)
        assert len(pulling.running) == HOSTILE
        other.read()
        for _ in range(3):
            pulling.rebalance()
            gevent.sleep(0.5)
        held = other.read()
        assert len(held.others) == len(pulling.shard_numbers) == SHARDS / 2
        lost = [v.id for v in fleet if shard_of(v.id) not in held.others]
        assert lost
        assert not set(lost) & set(pulling.running)
        assert {r.vehicle.id for r in reports} == set(lost)
        assert all("another replica takes over" in str(r.reason) for r in reports)
        other.close()


class SatisfiedVehicle(EndlessVehicle):
    """Answers each question once and for all."""

    def data(self, *_asked: object, **_options: object) -> Answer:
        return self._answer({"rows": [], "truncated": False})


class TiredVehicle(SatisfiedVehicle):
    """Asks to be left alone, in answer to one of its calls."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.call = call

    def _unless_tired(self, call: str, answer: Callable[[], Answer]) -> Answer:
        if call != self.call:
            return answer()
        self.questions += 1
        raise VehicleRefused(call, 429, "HTTP 429: busy", retry_after_sec=REST_SEC)

    def status(self) -> Answer:
        return self._unless_tired("/status", super().status)

    def alarms(self, window: Window) -> Answer:
        return self._unless_tired("/alarms", lambda: super(TiredVehicle, self).alarms(window))


REST_SEC = 0.8


def until_idle(pulling: Dispatcher) -> None:
    with gevent.Timeout(5):
        while pulling.busy:
            gevent.sleep(0.01)


@pytest.mark.parametrize("call", ["/status", "/alarms"])
def test_a_vehicle_that_asks_for_a_rest_gets_it_unless_an_operator_wants_it_synced(
    database: Database, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(database, 2)
    fleet = database.run(loading.load_vehicles)
    tired = TiredVehicle(call)
    reports: list[CycleReport] = []
    with dispatcher(database, reports) as pulling:
        sessions = {fleet[0].id: tired, fleet[1].id: SatisfiedVehicle()}
        monkeypatch.setattr(
            pulling._cycles._sessions, "_connect", lambda vehicle: sessions[vehicle.id]
        )
        pulling.rebalance()
        assert len(pulling.start_fleet_cycle(fleet)) == 2
        until_idle(pulling)
        asked_at, asked = time.monotonic(), tired.questions
        assert "busy" in str(next(r.error_msg for r in reports if r.vehicle.id == fleet[0].id))
        assert [v.id for v in pulling.start_fleet_cycle(fleet)] == [fleet[1].id]
        until_idle(pulling)
        window = Window(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
        database.run(lambda c: backfills.request_backfill(c, fleet[0].id, window))
        pulling.start_catch_ups()
        assert not pulling._catch_ups.running
        assert tired.questions == asked
        assert time.monotonic() - asked_at < REST_SEC
        pulling.start([fleet[0]])
        until_idle(pulling)
        assert tired.questions > asked
        gevent.sleep(REST_SEC)
        assert len(pulling.start_fleet_cycle(fleet)) == 2


def test_a_rest_ends_and_a_later_one_begins_anew() -> None:
    now = 0.0
    rests = Rests(lambda: now)
    one, other = (
        Vehicle(uuid4(), name, "10.8.0.1", 8001, None, None, "ok", None) for name in ("A", "B")
    )
    rests.note(one, 60.0)
    rests.note(other, None)
    assert rests.current() == {one.id}
    now = 59.9
    rests.note(one, None)
    assert rests.current() == {one.id}
    rests.note(other, 1.0)
    now = 60.0
    assert rests.current() == {other.id}


def pause_and_resume(database: Database, pulling: Dispatcher, resting: Vehicle) -> None:
    reader = RequestReader(database)
    for paused in (True, False):
        database.run(lambda c: pausing.set_paused(c, resting.id, paused))  # noqa: B023  run at once
        pulling.heed_pauses(reader.read(pulling.running, pulling.shards).paused)


def sync_well(_database: Database, pulling: Dispatcher, resting: Vehicle) -> None:
    connected[resting.id] = SatisfiedVehicle()
    pulling._cycles._sessions.close()
    pulling.start([resting])
    until_idle(pulling)


def change(**new: Any) -> Callable[[Database, Dispatcher, Vehicle], None]:
    def work(database: Database, _pulling: Dispatcher, resting: Vehicle) -> None:
        wanted = vehicle_changes.VehicleChange(**new)
        database.run(lambda c: vehicle_changes.change_vehicle(c, resting.id, wanted))

    return work


connected: dict[UUID, EndlessVehicle] = {}


@pytest.mark.parametrize(
    ("end_rest", "ends"),
    [
        (change(host="10.8.9.9"), True),
        (change(port=9001), True),
        (change(key="another"), True),
        (change(name="Another"), False),
        (pause_and_resume, True),
        (sync_well, True),
    ],
    ids=["host", "port", "key", "name", "resume", "ok"],
)
def test_a_rest_ends_with_what_it_was_asked_for(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    end_rest: Callable[[Database, Dispatcher, Vehicle], None],
    ends: bool,
) -> None:
    register(database, 1)
    (resting,) = database.run(loading.load_vehicles)
    monkeypatch.setattr(f"{__name__}.REST_SEC", 600.0)
    connected[resting.id] = TiredVehicle("/status")
    with dispatcher(database, []) as pulling:
        monkeypatch.setattr(
            pulling._cycles._sessions, "_connect", lambda vehicle: connected[vehicle.id]
        )
        pulling.rebalance()
        assert len(pulling.start_fleet_cycle([resting])) == 1
        until_idle(pulling)
        assert pulling.start_fleet_cycle(database.run(loading.load_vehicles)) == []
        end_rest(database, pulling, resting)
        due = pulling.start_fleet_cycle(database.run(loading.load_vehicles))
        assert len(due) == int(ends)
        until_idle(pulling)


def test_a_rest_is_not_ended_by_what_does_not_change_who_answers() -> None:
    rests = Rests(lambda: 0.0)
    old = Vehicle(uuid4(), "A", "10.8.0.1", 8001, "old", None, "ok", None)
    rests.note(old, 60.0)
    rests.end_of_changed([replace(old, name="B", watermark=datetime.now(UTC))])
    assert rests.current() == {old.id}
    rests.end_of_changed([replace(old, api_key="new")])
    assert rests.current() == set()


@pytest.mark.parametrize("reason", ["paused", "the vehicle was removed"])
def test_a_cycle_that_never_ends_stops_before_its_next_question(
    database: Database, reason: str
) -> None:
    register(database, 1)
    fleet = database.run(loading.load_vehicles)
    reports: list[CycleReport] = []
    with dispatcher(database, reports) as pulling:
        pulling.rebalance()
        pulling.start_fleet_cycle(fleet)
        gevent.sleep(0.5)
        asked_at = time.monotonic()
        pulling.stop(reason, {fleet[0].id})
        while pulling.busy and time.monotonic() - asked_at < 5:
            gevent.sleep(0.01)
        assert [reason in str(report.reason) for report in reports] == [True]


def test_a_vehicle_that_is_paused_while_it_waits_for_its_start_is_not_asked(
    database: Database,
) -> None:
    register(database, HOSTILE)
    fleet = database.run(loading.load_vehicles)
    with dispatcher(database, []) as pulling:
        pulling._lanes._prompt.acquire()
        while pulling._lanes._prompt.acquire(blocking=False):
            pass
        pulling.rebalance()
        pulling.start_fleet_cycle(fleet)
        gevent.sleep(0.2)
        assert pulling.waiting == HOSTILE
        pulling.heed_pauses({fleet[0].id})
        assert pulling.waiting == HOSTILE - 1
        pulling._lanes._prompt.release()
        gevent.sleep(0.2)
        assert fleet[0].id not in pulling.running
        assert pulling.running


def test_vehicles_that_wait_for_a_slot_do_not_keep_their_shard_busy(database: Database) -> None:
    register(database, HOSTILE)
    fleet = database.run(loading.load_vehicles)
    other = ShardLocks(database)
    with dispatcher(database, []) as pulling:
        pulling._lanes._prompt.acquire()
        while pulling._lanes._prompt.acquire(blocking=False):
            pass
        pulling.rebalance()
        pulling.start_fleet_cycle(fleet)
        gevent.sleep(0.2)
        assert not pulling.running
        other.read()
        for _ in range(3):
            pulling.rebalance()
        assert len(other.read().others) == SHARDS / 2
        other.close()


def test_a_pool_without_a_free_connection_is_no_lost_database(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    register(database, 2)
    plan = Plan(
        sync_interval_sec=60,
        sync_concurrency=8,
        kept_sessions=8,
        catch_up_concurrency=1,
        shutdown_grace_sec=0,
        silent_interval_sec=60,
    )
    emitted: list[events.Event] = []
    retention = Retention(database, RetentionPolicy(None, None, None))
    supervisor = Supervisor(plan, context_of(database), retention, emitted.append)
    supervisor._on_database_error(DatabaseBusy("no free database connection for 30 s"))
    supervisor.start_cycle()
    assert supervisor._dispatcher.busy
    supervisor.stop()
    supervisor.drain()
    assert events.DatabaseDown() not in emitted
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_single_cycle_without_a_free_connection_is_no_success(database: Database) -> None:
    plan = Plan(60, 8, 8, 1, 0, 60)
    retention = Retention(database, RetentionPolicy(None, None, None))

    def fail(_event: events.Event) -> None:
        supervisor._on_database_error(DatabaseBusy("no free database connection for 30 s"))

    supervisor = Supervisor(plan, context_of(database), retention, fail)
    with pytest.raises(DatabaseBusy):
        supervisor.once()


@pytest.mark.parametrize("reason", ["no connection", "the database did not store it in time"])
def test_a_daemon_that_ends_without_its_database_tells_how_much_traffic_it_could_not_add(
    database: Database,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = context_of(database)
    retention = Retention(database, RetentionPolicy(None, None, None))
    supervisor = Supervisor(Plan(60, 8, 8, 1, 0, 60), context, retention)
    context.traffic.note(uuid4(), Traffic(1000, 234, 3))
    if reason == "no connection":
        supervisor._on_database_error(DatabaseLost(reason))
    else:
        monkeypatch.setattr(supervisor._keepers._traffic, "store", Event().wait)
    supervisor.drain()
    assert [line for line in caplog.messages if "traffic" in line] == [
        "1 kB that the links of 1 vehicle have carried may be missing in `fleetsyncd traffic`: "
        + reason
    ]


@pytest.mark.parametrize("scope", ["DATABASE", "ROLE"])
def test_where_nothing_can_be_written_no_vehicle_is_asked(
    server: Server, database_name: str, database: Database, scope: str
) -> None:
    register(database, 2)
    target = sql.SQL("DATABASE {}" if scope == "DATABASE" else "ROLE fleet_app IN DATABASE {}")
    server.execute(
        sql.SQL("ALTER {} SET default_transaction_read_only = on").format(
            target.format(sql.Identifier(database_name))
        )
    )
    emitted: list[events.Event] = []
    with closing(Database(DatabaseSettings(server.parameters(database_name)))) as read_only:
        retention = Retention(read_only, RetentionPolicy(None, None, None))
        plan = Plan(60, 8, 8, 1, 0, 60)
        supervisor = Supervisor(plan, context_of(read_only), retention, emitted.append)
        with pytest.raises(DatabaseReadOnly, match="can only read"):
            supervisor.start_cycle()
        assert not supervisor._dispatcher.busy
        assert not any(isinstance(event, events.CycleStarted) for event in emitted)
        supervisor.drain()


def test_a_server_that_becomes_read_only_is_a_lost_database(
    server: Server, database_name: str
) -> None:
    with closing(Database(DatabaseSettings(server.parameters(database_name)))) as database:

        def write(cursor: Cursor) -> None:
            cursor.execute("SET LOCAL transaction_read_only = on")
            vehicles.add_vehicle(cursor, "Truck-01", "10.8.0.1", 8001, None)

        with pytest.raises(DatabaseLost):
            database.run(write)


def test_an_internal_error_in_choosing_a_gap_does_not_end_the_daemon(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def fail(*_arguments: object) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("cannot convert float NaN to integer")

    with dispatcher(database, []) as pulling:
        monkeypatch.setattr(pulling._catch_ups, "start_due", fail)
        for _ in range(3):
            pulling.start_catch_ups()
    assert calls == 1, "each second it would fill the log"
    assert "internal error" in caplog.text
    assert "float NaN" in caplog.text
