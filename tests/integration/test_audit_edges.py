"""Audits, repairs and looks where something is odd: they end, harm nothing, and tell the truth."""

import json
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus

import pytest

from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.database import backfills, repairs
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.models import Window
from fleetsyncd.reports import Outcome
from fleetsyncd.sync.audit_plan import AGES, EVERY_SEC
from fleetsyncd.sync.pull import HISTORY_ROWS
from fleetsyncd.sync.running_jobs import Job
from tests.integration.rig import Ask, Reply, Rig, rig
from tests.integration.test_adoption import as_owner
from tests.integration.test_audit_runner import Beside, looked_at
from tests.integration.test_audits import begin_to_look, counts, lose, reached, request
from tests.integration.test_foreign_partitions import make_both, over_a_months_end

SECOND = timedelta(seconds=1)
LOOK = f"limit={HISTORY_ROWS}"
COVERED = "SELECT kind, from_at, to_at FROM fleetsync.coverage ORDER BY from_at"


@pytest.fixture
def pulled(database: Database) -> Iterator[Rig]:
    """A vehicle of which half an hour is stored."""
    with rig(database, watermark_ago=1800, channels=2) as it:
        it.cycle()
        yield it


def ask_for_repair(it: Rig, since: float, until: float) -> None:
    window = Window(it.now - since * SECOND, it.now - until * SECOND)
    it.database.run(lambda c: repairs.request_repair(c, it.vehicle_id, window))


def refuse_rows(path: str, query: str, ask: Ask) -> Reply:
    """Answer anything but for measurements."""
    if path == "/data" and LOOK not in query.split("&"):
        return HTTPStatus.INTERNAL_SERVER_ERROR, b"{}"
    return ask(query)


def test_a_repair_goes_on_though_somebody_set_the_watermark_to_a_microsecond(pulled: Rig) -> None:
    pulled.run(
        "UPDATE vehicles SET last_sync_at = %s, sync_status = 'timeout'",
        pulled.now - timedelta(minutes=10, microseconds=321),
    )
    Beside(pulled).run(after=EVERY_SEC)  # Where looks begin is kept, though it is not fit for one.
    for _ in range(4):
        pulled.cycle(after=30)
    lose(pulled, 400, 0)
    pulled.cycle(after=30)
    pulled.cycle(after=30)
    pulled.look(60)
    assert "missing, stored now" in pulled.audit()
    assert pulled.run("SELECT count(*) FROM fleetsync.audit WHERE finished_at IS NULL") == [(0,)]


def test_an_open_repair_that_begins_at_a_microsecond_is_done(pulled: Rig) -> None:
    lost = lose(pulled, 300, 200)
    ask_for_repair(pulled, 400, 100)
    odd = "from_at = from_at + interval '321 us', reached_at = reached_at + interval '321 us'"
    pulled.run(f"UPDATE fleetsync.audit SET {odd}")  # noqa: S608  constants
    assert f"{lost} missing, stored now" in pulled.audit()


def test_a_vehicle_that_stamps_microseconds_and_has_dropped_a_part_is_audited(
    database: Database,
) -> None:
    with rig(database, watermark_ago=600, channels=2) as it:

        def stamp(path: str, query: str, ask: Ask) -> Reply:
            status, body = ask(query)
            if path != "/data":
                return status, body
            answer = json.loads(body)
            for row in answer["rows"]:
                row["time"] = row["time"].replace("Z", "456Z")
            return status, json.dumps(answer).encode()

        it.simulated.hook = stamp
        it.cycle()
        it.simulated.history_start_ms = int((it.now - 300 * SECOND).timestamp() * 1000)
        request(it, 540)
        assert "gone for good" in it.audit()
        assert it.run("SELECT finished_at IS NOT NULL FROM fleetsync.audit") == [(True,)]


def test_what_the_next_cycle_asks_for_again_is_not_missing(pulled: Rig) -> None:
    """Else a vehicle at the longest overlap uses up its repairs for rows that nobody has missed."""
    pulled.run(
        "UPDATE fleetsync.vehicle_state SET overlap_ms = 120000, suspect_from = %s",
        pulled.now - 300 * SECOND,
    )
    missed = lose(pulled, 250, 200)
    lose(pulled, 100, 0)
    pulled.database.run(lambda c: repairs.repair_suspects(c, set(), 5))
    assert f"{missed} missing, stored now" in pulled.audit()


