"""Gaps of many vehicles, caught up beside the cycles by a few greenlets."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import gevent
import pytest

from fleetsyncd.database import (
    backfills,
    gaps,
    loading,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import AttemptReport, Outcome
from fleetsyncd.sync import attempts
from fleetsyncd.sync.catch_up_runner import CatchUpRunner
from fleetsyncd.vehicle.answer import Answer
from tests.integration.test_dispatcher import (
    EndlessVehicle,
    SatisfiedVehicle,
    context_of,
    register,
)

HOUR = timedelta(hours=1)


class CountedVehicle(SatisfiedVehicle):
    """Empty, but it counts how many of its kind are asked at the same time."""

    present = most = 0

    def data(self, *asked: object, **options: object) -> Answer:
        kind = type(self)
        kind.present += 1
        kind.most = max(kind.most, kind.present)
        try:
            return super().data(*asked, **options)
        finally:
            kind.present -= 1


@contextmanager
def runner(
    database: Database,
    connect: Callable[[Vehicle], Any],
    concurrency: int = 4,
    **options: Any,
) -> Iterator[tuple[CatchUpRunner, list[AttemptReport]]]:
    reports: list[AttemptReport] = []
    made = CatchUpRunner(
        replace(context_of(database), connect=connect),
        lambda _vehicle, report: reports.append(report),
        lambda error: pytest.fail(str(error)),
        catch_up_concurrency=concurrency,
        **options,
    )
    yield made, reports
    made.stop("the test is over")
    made.end(0, 1)


def with_gaps(database: Database, count: int, length: timedelta = HOUR) -> list[UUID]:
    """Register vehicles that are live, with a gap before."""
    register(database, count)
    now = datetime.now(UTC)

    def leave(cursor: Cursor) -> None:
        cursor.execute(
            "UPDATE public.vehicles SET last_sync_at = %s, sync_status = 'ok'", (now - length,)
        )
        cursor.execute(
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, islands) SELECT id,"
            " tstzmultirange(tstzrange(%s, %s)) FROM public.vehicles",
            (now - timedelta(minutes=1), now),
        )

    database.run(leave)
    return [vehicle.id for vehicle in database.run(loading.load_vehicles)]


def until_idle(made: CatchUpRunner) -> None:
    with gevent.Timeout(20):
        while made.running:
            gevent.sleep(0.01)


def open_gaps(database: Database) -> int:
    return sum(bool(vehicle.islands) for vehicle in database.run(loading.load_vehicles))


def test_a_slot_goes_on_with_the_next_gap_until_none_waits(database: Database) -> None:
    with_gaps(database, 30)
    CountedVehicle.most = 0
    with runner(database, lambda _vehicle: CountedVehicle()) as (made, reports):
        made.start_due()
        assert made.has_gaps
        until_idle(made)
        assert (open_gaps(database), len(reports)) == (0, 30)
        assert CountedVehicle.most == 3, "one slot of four is kept for backfills"
        made.start_due()
        assert not made.has_gaps


def test_gaps_take_turns_while_others_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "SLICE_SEC", 0.0)
    with_gaps(database, 6, timedelta(hours=30))
    with runner(database, lambda _vehicle: SatisfiedVehicle(), 2) as (made, reports):
        made.start_due()
        until_idle(made)
        first = [report.entry.vehicle_id for report in reports[:6]]
        assert len(set(first)) == 6, "each has its turn before one has its second"
        assert all("stored up to" in str(report.entry.error_msg) for report in reports[:6])
        assert all(report.entry.status == Outcome.OK for report in reports)
        while made.has_gaps:
            made.start_due()
            until_idle(made)
        assert open_gaps(database) == 0


def test_gaps_leave_a_slot_to_a_backfill(database: Database) -> None:
    ids = with_gaps(database, 5)
    register_backfill(database, ids[-1])
    with runner(database, lambda _vehicle: EndlessVehicle(), 2) as (made, _reports):
        made.start_due()
        gevent.sleep(0.05)
        assert len(made.running) == 2
        assert made._jobs.gaps == 1


def test_a_backfill_fills_the_past_as_a_gap_does_and_an_idle_runner_does_not(
    database: Database,
) -> None:
    ids = with_gaps(database, 1)
    with runner(database, lambda _vehicle: SatisfiedVehicle()) as (made, _reports):
        made.start_due()
        with_a_gap = made.fills_past
        until_idle(made)
        made.start_due()
        assert (with_a_gap, made.fills_past) == (True, False)
    register_backfill(database, ids[0])
    with runner(database, lambda _vehicle: EndlessVehicle()) as (made, _reports):
        made.start_due()
        assert (made.has_gaps, made.fills_past) == (False, True)


def register_backfill(database: Database, vehicle_id: UUID) -> None:
    now = datetime.now(UTC)
    window = Window(now - 5 * HOUR, now - 4 * HOUR)
    database.run(lambda c: backfills.request_backfill(c, vehicle_id, window))


def test_a_vehicle_that_does_not_answer_its_cycles_is_not_asked_for_its_gap(
    database: Database,
) -> None:
    ids = with_gaps(database, 4)
    states = {ids[0]: "timeout", ids[1]: "error"}

    def fail(cursor: Cursor) -> None:
        for key, status in states.items():
            cursor.execute(
                "UPDATE public.vehicles SET sync_status = %s WHERE id = %s::uuid",
                (status, str(key)),
            )
        cursor.execute(
            "UPDATE fleetsync.vehicle_state SET paused = true WHERE vehicle_id = %s::uuid",
            (str(ids[2]),),
        )

    database.run(fail)
    with runner(database, lambda _vehicle: SatisfiedVehicle()) as (made, reports):
        made.start_due()
        until_idle(made)
        assert [report.entry.vehicle_id for report in reports] == [ids[3]]
        made.start_due(resting=[ids[0]], silent=[ids[1]])
        assert not made.running


def test_a_gap_that_failed_is_tried_again_in_the_next_cycle_of_the_fleet(
    database: Database,
) -> None:
    ids = with_gaps(database, 1)

    class Broken(SatisfiedVehicle):
        def data(self, *_asked: object, **_options: object) -> Answer:
            self.questions += 1
            return Answer(b"[", None)

    with runner(database, lambda _vehicle: Broken()) as (made, reports):
        for _ in range(3):
            made.start_due()
            until_idle(made)
        assert len(reports) == 1
        assert reports[0].needs_attention
        made.new_fleet_cycle(ids)
        made.start_due()
        until_idle(made)
        assert len(reports) == 2


def test_while_its_cycle_runs_a_vehicle_is_not_asked_for_its_gap(database: Database) -> None:
    with_gaps(database, 1, HOUR / 2)
    asked = SatisfiedVehicle()
    busy = True
    with runner(database, lambda _vehicle: asked, has_priority=lambda _id: busy) as (made, _):
        made.start_due()
        gevent.sleep(0.2)
        questions = asked.questions
        assert questions <= 1, "its name for itself at most"
        busy = False
        until_idle(made)
        assert asked.questions > questions
    assert open_gaps(database) == 0


def test_nothing_begins_once_the_daemon_stops(database: Database) -> None:
    with_gaps(database, 20)
    with runner(database, lambda _vehicle: SatisfiedVehicle(), 2) as (made, reports):
        made.start_due()
        made.stop("stopped with the daemon")
        until_idle(made)
        assert len(reports) <= 1
        assert open_gaps(database) >= 19
        made.start_due()
        assert not made.running


def test_a_gap_whose_vehicle_was_removed_meanwhile_is_passed_over(database: Database) -> None:
    ids = with_gaps(database, 3)

    class Removing(SatisfiedVehicle):
        def status(self) -> Answer:
            database.run(lambda c: c.execute("DELETE FROM vehicles WHERE id <> %s", (str(kept),)))
            return super().status()

    kept = ids[0]
    with runner(database, lambda _vehicle: Removing(), 2) as (made, _reports):
        made.start_due()
        until_idle(made)
        made.start_due()
        until_idle(made)
        assert not made.running


def test_what_began_while_a_gap_was_read_is_not_begun_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = gaps.open_gaps

    def slowly(*asked: Any) -> Any:
        found = read(*asked)
        gevent.sleep(0)  # another greenlet may take its turn while the query is under way
        return found

    monkeypatch.setattr(gaps, "open_gaps", slowly)
    with_gaps(database, 3)
    CountedVehicle.most = 0
    with runner(database, lambda _vehicle: CountedVehicle(), 8) as (made, reports):
        gevent.joinall([gevent.spawn(made.start_due) for _ in range(2)], raise_error=True)
        until_idle(made)
        assert (open_gaps(database), len(reports)) == (0, 3)
    assert not [record for record in caplog.records if record.exc_info]
