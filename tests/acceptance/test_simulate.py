"""`fleetsyncd simulate --register` beside a daemon that runs already, as in compose's demo."""

import socket

from fleetsyncd.demo.processes import running
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