def test_a_suspicion_of_what_is_asked_for_again_waits(pulled: Rig) -> None:
    since = pulled.now - 100 * SECOND
    pulled.run("UPDATE fleetsync.vehicle_state SET overlap_ms = 120000, suspect_from = %s", since)
    pulled.database.run(lambda c: repairs.repair_suspects(c, set(), 5))
    assert pulled.run("SELECT suspect_from FROM fleetsync.vehicle_state") == [(since,)]


def test_repairs_leave_a_part_of_the_days_rows_to_what_is_live(database: Database) -> None:
    hour = 3600.0
    with rig(database, watermark_ago=8.1 * hour, channels=2) as it:
        it.cycle()
        it.run(
            "UPDATE fleetsync.vehicle_state SET intake_day = current_date, day_rows = 0,"
            " day_seconds = 0"
        )
        it.budget = VehicleBudget(vehicle_max_rows_per_day=50_000)
        ask_for_repair(it, 8 * hour, 60)
        assert "VEHICLE_MAX_ROWS_PER_DAY" in it.audit()
        assert it.cycle(after=30).outcome is Outcome.OK


def test_looks_go_on_beside_a_gap_that_does_not_end(pulled: Rig, database: Database) -> None:
    begin_to_look(pulled, *AGES)
    beside = Beside(pulled, catch_up_concurrency=16)
    with rig(database, watermark_ago=300, channels=1, name="Truck-02") as other:
        beside.runner._jobs.add(Job(other.vehicle()))
    beside.runner._slots.take()
    assert looked_at(beside.run(after=EVERY_SEC)) == {60, 600}


