"""A fleet that goes dark under a daemon and comes back, as after an outage of the VPN."""

from contextlib import ExitStack

from fleetsyncd.demo.processes import running
from tests.acceptance.conftest import Installation
from tests.acceptance.test_simulate import free_port

VEHICLES = 4


def test_a_fleet_that_went_dark_rests_quietly_and_is_pulled_again_when_it_is_back(
    installation: Installation,
) -> None:
    simulate = ["fleetsyncd", "simulate", "--healthy", "--channels", "2"]
    simulate += ["--vehicles", str(VEHICLES), "--base-port", str(free_port())]
    all_are = "SELECT coalesce(bool_and(sync_status = ANY (%s)), false) FROM vehicles"
    with ExitStack() as up:
        up.enter_context(running([*simulate, "--register"], installation.environment()))
        installation.until("SELECT count(*) = %s FROM vehicles", VEHICLES, within=90)
        daemon = installation.daemon(SYNC_INTERVAL_SEC="0.3", SILENT_INTERVAL_SEC="30")
        installation.until(all_are, ["ok"])
    installation.until(all_are, ["error", "timeout"])
    daemon.wait_for(f"resting={VEHICLES - 1}", times=3)
    told = [line for line in daemon.lines if "no vehicle answers" in line]
    assert len(told) == 1, "an outage that lasts has one line"
    with running(simulate, installation.environment()):
        installation.until(all_are, ["ok"], within=15)
    daemon.process.terminate()
    assert daemon.end() == 0
