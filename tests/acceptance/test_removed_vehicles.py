"""`fleetsyncd vehicle remove`, `restore`, `purge` and `list --removed`."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from psycopg2 import sql

from fleetsyncd.times import iso_ms
from tests.acceptance.conftest import Installation

USER = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def pulled(installation: Installation) -> Installation:
    """Return an installation whose only vehicle has measurements, a user and a key of its own."""
    installation.fleet(1, ago=timedelta(minutes=10), channels=2)
    assert installation.command("once")[0] == 0
    installation.server.execute(
        sql.SQL("INSERT INTO vehicle_access SELECT {}, id FROM vehicles").format(sql.Literal(USER)),
        database=installation.database_name,
    )
    return installation


def listed(installation: Installation) -> list[dict[str, object]]:
    code, output, _ = installation.command("vehicle", "list", "--removed", "--json")
    assert code == 0
    answer: list[dict[str, object]] = json.loads(output)
    return answer


def rows(installation: Installation) -> int:
    return int(installation.rows("SELECT count(*) FROM measurements")[0][0])


def test_a_vehicle_is_removed_listed_and_given_back_and_pulling_goes_on(
    pulled: Installation,
) -> None:
    stored = rows(pulled)
    key = pulled.rows("SELECT api_key FROM vehicles")[0][0]
    code, output, _ = pulled.command("vehicle", "remove", "Truck-01", "--yes")
    assert code == 0
    assert f"users who see it no more: {USER}" in output
    assert "fleetsyncd vehicle restore" in output
    assert "fleetsyncd vehicle purge" in output
    (left,) = listed(pulled)
    assert (left["name"], left["measurements"], left["exact"]) == ("Truck-01", stored, True)
    assert str(left["first_at"]) < str(left["last_at"]) < str(left["removed_at"])
    table = pulled.command("vehicle", "list", "--removed")[1]
    assert f"{stored:,}" in table
    assert str(left["id"]) in table
    assert "Truck-01" not in pulled.command("vehicle", "list")[1]

    code, output, _ = pulled.command("vehicle", "restore", "Truck-01")
    assert code == 0
    watermark = datetime.fromisoformat(str(left["last_sync_at"]))
    assert f"restored Truck-01: the daemon pulls it from {iso_ms(watermark)} on" in output
    assert f"fleetsyncd vehicle set {left['id']} --key-file FILE" in output
    assert f"fleetsyncd access grant {USER} {left['id']}" in output
    assert key not in output
    assert listed(pulled) == []
    assert pulled.command("once", VEHICLE_DEFAULT_API_KEY=key)[0] == 0
    # Measurements are whole; alarms are those since the removal.
    (expected,) = pulled.expectations
    pulled.expectations[:] = [replace(expected, alarms_from=watermark)]
    assert pulled.check().clean


def test_a_purge_asks_with_the_number_of_rows_and_says_what_becomes_of_the_space(
    pulled: Installation,
) -> None:
    # More than are counted of each vehicle of the list.
    pulled.rows(
        "INSERT INTO measurements (vehicle_id, channel_id, time, value)"
        " SELECT id, 77, now() - n * interval '1 microsecond', 0.5"
        " FROM vehicles, generate_series(1, 12000) n"
    )
    stored = rows(pulled)
    assert pulled.command("vehicle", "remove", "Truck-01", "--yes")[0] == 0
    assert listed(pulled)[0]["exact"] is False
    code, output, _ = pulled.command("vehicle", "purge", "Truck-01", stdin="n\n")
    assert code == 130
    assert f"Delete {stored:,} measurements of Truck-01 for good?" in output
    assert rows(pulled) == stored
    code, output, _ = pulled.command("vehicle", "purge", "Truck-01", stdin="y\n")
    assert code == 0
    assert f"deleted {stored:,} measurements: new rows use their space" in output
    assert "VACUUM FULL" in output
    assert (rows(pulled), listed(pulled)) == (0, [])
    code, _, errors = pulled.command("vehicle", "restore", "Truck-01")
    assert (code, errors.count("\n")) == (2, 1)
    assert "no removed vehicle is called Truck-01" in errors


def test_a_vehicle_that_is_renamed_while_its_removal_is_asked_about_stays(
    pulled: Installation,
) -> None:
    ((key, host),) = pulled.rows("SELECT id::text, host(vpn_ip) FROM vehicles")
    process = subprocess.Popen(
        [sys.executable, "-m", "fleetsyncd", "vehicle", "remove", "Truck-01"],
        env=pulled.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    question = f"Remove Truck-01 (id {key}, {host} port "
    assert process.stdout.read(len(question)) == question
    pulled.rows("UPDATE vehicles SET name = 'Crane-77'")
    _, errors = process.communicate("y\n", timeout=60)
    assert process.returncode == 2
    assert "Truck-01 was changed meanwhile by somebody (name Crane-77): look again" in errors
    assert errors.count("\n") == 1
    assert pulled.rows("SELECT name FROM vehicles") == [("Crane-77",)]
    assert listed(pulled) == []


def test_a_removal_of_an_unknown_vehicle_asks_nothing(pulled: Installation) -> None:
    code, output, errors = pulled.command("vehicle", "remove", "Truck-99")
    assert (code, output) == (2, "")
    assert "no vehicle is called Truck-99" in errors


@pytest.mark.parametrize("command", [["remove"], ["remove", "--with-measurements"], ["purge"]])
def test_where_nobody_can_answer_nothing_is_deleted_and_the_option_is_named(
    pulled: Installation, command: list[str]
) -> None:
    stored = rows(pulled)
    if command == ["purge"]:
        assert pulled.command("vehicle", "remove", "Truck-01", "--yes")[0] == 0
    fleet = pulled.rows("SELECT name FROM vehicles")
    code, output, errors = pulled.command("vehicle", *command, "Truck-01")
    assert (code, errors.count("\n")) == (2, 1)
    assert "nobody can answer without a terminal: give --yes" in errors
    assert "Truck-01" in output
    assert (rows(pulled), pulled.rows("SELECT name FROM vehicles")) == (stored, fleet)


def test_a_vehicle_is_removed_together_with_its_measurements_while_a_daemon_runs(
    pulled: Installation,
) -> None:
    daemon = pulled.daemon()
    daemon.wait_for("Cycle done")
    code, output, _ = pulled.command(
        "vehicle", "remove", "Truck-01", "--with-measurements", "--yes"
    )
    assert code == 0
    assert "if this is interrupted, `fleetsyncd vehicle purge" in output
    assert "measurements: new rows use their space" in output
    daemon.wait_for("Starting sync cycle for 0 vehicle")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert (rows(pulled), listed(pulled)) == (0, [])


def test_names_of_removed_vehicles_are_completed(pulled: Installation) -> None:
    pulled.command("vehicle", "remove", "Truck-01", "--yes")
    used = {
        "_FLEETSYNCD_COMPLETE": "bash_complete",
        "COMP_WORDS": "fleetsyncd vehicle restore Tr",
        "COMP_CWORD": "3",
    }
    assert pulled.command(**used)[1] == "plain,Truck-01\n"
