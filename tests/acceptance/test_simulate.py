"""`fleetsyncd simulate`, also beside a daemon that runs already, as in compose's demo."""

import json
import socket
import subprocess
import sys
from datetime import timedelta
from typing import Any
from urllib.request import Request, urlopen

from fleetsyncd.demo.processes import running, simulator
from fleetsyncd.times import iso_ms, utc_now
from tests.acceptance.conftest import Installation

SOON_SEC = 10.0
VEHICLES = 2


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_simulated_vehicles_are_pulled_at_once_also_when_they_come_back(
    installation: Installation,
) -> None:
    arguments = ["fleetsyncd", "simulate", "--register", "--healthy", "--channels", "2"]
    arguments += ["--vehicles", str(VEHICLES), "--base-port", str(free_port())]
    daemon = installation.daemon(SYNC_INTERVAL_SEC="300")
    daemon.wait_for("Cycle done")
    pulled = "SELECT count(*) >= %s FROM sync_journal WHERE status = 'ok'"
    with running(arguments, installation.environment()):
        installation.until(pulled, VEHICLES, within=SOON_SEC)
    installation.rows("DELETE FROM sync_journal")
    with running(arguments, installation.environment()):
        installation.until(pulled, VEHICLES, within=SOON_SEC)


def test_a_paused_simulated_vehicle_stays_paused(installation: Installation) -> None:
    arguments = ["fleetsyncd", "simulate", "--register", "--healthy", "--channels", "2"]
    arguments += ["--vehicles", str(VEHICLES), "--base-port", str(free_port())]
    requested = "SELECT count(*) = %s FROM fleetsync.vehicle_state WHERE sync_requested_at IS {}"
    with running(arguments, installation.environment()):
        installation.until(requested.format("NOT NULL"), VEHICLES)
    installation.rows("UPDATE fleetsync.vehicle_state SET paused = true, sync_requested_at = NULL")
    installation.rows("DELETE FROM vehicles WHERE name LIKE 'Excavator%%'")
    with running(arguments, installation.environment()):
        installation.until(requested.format("NOT NULL"), VEHICLES - 1)
    assert installation.rows(
        "SELECT count(*) FROM fleetsync.vehicle_state WHERE paused AND sync_requested_at IS NULL"
    ) == [(1,)]


def rows_of_the_last_minute(vehicle: dict[str, Any]) -> int:
    now = utc_now()
    interval = f"from={iso_ms(now - timedelta(minutes=1))}&to={iso_ms(now)}"
    url = f"http://{vehicle['host']}:{vehicle['port']}/data?{interval}"
    with urlopen(Request(url, headers={"X-API-Key": vehicle["key"]}), timeout=5) as answer:
        return len(json.load(answer)["rows"])


def test_the_last_vehicles_commit_late_on_request() -> None:
    with simulator(3, healthy=True, channels=2, late=(30, 3600)) as vehicles:
        prompt, late, very_late = map(rows_of_the_last_minute, vehicles)
    assert prompt > 110 > late > 60 > very_late


def test_more_kinds_of_lateness_than_vehicles_are_refused() -> None:
    arguments = ["simulate", "--vehicles", "1", "--late", "2", "--late", "8"]
    command = [sys.executable, "-m", "fleetsyncd", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert "--late was given 2 times for 1 vehicle(s)" in ended.stderr