def test_a_backfill_that_only_lacks_alarms_keeps_no_audit_from_its_vehicle(
    pulled: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_alarms(path: str, query: str, ask: Ask) -> Reply:
        return (HTTPStatus.INTERNAL_SERVER_ERROR, b"{}") if path == "/alarms" else ask(query)

    pulled.simulated.hook = no_alarms
    window = Window(pulled.now - 300 * SECOND, pulled.now - 200 * SECOND)
    pulled.database.run(lambda c: backfills.request_backfill(c, pulled.vehicle_id, window))
    pulled.backfill()
    assert pulled.run("SELECT finished_at FROM fleetsync.backfill") == [(None,)]
    ask_for_repair(pulled, 300, 200)
    assert "nothing missing" in pulled.audit()
    begin_to_look(pulled, *AGES)
    beside = Beside(pulled)
    monkeypatch.setattr(beside.runner._backfills, "due", lambda *_arguments: [])
    assert looked_at(beside.run(after=EVERY_SEC)) == {60, 600}


def test_an_operators_audit_that_fails_does_not_keep_a_repair_from_being_tried(
    pulled: Rig,
) -> None:
    request(pulled, 1500)
    ask_for_repair(pulled, 300, 200)
    pulled.simulated.hook = refuse_rows
    beside = Beside(pulled)
    for _ in range(2):
        beside.run(after=30)
        beside.runner.new_fleet_cycle([pulled.vehicle_id])
    tried = "SELECT count(*) FROM fleetsync.audit WHERE last_error IS NOT NULL"
    assert pulled.run(tried) == [(2,)]


def test_looks_that_share_a_place_have_all_asked_again_that_none_of_them_has_proved(
    pulled: Rig,
) -> None:
    known = reached(pulled)
    proved = {60: 65, 600: 605, 3600: 1700, 86400: 1750}
    for age, ago in proved.items():
        pulled.run(
            "INSERT INTO fleetsync.verified"
            " (vehicle_id, age_sec, verified_to, looked_to, looked_at)"
            " SELECT id, %s, %s, %s, now() FROM vehicles",
            age,
            known - ago * SECOND,
            known - ago * SECOND,
        )
    lose(pulled, 1650, 1600)
    pulled.run(
        "INSERT INTO fleetsync.vehicle_terms (vehicle_id, interval_sec)"
        " SELECT id, 3600 FROM vehicles"
    )
    pulled.cycle(after=3600)
    lose(pulled, 3610, 3605)
    beside = Beside(pulled)
    for _ in range(3):
        beside.run(after=EVERY_SEC)
        beside.runner.new_fleet_cycle([pulled.vehicle_id])
    assert pulled.compare().clean


def test_a_clock_that_is_set_back_during_an_audit_makes_nothing_missing(pulled: Rig) -> None:
    known = reached(pulled)
    lose(pulled, 200, 100)  # As what the vehicle stamps anew, and no cycle has pulled yet.
    request(pulled, 500)
    steps = iter([timedelta(seconds=300)])

    def set_back(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data" and LOOK not in query.split("&"):
            for step in steps:
                pulled.run("UPDATE fleetsync.vehicle_state SET asked_to = %s", known - step)
        return ask(query)

    pulled.simulated.hook = set_back
    assert "clock is behind" in pulled.audit()
    assert counts(pulled)[1] == 0


def test_an_answer_without_rows_proves_nothing_of_what_an_audit_has_missed(pulled: Rig) -> None:
    lose(pulled, 900, 600)
    request(pulled, 1000, report_only=True)
    pulled.audit()
    before = pulled.run(COVERED)
    assert "missing by audit" in {kind for kind, *_ in before}
    pulled.simulated.history_start_ms = int((pulled.now - 30 * SECOND).timestamp() * 1000)
    begin_to_look(pulled, 600)
    (start,) = pulled.run("SELECT verified_to FROM fleetsync.verified")[0]
    pulled.look(600, 100)
    assert pulled.run("SELECT verified_to FROM fleetsync.verified") == [(start,)]
    assert pulled.run(COVERED) == before


def test_what_no_partition_holds_is_missing_until_it_is_stored(
    server: Server, database_name: str, database: Database
) -> None:
    _last, table = make_both(database)
    as_owner(server, database_name, f"ALTER TABLE measurements DETACH PARTITION {table}")
    with over_a_months_end(database) as it:
        it.cycle()
        it.cycle(after=30)
        assert it.start is not None
        window = Window(it.start, it.start + timedelta(hours=1))

        def missing() -> timedelta:
            rows = it.run(f"SELECT * FROM ({COVERED}) c WHERE kind = 'missing by audit'")  # noqa: S608  constants
            whole = [min(end, window.end) - max(start, window.start) for _kind, start, end in rows]
            return sum(whole, timedelta(0))

        assert missing() > timedelta(minutes=58)
        it.run(
            "INSERT INTO fleetsync.verified (vehicle_id, age_sec, verified_to, looked_to)"
            " SELECT id, 60, %s, %s FROM vehicles",
            it.start,
            it.start,
        )
        it.database.run(lambda c: repairs.request_repair(c, it.vehicle_id, window))
        text = it.audit()
        assert "missing, not stored" in text
        assert it.run("SELECT verified_to FROM fleetsync.verified") == [(it.start,)]
        it.run(
            "INSERT INTO fleetsync.backfill (vehicle_id, from_at, to_at, reached_at)"
            " VALUES (%s, %s, %s, %s)",
            str(it.vehicle_id),
            window.start,
            window.end,
            window.start,
        )
        it.backfill()
        assert missing() > timedelta(minutes=58)


def test_a_watermark_before_all_time_ends_no_visit(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    pulled.run("UPDATE vehicles SET last_sync_at = '-infinity'")
    assert Beside(pulled).run(after=EVERY_SEC) == []


def test_what_was_lost_while_the_clock_was_behind_is_gone_for_good(database: Database) -> None:
    with rig(database, watermark_ago=300, channels=1) as it:
        it.live = 120 * SECOND
        it.cycle()
        it.offset = -7200 * SECOND
        for _ in range(20):
            it.cycle(after=30)
        asked_to = it.vehicle().pulled_until
        assert asked_to is not None
        it.now += 1800 * SECOND
        stamped = it.now + it.offset
        it.offset = timedelta(0)
        it.simulated.history_start_ms = int((stamped + 600 * SECOND).timestamp() * 1000)
        assert "gone for good" in str(it.cycle(after=30).error_msg)
        (gone,) = it.run("SELECT from_at, to_at FROM fleetsync.lost_interval")
        assert abs(gone[0] - asked_to) < 10 * SECOND
        assert abs(gone[1] - (stamped + 600 * SECOND)) < 60 * SECOND
