"""`fleetsyncd storage`: what is on the disk, how fast it grows, and when the disk is full."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.conftest import Installation

ROWS = 120_000
A_DAY = 1_000_000
FILL = (
    "INSERT INTO measurements (vehicle_id, channel_id, time, value)"
    " SELECT id, 1, date_trunc('month', now()) + n * interval '1 ms', 0.5 FROM vehicles,"
    " generate_series(1, 120000) n"
)
# Of a vehicle that caught up half a day in an hour: a day of its time has a million rows.
INTAKE = (
    "INSERT INTO fleetsync.vehicle_state (vehicle_id, intake_day, day_rows, day_seconds)"
    " SELECT id, current_date, 500000, 43200 FROM vehicles"
)
MONTHS = "SELECT fleetsync.make_month((date_trunc('month', now()) - n * interval '1 month')::date)"


@pytest.fixture
def filled(installation: Installation) -> Installation:
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('Truck-01', '10.8.0.1')")
    installation.rows(f"{MONTHS} FROM generate_series(0, 2) n")
    installation.rows(FILL)
    installation.rows(INTAKE)
    return installation


def shown(installation: Installation, *options: str, **settings: str) -> dict[str, Any]:
    code, output, errors = installation.command("storage", "--json", *options, **settings)
    assert (code, errors) == (0, "")
    (report,) = json.loads(output)
    return dict(report)


def in_days(report: dict[str, Any]) -> float:
    """Return in how many days the disk is full."""
    left: timedelta = datetime.fromisoformat(report["full_at"]) - datetime.now(UTC)
    return left / timedelta(days=1)


def test_each_month_and_each_table_is_shown_with_its_bytes(filled: Installation) -> None:
    report = shown(filled)
    months = [each for each in report["tables"] if each["is_measurements"]]
    assert len(months) == 3
    assert [each["from"] for each in months] == sorted(each["from"] for each in months)
    newest = months[-1]
    assert newest["estimated_rows"] == pytest.approx(ROWS, rel=0.1)
    assert 100 < newest["bytes_a_row"] < 200
    assert newest["key_bytes"] < newest["bytes"]
    assert months[0]["bytes_a_row"] is None
    names = {each["name"] for each in report["tables"]}
    assert {"vehicles", "sync_journal", "fleetsync.vehicle_state"} <= names
    assert report["measurements_bytes"] == sum(each["bytes"] for each in months)
    assert report["database_bytes"] > report["measurements_bytes"]


def test_a_gap_that_was_caught_up_is_no_growth(filled: Installation) -> None:
    report = shown(filled)
    assert report["rows_a_day"] == pytest.approx(A_DAY)
    a_row = report["bytes_a_day"] / A_DAY
    assert a_row == report["tables"][2]["bytes_a_row"]
    filled.rows("UPDATE fleetsync.vehicle_state SET intake_day = current_date - 2")
    assert shown(filled)["rows_a_day"] == 0


def test_a_disk_is_full_when_the_growth_has_used_it_up(filled: Installation) -> None:
    report = shown(filled, "--disk", "20GB")
    room = 20 * 10**9 - report["database_bytes"]
    assert report["room_bytes"] == room
    assert in_days(report) == pytest.approx(room / report["bytes_a_day"], abs=0.1)
    _, output, _ = filled.command("storage", "--disk", "20GB")
    assert f"full on {report['full_at'][:10]} UTC at this pace" in output
    # Already more than that: it is full now.
    assert in_days(shown(filled, "--disk", "1MB")) == pytest.approx(0, abs=0.1)


def test_a_disk_that_holds_all_months_that_are_kept_is_never_full(filled: Installation) -> None:
    report = shown(filled, "--disk", "2TB", MEASUREMENTS_KEEP_MONTHS="1")
    assert report["full_at"] is None
    others = report["database_bytes"] - report["measurements_bytes"]
    kept = report["levels_off_at_bytes"] - others
    assert kept == pytest.approx(2 * 30.4 * report["bytes_a_day"], rel=0.01)
    _, output, _ = filled.command("storage", "--disk", "2TB", MEASUREMENTS_KEEP_MONTHS="1")
    assert "MEASUREMENTS_KEEP_MONTHS=1 ends the growth at about" in output
    assert "enough at this pace" in output
    assert shown(filled, "--disk", "1GB", MEASUREMENTS_KEEP_MONTHS="1")["full_at"] is not None


def test_the_room_on_the_databases_disk_is_told_to_those_who_may_know_where_it_is(
    filled: Installation,
) -> None:
    assert shown(filled)["room_bytes"] is None
    _, output, _ = filled.command("storage")
    assert "told with --disk" in output
    assert shown(filled, DB_USER="postgres")["room_bytes"] > 0


@pytest.mark.parametrize("size", ["much", "-5GB", "5PB", ""])
def test_what_is_no_size_is_refused(installation: Installation, size: str) -> None:
    code, _, errors = installation.command("storage", "--disk", size)
    assert (code, "is no size: write 500GB or 2TB" in errors) == (2, True)
