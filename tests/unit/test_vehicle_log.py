import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import AttemptReport, CycleReport, JournalEntry, Outcome
from fleetsyncd.sync.vehicle_log import (
    CAUGHT_UP_FROM,
    FIRST_REPEAT_SEC,
    LONGEST_REPEAT_SEC,
    VehicleLog,
)
from fleetsyncd.telemetry import Status

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
DAY_OF_CYCLES = range(0, 86_400, 30)


class Logged:
    """A log on a clock of its own; `told` are its lines above DEBUG since the last look."""

    def __init__(self, caplog: pytest.LogCaptureFixture, *, every_cycle: bool) -> None:
        caplog.set_level(logging.DEBUG, "sync")
        self._caplog = caplog
        self.seconds = 0.0
        self.log = VehicleLog(every_cycle=every_cycle, monotonic=lambda: self.seconds)

    def told(self) -> list[str]:
        records = [each for each in self._caplog.records if each.levelno > logging.DEBUG]
        self._caplog.clear()
        return [record.getMessage() for record in records]

    def told_of(self, report: CycleReport) -> list[str]:
        self.log.add(report)
        return self.told()


@pytest.fixture(params=[True, False], ids=["all", "changes"])
def either(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Logged:
    return Logged(caplog, every_cycle=request.param)


@pytest.fixture
def changes(caplog: pytest.LogCaptureFixture) -> Logged:
    return Logged(caplog, every_cycle=False)


def report(outcome: Outcome = Outcome.OK, before: str = "ok", **changed: Any) -> CycleReport:
    vehicle = Vehicle(UUID(int=1), "Truck-01", "10.8.0.1", 8001, None, NOW, before, None)
    facts: dict[str, Any] = {"interval": Window(NOW - timedelta(seconds=30), NOW)}
    if outcome is Outcome.OK:
        facts |= {"status": Status("1", True), "rows_written": 540}
    return CycleReport(vehicle, NOW, NOW, outcome, **facts | changed)


def failed(failures: int = 0, reason: str = "/status: no complete answer", **changed: Any) -> Any:
    before = "timeout" if failures else "ok"
    made = report(Outcome.TIMEOUT, before, reason=reason, **changed)
    return replace(made, vehicle=replace(made.vehicle, failures=failures))


def test_a_failure_that_repeats_is_told_when_it_comes_and_then_more_and_more_rarely(
    either: Logged,
) -> None:
    told_at = []
    for number, second in enumerate(range(0, 4 * 86_400, 30)):
        either.seconds = second
        told_at += [second] * len(either.told_of(failed(number)))
    first, longest = FIRST_REPEAT_SEC, LONGEST_REPEAT_SEC
    assert told_at[:5] == [0, first, 3 * first, 7 * first, 15 * first]
    assert told_at[-1] - told_at[-2] == longest
    assert len(told_at) == 8


def test_a_failure_that_is_told_again_has_its_count(either: Logged) -> None:
    either.log.add(failed())
    either.told()
    either.seconds = FIRST_REPEAT_SEC
    assert either.told_of(failed(120)) == [
        "[Truck-01] timeout on /status: no complete answer (121 in a row)"
    ]


def test_what_is_not_told_is_there_for_who_debugs(
    changes: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    changes.log.add(report())
    changes.log.add(failed())
    changes.log.add(failed(1))
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.DEBUG, logging.WARNING, logging.DEBUG]
    assert [vars(record)["vehicle"] for record in caplog.records] == ["Truck-01"] * 3


@pytest.mark.parametrize(
    ("reason", "is_news"),
    [("/status: HTTP 503: no memory", True), ("/status: no complete answer within 20 s", False)],
)
def test_another_failure_is_told_at_once_but_not_another_number_in_it(
    either: Logged, reason: str, is_news: bool
) -> None:
    either.log.add(failed(reason="/status: no complete answer within 10 s"))
    either.told()
    assert bool(either.told_of(failed(1, reason))) is is_news


def test_a_failure_that_comes_back_is_told_again(either: Logged) -> None:
    for _ in range(3):
        assert either.told_of(failed())
        assert either.told_of(report(before="timeout"))


def test_a_good_day_has_a_line_a_cycle_or_none(either: Logged) -> None:
    for second in DAY_OF_CYCLES:
        either.seconds = second
        either.log.add(report())
    lines = either.told()
    assert len(lines) == (len(DAY_OF_CYCLES) if either.log.every_cycle else 0)
    assert set(lines) <= {"[Truck-01] wrote 540 measurements  window=30s"}


def test_a_vehicle_that_comes_online_is_a_change(changes: Logged) -> None:
    (line,) = changes.told_of(report(before="timeout"))
    assert line.startswith("[Truck-01] online  sw=1  db_ok=True")


@pytest.mark.parametrize("seconds", [-1, 0])
def test_a_gap_that_was_caught_up_is_a_change(changes: Logged, seconds: int) -> None:
    length = CAUGHT_UP_FROM + timedelta(seconds=seconds)
    lines = changes.told_of(report(interval=Window(NOW - length, NOW)))
    assert len(lines) == (seconds == 0)


def test_a_remark_is_told_when_it_comes_changes_or_ends(changes: Logged) -> None:
    def noted(text: str) -> CycleReport:
        return report(notes=(text,))

    assert changes.told_of(noted("the vehicle's clock is 8m ahead: set it"))
    assert not changes.told_of(noted("the vehicle's clock is 9m ahead: set it"))
    assert changes.told_of(noted("alarms will be asked for again (/alarms: HTTP 500)"))
    assert not changes.told_of(noted("alarms will be asked for again (/alarms: HTTP 500)"))
    changes.seconds += FIRST_REPEAT_SEC
    assert changes.told_of(noted("alarms will be asked for again (/alarms: HTTP 500)"))
    assert changes.told_of(report()) == ["[Truck-01] wrote 540 measurements  window=30s"]
    assert not changes.told_of(report())


def test_a_cycle_that_was_ended_on_purpose_is_told(either: Logged) -> None:
    for _ in range(2):
        assert either.told_of(failed(reason="paused", stopped=True))


def test_an_outage_is_told_once_until_a_vehicle_answers(either: Logged) -> None:
    for minute in range(60):
        either.seconds = 60 * minute
        either.log.add_outage(f"no vehicle answers ({minute} of {minute}): check the VPN")
    assert either.told() == ["no vehicle answers (0 of 0): check the VPN"]
    either.log.end_outage()
    either.log.add_outage("no vehicle answers (3 of 3): check the VPN")
    assert len(either.told()) == 1


def test_a_vehicle_that_left_the_fleet_is_forgotten_but_not_the_fleets_outage(
    either: Logged,
) -> None:
    either.log.add(failed())
    either.log.add_outage("no vehicle answers")
    either.log.retain([UUID(int=1)])
    either.told()
    either.log.add(failed(1))
    either.log.add_outage("no vehicle answers")
    assert either.told() == []
    either.log.retain([])
    assert either.told_of(failed(1))
    either.log.add_outage("no vehicle answers")
    assert either.told() == []


def test_a_backfill_that_fails_again_and_again_is_told_once_an_hour_and_its_end_always(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    told = VehicleLog(monotonic=lambda: now)

    def attempt(text: str, *, failed: bool) -> list[str]:
        entry = JournalEntry(UUID(int=1), NOW, NOW, "error", 7, text, vehicle_name="Truck-01")
        caplog.clear()
        told.add_attempt(AttemptReport(entry, 0, needs_attention=failed))
        return [f"{r.levelname} {r.getMessage()}" for r in caplog.records if r.levelname != "DEBUG"]

    with caplog.at_level(logging.DEBUG, "sync"):
        failure = "backfill of 2026-11-01; /status: no complete answer within 10 s"
        line = f"WARNING [Truck-01] {failure}  wrote 7"
        assert [attempt(failure, failed=True) for _ in range(3)] == [[line], [], []]
        now = 3600.0
        assert attempt(failure, failed=True) == [line]
        assert len(attempt("complete", failed=False)) == 1
        assert attempt(failure, failed=True) == [line]
