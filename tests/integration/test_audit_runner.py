"""Audits and looks run beside the cycles, in slots that are left over, never in trouble."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

import gevent
import pytest

from fleetsyncd.database import backfills, repairs
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_terms import change_terms
from fleetsyncd.database.vehicles import add_vehicle
from fleetsyncd.jobs import Visit
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import AttemptReport
from fleetsyncd.sync.attempts import VISIT_SEC
from fleetsyncd.sync.audit_jobs import AuditJobs, Free
from fleetsyncd.sync.audit_plan import AGES, EVERY_SEC, AuditPlan
from fleetsyncd.sync.catch_up_runner import CatchUpRunner
from fleetsyncd.terms import Given, TermsChange
from fleetsyncd.vehicle.client import VehicleClient
from tests.integration.rig import Ask, Reply, Rig, rig
from tests.integration.test_audits import begin_to_look, counts, lose, reached, request

MINUTE = 60.0


class Beside:
    """A runner whose clock the test sets."""

    def __init__(
        self,
        it: Rig,
        percent: float = 2,
        sync_interval_sec: float = 30,
        catch_up_concurrency: int = 4,
    ) -> None:
        self.now = 0.0
        self.reports: list[AttemptReport] = []
        self.received: Counter[UUID] = Counter()
        self._rig = it
        self.clients: list[VehicleClient] = []
        context = replace(it.context(), connect=self._connect)
        self.runner = CatchUpRunner(
            context,
            self._on_report,
            lambda error: pytest.fail(str(error)),
            catch_up_concurrency=catch_up_concurrency,
            audit_plan=AuditPlan(percent, self.received, sync_interval_sec),
            monotonic=lambda: self.now,
        )
        self.runner.new_fleet_cycle([it.vehicle_id])

    def _connect(self, vehicle: Vehicle) -> VehicleClient:
        self.clients.append(self._rig.connect(vehicle.host, vehicle.port))
        return self.clients[-1]

    def _on_report(self, _vehicle: Vehicle, report: AttemptReport) -> None:
        self.reports.append(report)

    def run(self, after: float = 0.0) -> list[AttemptReport]:
        """Let time pass, start what is due, and return what ended."""
        self.now += after
        self.reports.clear()
        self.runner.start_due()
        self.runner._greenlets.join(timeout=20)
        gevent.sleep(0)
        return list(self.reports)


@pytest.fixture
def pulled(database: Database) -> Iterator[Rig]:
    with rig(database, watermark_ago=30 * MINUTE, channels=2) as it:
        it.cycle()
        yield it


def looked_at(reports: list[AttemptReport]) -> set[int | None]:
    assert all(report.entry.status == "ok" for report in reports)
    return {report.audit.age_sec for report in reports if report.audit is not None}


def every_age(beside: Beside, seconds: float = EVERY_SEC) -> set[int | None]:
    """Run for some time; return the ages that were looked at."""
    seen: set[int | None] = set()
    for _ in range(int(seconds // 30)):
        seen |= looked_at(beside.run(after=30))
    return seen


def test_a_vehicle_is_looked_at_at_every_age_that_can_be_proved(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    assert every_age(Beside(pulled)) == {60, 600}, "it was not pulled for an hour"


def test_what_is_due_together_is_looked_at_in_one_visit_that_asks_for_the_state_once(
    pulled: Rig,
) -> None:
    begin_to_look(pulled, *AGES)
    beside = Beside(pulled)
    pulled.asked.clear()
    assert looked_at(beside.run(after=EVERY_SEC)) == {60, 600}
    assert [path for path, _query in pulled.asked] == ["/status", "/data", "/data"]


def test_ages_at_which_the_same_pull_of_its_own_interval_had_ended_share_one_look(
    database: Database,
) -> None:
    with rig(database, watermark_ago=150 * MINUTE, channels=2) as it:
        it.cycle()
        begin_to_look(it, *AGES)
        hourly = TermsChange(interval_sec=Given(3600))
        database.run(lambda c: change_terms(c, it.vehicle_id, hourly, 30))
        ends = it.now - timedelta(hours=1) - it.overlap
        beside = Beside(it)
        it.asked.clear()
        assert looked_at(beside.run(after=EVERY_SEC)) == {3600}
        assert [path for path, _query in it.asked] == ["/status", "/data"]
        proved = "SELECT age_sec, verified_to FROM fleetsync.verified WHERE looked_at IS NOT NULL"
        assert dict(it.run(proved)) == dict.fromkeys((60, 600, 3600), ends)
        assert every_age(beside) == set(), "of that place all is proved"
        it.cycle(after=3600)
        lose(it, 3612, 3600)
        beside.runner.new_fleet_cycle([it.vehicle_id])
        (found,) = beside.run(after=EVERY_SEC)
        assert "about 60m old" in str(found.entry.error_msg)
        assert it.run("SELECT age_sec FROM fleetsync.verified WHERE missing > 0") == [(3600,)]


def test_rows_before_a_pulls_end_are_found_missing_if_the_interval_divides_no_age(
    database: Database,
) -> None:
    interval = 45
    with rig(database, watermark_ago=30 * interval, channels=2) as it:
        it.cycle()
        begin_to_look(it, *AGES)
        before_end = [pulls * interval + it.overlap.total_seconds() for pulls in (2, 14)]
        lost = [lose(it, ago + 2, ago) for ago in before_end]
        beside = Beside(it, sync_interval_sec=interval)
        beside.received[it.vehicle_id] = 1_000_000  # so looks are short
        reports = beside.run(after=EVERY_SEC)
        found = {r.audit.age_sec: r.audit.counts.missing for r in reports if r.audit is not None}
        assert found == dict(zip((60, 600), lost, strict=True))


def test_a_vehicle_of_which_nothing_can_be_proved_yet_is_not_tried_again_and_again(
    pulled: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0
    read = AuditJobs.visits

    def count(
        jobs: AuditJobs, ids: Sequence[UUID], free: Free, cursor: Cursor
    ) -> list[tuple[Vehicle, Visit]]:
        nonlocal tried
        tried += len(ids)
        return read(jobs, ids, free, cursor)

    monkeypatch.setattr(AuditJobs, "visits", count)
    begin_to_look(pulled, *AGES)
    pulled.run("UPDATE fleetsync.verified SET verified_to = now()")
    every_age(Beside(pulled), EVERY_SEC)
    soonest = 60 + pulled.overlap.total_seconds()
    assert 0 < tried <= EVERY_SEC / soonest, "a minute later the youngest may be proved"


def test_a_look_that_finds_rows_missing_keeps_no_other_of_its_visit_away(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    lose(pulled, 66, 62)
    assert looked_at(Beside(pulled).run(after=EVERY_SEC)) == {60, 600}


def test_a_visit_ends_at_a_look_that_fails(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    beside = Beside(pulled)
    asked = []

    def hook(path: str, query: str, ask: Ask) -> Reply:
        asked.append(path)
        return (HTTPStatus.BAD_REQUEST, b"{}") if path == "/data" else ask(query)

    pulled.simulated.hook = hook
    (report,) = beside.run(after=EVERY_SEC)
    assert report.entry.status == "error"
    assert asked == ["/status", "/data"]


def test_a_vehicle_that_floods_a_look_has_a_slot_for_some_seconds_only(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    beside = Beside(pulled)
    entries = len(pulled.journal())

    def flood(path: str, query: str, ask: Ask) -> Reply:
        pulled.asked.append((path, query))
        status, body = ask(query)
        if path != "/data":
            return status, body
        beside.now += 5
        return status, json.dumps(json.loads(body) | {"truncated": True}).encode()

    pulled.simulated.hook = flood
    pulled.asked.clear()
    (report,) = beside.run(after=EVERY_SEC)
    assert [path for path, _query in pulled.asked].count("/data") == VISIT_SEC / 5
    assert not report.needs_attention
    assert len(pulled.journal()) == entries


def test_a_visit_ends_when_a_gap_waits_for_a_slot(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    other = pulled.database.run(lambda c: add_vehicle(c, "Truck-02", "127.0.0.9", 8080, "key"))
    beside = Beside(pulled, catch_up_concurrency=1)

    def gap_begins(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data":
            pulled.asked.append((path, query))
            leave_gap(pulled, other)
            beside.runner.start_due()
        return ask(query)

    pulled.simulated.hook = gap_begins
    pulled.asked.clear()
    seen = [report.entry.status for report in beside.run(after=EVERY_SEC)]
    assert seen == ["ok", "error"]
    assert len(pulled.asked) == 1, "of the second look nothing is asked"


def leave_gap(it: Rig, vehicle_id: UUID) -> None:
    """Let a vehicle be live with a gap before."""
    it.run(
        "UPDATE vehicles SET sync_status = 'ok', last_sync_at = %s WHERE id = %s::uuid",
        it.now - timedelta(hours=1),
        str(vehicle_id),
    )
    it.run(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, islands)"
        " VALUES (%s::uuid, tstzmultirange(tstzrange(%s, %s))) ON CONFLICT (vehicle_id)"
        " DO UPDATE SET islands = excluded.islands",
        str(vehicle_id),
        it.now - timedelta(minutes=1),
        it.now,
    )


def test_rows_that_are_missing_are_found_and_repaired_by_itself(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    lost = lose(pulled, 1500, 1490) + lose(pulled, 66, 62) + lose(pulled, 612, 600)
    beside = Beside(pulled)
    every_age(beside)
    for _ in range(4):
        pulled.cycle(after=30)
        beside.runner.new_fleet_cycle([pulled.vehicle_id])
        every_age(beside)
        if pulled.compare().clean:
            break  # the round in which a repair begins depends on how busy the machine is
    [(found,)] = pulled.run(
        "SELECT (SELECT sum(missing) FROM fleetsync.verified)"
        " + (SELECT sum(missing) FROM fleetsync.audit)"
    )
    assert found
    assert found <= lost
    assert pulled.compare().clean


def test_nothing_is_looked_at_if_it_is_turned_off(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    pulled.run("UPDATE fleetsync.vehicle_state SET suspect_from = now() - interval '9 minutes'")
    assert every_age(Beside(pulled, percent=0)) == set()


@pytest.mark.parametrize("channels", [2, 18])
def test_looks_cost_no_more_than_their_share_of_what_a_vehicle_sends(
    database: Database, channels: int
) -> None:
    with rig(database, watermark_ago=EVERY_SEC, channels=channels) as it:
        it.cycle()
        begin_to_look(it, *AGES)
        beside = Beside(it)
        for _ in range(int(8 * EVERY_SEC // 30)):
            before = it.client.received_bytes
            it.cycle(after=30)
            beside.received[it.vehicle_id] += it.client.received_bytes - before
            beside.run(after=30)
        visits = [client.received_bytes for client in beside.clients]
        paid = sum(visits) - max(visits)  # the last one is paid for by the pause after it
        assert len(visits) > 3
        assert paid <= 0.02 * it.client.received_bytes, visits


def test_an_operators_audit_runs_also_if_looks_are_turned_off(pulled: Rig) -> None:
    lost = lose(pulled, 300, 290)
    request(pulled)
    pulled.now += timedelta(milliseconds=1)
    beside = Beside(pulled, percent=0)
    assert len(beside.run()) == 1
    assert counts(pulled)[1] == lost
    assert beside.run() == []


@pytest.mark.parametrize(
    "trouble",
    [
        "UPDATE vehicles SET sync_status = 'timeout'",
        "UPDATE fleetsync.vehicle_state SET failures = 1",
        "UPDATE fleetsync.vehicle_state SET paused = true",
        "UPDATE fleetsync.vehicle_state SET other_hint = 'another'",
        "UPDATE fleetsync.vehicle_state SET asked_to = now() - interval '1 hour'",
    ],
)
def test_a_vehicle_in_trouble_is_not_looked_at(pulled: Rig, trouble: str) -> None:
    begin_to_look(pulled, *AGES)
    pulled.run(trouble)
    assert every_age(Beside(pulled)) == set()


def test_a_vehicle_with_a_gap_is_not_looked_at(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    pulled.run(
        "UPDATE fleetsync.vehicle_state SET islands = tstzmultirange(tstzrange(%s, %s))",
        pulled.now + timedelta(minutes=5),
        pulled.now + timedelta(minutes=6),
    )
    pulled.run("UPDATE vehicles SET sync_status = 'ok'")
    beside = Beside(pulled)
    beside.runner._turns.most = 0
    assert every_age(beside) == set()


def test_a_vehicle_that_rests_or_is_silent_is_not_looked_at(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    beside = Beside(pulled)
    beside.now += EVERY_SEC
    beside.runner.start_due(resting=[pulled.vehicle_id])
    assert not beside.runner.running
    beside.runner.start_due(silent=[pulled.vehicle_id])
    assert not beside.runner.running


def test_nothing_is_looked_at_while_the_database_does_not_keep_up(
    pulled: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_to_look(pulled, *AGES)
    request(pulled)
    monkeypatch.setattr(Database, "is_crowded", property(lambda _self: True))
    assert every_age(Beside(pulled), 60) == set()


def test_a_backfill_goes_before_looks(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    window = Window(reached(pulled) - timedelta(minutes=9), reached(pulled))
    pulled.database.run(lambda c: backfills.request_backfill(c, pulled.vehicle_id, window))
    pulled.now += timedelta(milliseconds=1)
    beside = Beside(pulled)
    (first,) = beside.run(after=EVERY_SEC)
    assert first.audit is None


def test_a_repair_that_waits_for_its_time_keeps_looks_away(pulled: Rig) -> None:
    begin_to_look(pulled, *AGES)
    window = Window(pulled.now - timedelta(minutes=9), pulled.now)
    pulled.database.run(lambda c: repairs.request_repair(c, pulled.vehicle_id, window))
    pulled.run("UPDATE fleetsync.audit SET not_before = now() + interval '1 hour'")
    assert every_age(Beside(pulled)) == set()
