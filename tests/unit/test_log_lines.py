import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import CycleReport, Outcome, Progress
from fleetsyncd.sync import log_lines
from fleetsyncd.telemetry import Status

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
MINUTE = Window(NOW - timedelta(seconds=60), NOW)


def report(
    outcome: Outcome = Outcome.OK,
    reason: str | None = None,
    *,
    before: str = "ok",
    failures: int = 0,
    **changed: Any,
) -> CycleReport:
    """Return a cycle's report of a vehicle whose cycles ended `before` up to now."""
    vehicle = Vehicle(
        UUID(int=1), "Truck-01", "10.0.0.1", 8001, None, NOW, before, None, failures=failures
    )
    facts: dict[str, Any] = {
        "vehicle": vehicle,
        "started_at": NOW,
        "finished_at": NOW,
        "outcome": outcome,
        "reason": reason,
    }
    if outcome is Outcome.OK:
        facts |= {"status": Status("1.1.0", True), "rows_written": 1500, "interval": MINUTE}
    return CycleReport(**facts | changed)


TIMEOUT = "/status: no complete answer within 10 s"
REFUSED = "/status: HTTP 401: the vehicle refuses the API key"


def test_a_vehicle_that_stays_online_has_its_rows_logged() -> None:
    assert log_lines.report_line(report()) == (
        logging.INFO,
        "[Truck-01] wrote 1500 measurements  window=60s",
    )


@pytest.mark.parametrize("before", ["unknown", "timeout", "error"])
def test_a_vehicle_that_comes_online_has_its_version_and_database_logged_too(before: str) -> None:
    level, text = log_lines.report_line(report(before=before))
    assert level == logging.INFO
    assert text == ("[Truck-01] online  sw=1.1.0  db_ok=True  wrote 1500 measurements  window=60s")


def test_a_vehicle_that_comes_back_has_its_number_of_failures_logged() -> None:
    _, text = log_lines.report_line(report(before="timeout", failures=7))
    assert text.startswith("[Truck-01] online again after 7 failed cycle(s)  sw=1.1.0")


def test_a_cycle_that_pulled_nothing_has_a_window_of_0s() -> None:
    assert log_lines.report_line(report(interval=None, rows_written=0))[1].endswith("window=0s")


def test_notes_of_a_good_cycle_are_a_warning() -> None:
    noted = report(notes=("alarms will be asked for again (/alarms: HTTP 500)",), bad_rows=2)
    assert log_lines.report_line(noted) == (
        logging.WARNING,
        "[Truck-01] wrote 1500 measurements  window=60s  alarms will be asked for again"
        " (/alarms: HTTP 500); 2 bad row(s) in quarantine",
    )


@pytest.mark.parametrize(
    ("outcome", "reason", "text"),
    [
        (
            Outcome.TIMEOUT,
            TIMEOUT,
            "[Truck-01] timeout on /status: no complete answer within 10 s",
        ),
        (
            Outcome.ERROR,
            REFUSED,
            "[Truck-01] error on /status: HTTP 401: the vehicle refuses the API key",
        ),
        (Outcome.ERROR, None, "[Truck-01] error on no reason known"),
    ],
)
@pytest.mark.parametrize("before", ["ok", "unknown"])
def test_a_new_failure_is_a_warning_with_its_call_and_reason(
    outcome: Outcome, reason: str | None, text: str, before: str
) -> None:
    assert log_lines.report_line(report(outcome, reason, before=before)) == (logging.WARNING, text)


@pytest.mark.parametrize(
    ("outcome", "reason"), [(Outcome.TIMEOUT, TIMEOUT), (Outcome.ERROR, REFUSED)]
)
def test_a_repeated_failure_is_no_warning_and_counts_the_failures(
    outcome: Outcome, reason: str
) -> None:
    level, text = log_lines.report_line(report(outcome, reason, before=outcome, failures=4))
    assert level == logging.INFO
    assert text.endswith(f"{reason} (5 in a row)")


def test_a_failure_that_is_the_first_one_counted_is_a_warning() -> None:
    level, _ = log_lines.report_line(report(Outcome.TIMEOUT, TIMEOUT, before="timeout", failures=0))
    assert level == logging.WARNING


def test_a_failure_of_another_kind_is_a_warning_again() -> None:
    level, text = log_lines.report_line(
        report(Outcome.ERROR, REFUSED, before="timeout", failures=4)
    )
    assert level == logging.WARNING
    assert "in a row" not in text


def test_a_cycle_ended_on_purpose_is_not_the_vehicles_failure() -> None:
    reason = "paused; resumes at 2026-02-22 09:00:00"
    stopped = report(Outcome.ERROR, reason, stopped=True, failures=3)
    assert log_lines.report_line(stopped) == (logging.INFO, f"[Truck-01] {reason}")
    assert stopped.failures == 3


def test_a_reason_is_one_harmless_line() -> None:
    _, text = log_lines.report_line(
        report(Outcome.ERROR, "/data: HTTP 400: a\nb\x1b[2J" + "x" * 5000)
    )
    assert text.isprintable()
    assert len(text) < 1100


def test_busy_vehicles_are_named_in_order_with_how_far_they_have_come() -> None:
    halfway = Progress(NOW - timedelta(hours=2), NOW, NOW - timedelta(hours=1))
    assert log_lines.busy_vehicles([("Truck-02", halfway), ("Crane-01", None)]) == (
        "Crane-01, Truck-02 50% to 2026-02-23 09:00:00 UTC"
    )


def test_many_busy_vehicles_are_named_in_part_and_counted() -> None:
    runs = [(f"Truck-{number}", None) for number in range(1, 9)]
    assert log_lines.busy_vehicles(runs) == "Truck-1, Truck-2, Truck-3, Truck-4, Truck-5 and 3 more"


def test_without_busy_vehicles_nothing_is_logged() -> None:
    assert log_lines.busy_vehicles([]) == ""
