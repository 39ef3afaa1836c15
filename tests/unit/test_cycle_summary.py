import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_DNS, uuid5

import pytest

from fleetsyncd.models import Vehicle
from fleetsyncd.reports import CycleReport, Outcome, Progress
from fleetsyncd.sync.cycle_summary import CycleSummary
from fleetsyncd.sync.vehicle_log import VehicleLog
from fleetsyncd.telemetry import Status

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
REASON = "/status: no complete answer within 10 s"


def report(name: str, outcome: Outcome, *, answered: bool) -> CycleReport:
    vehicle = Vehicle(uuid5(NAMESPACE_DNS, name), name, "10.0.0.1", 8001, None, NOW, "ok", None)
    status = Status("1.1.0", True) if answered else None
    reason = None if outcome is Outcome.OK else REASON
    return CycleReport(vehicle, NOW, NOW, outcome, reason, status, vehicle_answered=answered)


def good(name: str) -> CycleReport:
    return report(name, Outcome.OK, answered=True)


def silent(name: str) -> CycleReport:
    return report(name, Outcome.TIMEOUT, answered=False)


class Logged:
    """The lines that were logged since the last look, without those of the cycle as a whole."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        caplog.set_level(logging.DEBUG, "sync")

    def records(self) -> list[logging.LogRecord]:
        records = list(self._caplog.records)
        self._caplog.clear()
        return records

    def names(self) -> list[str]:
        return [record.getMessage().partition("]")[0].strip("[") for record in self.records()]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    return Logged(caplog)


def test_each_vehicle_has_one_line_that_carries_its_name(logged: Logged) -> None:
    cycle = CycleSummary(2)
    cycle.add(good("Truck-01"))
    cycle.add(silent("Truck-02"))
    first, second = logged.records()
    assert (first.name, first.levelno) == ("sync", logging.INFO)
    assert second.levelno == logging.WARNING
    assert [vars(record)["vehicle"] for record in (first, second)] == ["Truck-01", "Truck-02"]


def test_ends_are_counted(logged: Logged) -> None:
    cycle = CycleSummary(3)
    cycle.add(good("Truck-01"))
    cycle.add(silent("Truck-02"))
    cycle.add(report("Truck-03", Outcome.ERROR, answered=True))
    assert (cycle.ok, cycle.failed) == (1, 2)
    assert logged.names() == ["Truck-01", "Truck-02", "Truck-03"]


def test_silent_vehicles_are_held_until_the_first_answer(logged: Logged) -> None:
    cycle = CycleSummary(4)
    cycle.add(silent("Truck-01"))
    cycle.add(silent("Truck-02"))
    assert logged.names() == []
    cycle.add(report("Truck-03", Outcome.ERROR, answered=True))
    assert logged.names() == ["Truck-01", "Truck-02", "Truck-03"]
    cycle.add(silent("Truck-04"))
    assert logged.names() == ["Truck-04"]


def test_if_no_vehicle_answers_that_is_one_error_about_the_network(logged: Logged) -> None:
    cycle = CycleSummary(3)
    for number in range(3):
        cycle.add(silent(f"Truck-{number}"))
    cycle.summarise([], 20.0)
    error, done = logged.records()
    assert (error.levelno, error.getMessage()) == (
        logging.ERROR,
        "no vehicle answers (3 of 3): check the VPN",
    )
    assert done.getMessage().startswith("Cycle done in 0.0s — sleeping 20.0s")


def test_two_silent_vehicles_of_two_are_their_own_fault(logged: Logged) -> None:
    cycle = CycleSummary(2)
    cycle.add(silent("Truck-01"))
    cycle.add(silent("Truck-02"))
    assert logged.names() == ["Truck-01", "Truck-02"]


def test_a_network_that_fails_slowly_is_blamed_though_some_have_not_reported(
    logged: Logged,
) -> None:
    cycle = CycleSummary(4)
    for number in range(3):
        cycle.add(silent(f"Truck-{number}"))
    cycle.summarise([("Truck-3", None)], 0.0)
    assert logged.records()[0].getMessage() == "no vehicle answers (3 of 4): check the VPN"


@pytest.mark.parametrize("started", [4, 7])
def test_while_another_pulls_or_most_have_not_reported_the_network_is_not_blamed(
    logged: Logged, started: int
) -> None:
    cycle = CycleSummary(started)
    for number in range(3):
        cycle.add(silent(f"Truck-{number}"))
    progress = Progress(NOW, NOW + timedelta(hours=1), NOW) if started == 4 else None
    cycle.summarise([("Truck-3", progress)], 0.0)
    *held, over = logged.records()
    assert [record.levelno for record in held] == [logging.WARNING] * 3
    assert over.getMessage().endswith("  failed=3")
    assert over.getMessage().startswith("Cycle over after 0.0s — still busy: Truck-3")


def test_a_vehicle_that_reports_after_the_summary_is_logged_at_once(logged: Logged) -> None:
    cycle = CycleSummary(4)
    cycle.summarise([], 0.0)
    logged.records()
    cycle.add(silent("Truck-01"))
    assert logged.names() == ["Truck-01"]


def test_the_summary_has_the_progress_of_a_vehicle_that_is_catching_up(logged: Logged) -> None:
    cycle = CycleSummary(1)
    progress = Progress(datetime(2026, 2, 20, 10, tzinfo=UTC), NOW, NOW.replace(day=22))
    cycle.summarise([("Truck-01", progress)], 0.0)
    (over,) = logged.records()
    assert over.getMessage().endswith("still busy: Truck-01 66% to 2026-02-22 10:00:00 UTC")


def test_a_cycle_without_vehicles_is_done(logged: Logged) -> None:
    cycle = CycleSummary(0)
    cycle.summarise([], 30.0)
    (done,) = logged.records()
    assert done.getMessage() == "Cycle done in 0.0s — sleeping 30.0s"
    assert cycle.seconds < 5


def test_a_fleet_that_refuses_the_key_is_not_taken_for_a_broken_network(logged: Logged) -> None:
    cycle = CycleSummary(3)
    for name in ("Truck-01", "Truck-02", "Truck-03"):
        cycle.add(replace(report(name, Outcome.ERROR, answered=False), vehicle_answered=True))
    assert logged.names() == ["Truck-01", "Truck-02", "Truck-03"]


def test_where_good_cycles_have_no_line_the_summary_counts_them(logged: Logged) -> None:
    cycle = CycleSummary(2, 0, VehicleLog(every_cycle=False))
    cycle.add(replace(good("Truck-01"), rows_written=540))
    cycle.add(replace(good("Truck-02"), rows_written=500))
    logged.records()
    cycle.summarise([], 20.0)
    (done,) = logged.records()
    facts = "  ok=2  failed=0  resting=0  rows=1040"
    assert done.getMessage() == f"Cycle done in 0.0s — sleeping 20.0s{facts}"


def test_vehicles_that_rest_are_counted_in_the_summary(logged: Logged) -> None:
    cycle = CycleSummary(1, 7)
    cycle.add(good("Truck-01"))
    logged.records()
    cycle.summarise([], 20.0)
    assert logged.records()[-1].getMessage().endswith("sleeping 20.0s  resting=7")


def test_vehicles_that_rest_are_as_silent_as_those_that_were_asked(logged: Logged) -> None:
    cycle = CycleSummary(1, 2)
    cycle.add(silent("Truck-01"))
    assert logged.names() == []
    cycle.summarise([], 20.0)
    text = logged.records()[0].getMessage()
    assert text == "no vehicle answers (1 of 1, 2 more rest): check the VPN"


def test_dead_vehicles_with_intervals_of_their_own_do_not_make_an_outage(logged: Logged) -> None:
    dead = [silent(f"Truck-{number}") for number in range(3)]
    own = {each.vehicle.id for each in dead}
    cycle = CycleSummary(3, 9, silent_resting=0, own_interval=own)
    for each in dead:
        cycle.add(each)
    cycle.summarise([], 20.0)
    assert logged.names()[:3] == ["Truck-0", "Truck-1", "Truck-2"]
    cycle = CycleSummary(1, 2, silent_resting=0)
    cycle.add(silent("Truck-3"))
    cycle.summarise([], 20.0)
    assert logged.names()[0] == "Truck-3"


def test_an_outage_is_one_error_beside_vehicles_with_intervals_of_their_own(
    logged: Logged,
) -> None:
    dead = silent("Own")
    cycle = CycleSummary(4, own_interval={dead.vehicle.id})
    for each in (*map(silent, ("Truck-0", "Truck-1", "Truck-2")), dead):
        cycle.add(each)
    cycle.summarise([], 20.0)
    texts = [record.getMessage() for record in logged.records()]
    assert "no vehicle answers (3 of 3): check the VPN" in texts


def test_a_parked_fleet_does_not_make_an_outage_of_vehicles_that_have_not_reported(
    logged: Logged,
) -> None:
    cycle = CycleSummary(3, 90)
    cycle.add(silent("Truck-01"))
    cycle.summarise([("Truck-02", None), ("Truck-03", None)], 0.0)
    assert logged.names()[0] == "Truck-01"
    cycle = CycleSummary(3, 90)
    cycle.summarise([("Truck-02", None)], 0.0)
    assert len(logged.records()) == 1


def test_an_outage_that_lasts_is_told_once_and_then_counted(logged: Logged) -> None:
    log = VehicleLog()
    for _ in range(3):
        cycle = CycleSummary(3, 0, log)
        for number in range(3):
            cycle.add(silent(f"Truck-{number}"))
        cycle.summarise([], 20.0)
    told = [record for record in logged.records() if record.levelno > logging.DEBUG]
    assert [record.levelno for record in told] == [logging.ERROR] + [logging.INFO] * 3
    assert all(record.getMessage().endswith("  failed=3") for record in told[1:])


def test_vehicles_that_wait_for_a_slot_do_not_hide_that_none_answers(logged: Logged) -> None:
    cycle = CycleSummary(100)
    for number in range(3):
        cycle.add(silent(f"Truck-{number}"))
    waiting = [(f"Truck-{number} (not started)", None) for number in range(5, 100)]
    cycle.summarise([("Truck-3", None), ("Truck-4", None), *waiting], 0.0, len(waiting))
    assert logged.records()[0].getMessage() == "no vehicle answers (3 of 5): check the VPN"
