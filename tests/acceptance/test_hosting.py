"""The Procfile, run by honcho, and the systemd unit, run by a service manager of the test's."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import psutil
import pytest

from fleetsyncd import settings
from fleetsyncd.database import pool
from fleetsyncd.database.connections import CONNECT_SEC
from fleetsyncd.demo import embedded
from tests.acceptance.command_lines import ROOT, fault_of
from tests.acceptance.conftest import PATIENCE_SEC, Daemon, Installation

UNIT = ROOT / "fleetsyncd" / "ops" / "fleetsyncd.service"
HOSTS_PATIENCE_SEC = 30
"""What hosting platforms give a process between SIGTERM and SIGKILL."""


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, command in (line.split(":", 1) for line in lines)}


def hosted(installation: Installation, database: str) -> dict[str, str]:
    """Return the environment that a hosting platform gives: one URL, and a port nobody wants."""
    url = f"postgresql://{embedded.OWNER}@/{database}?host={installation.server.host}"
    unset = dict.fromkeys((*settings.VARIABLES, "DB_APP_ROLE"), "")
    return {
        **os.environ,
        **unset,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": f"{url}&sslmode=require",
        "SYNC_INTERVAL_SEC": "1",
        "PORT": "5000",
    }


def honcho(process: str, environment: dict[str, str], folder: Path) -> "subprocess.Popen[str]":
    arguments = ["-f", str(ROOT / "Procfile"), "-d", str(folder), "start", process]
    return subprocess.Popen(
        [sys.executable, "-m", "honcho", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_every_process_of_the_procfile_is_a_command_that_exists() -> None:
    assert set(procfile()) == {"release", "worker"}
    for command in procfile().values():
        program, *arguments = shlex.split(command)
        assert program == "fleetsyncd"
        assert fault_of(arguments) is None


def test_the_procfile_migrates_and_runs_and_obeys_sigterm(
    installation: Installation, empty_database: str, tmp_path: Path
) -> None:
    environment = hosted(installation, empty_database)
    release = honcho("release", environment, tmp_path)
    output, _ = release.communicate(timeout=PATIENCE_SEC)
    assert "applied: 0001.fleet-tables" in output
    assert "release.1 stopped (rc=0)" in output
    worker = Daemon(honcho("worker", environment, tmp_path))
    worker.wait_for("Cycle done")
    worker.process.send_signal(signal.SIGTERM)
    worker.end(within=HOSTS_PATIENCE_SEC)
    assert any("Sync service stopped" in line for line in worker.lines)
    assert "worker.1 stopped" in worker.lines[-1]


def test_the_daemon_listens_on_no_port_whatever_port_says(installation: Installation) -> None:
    daemon = installation.daemon(PORT="5000")
    daemon.wait_for("Cycle done")
    open_ports = psutil.Process(daemon.process.pid).net_connections(kind="inet")
    assert [each for each in open_ports if each.status == psutil.CONN_LISTEN] == []


def unit() -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.read(UNIT)
    return parser


def test_the_unit_starts_a_command_that_exists_and_expects_notifications() -> None:
    service = unit()["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/fleetsyncd")
    assert fault_of(arguments) is None
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > pool.TRANSACTION_SEC + pool.WAIT_SEC + CONNECT_SEC
    assert int(service["TimeoutStopSec"]) > 8 + 10


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ],
)
def test_the_unit_is_hardened(setting: str, value: str) -> None:
    assert unit()["Service"][setting] == value


def test_the_unit_lets_the_metrics_of_the_process_be_read() -> None:
    assert "ProcSubset" not in unit()["Service"]


HANGING = """
from fleetsyncd import green
green.patch()
import sys, gevent
from fleetsyncd.monitoring import watchdog
from fleetsyncd.cli import main
watchdog.HANG_SEC = 2.0
def hang():
    while True:
        pass
gevent.spawn_later(3.0, hang)
sys.argv = ["fleetsyncd", "run"]
main()
"""


def test_a_daemon_whose_greenlets_are_all_kept_waiting_ends_itself(
    installation: Installation,
) -> None:
    installation.fleet(1)
    done = subprocess.run(
        [sys.executable, "-c", HANGING],
        env=installation.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SEC,
        check=False,
    )
    assert done.returncode == 1
    assert "Cycle done" in done.stdout + done.stderr
    assert "Timeout (0:00:02)!" in done.stderr
    assert "in hang" in done.stderr


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_notified_of_ready_alive_and_stopping(
    installation: Installation, tmp_path: Path, abstract: bool
) -> None:
    installation.fleet(1)
    name = f"fleetsyncd-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else name)
        manager.settimeout(PATIENCE_SEC)
        daemon = installation.daemon(NOTIFY_SOCKET=f"@{name}" if abstract else name)

        def message() -> str:
            return manager.recv(4096).decode()

        messages = [message()]
        while messages.count("WATCHDOG=1") < 3 or not messages[-1].startswith("STATUS="):
            messages.append(message())
        assert messages[0] == "READY=1"
        assert messages[-1] == "STATUS=1 vehicle(s), last cycle: 1 ok, 0 failed"
        daemon.process.send_signal(signal.SIGTERM)
        while messages[-1] != "STOPPING=1":
            messages.append(message())
        assert daemon.end() == 0


def test_systemd_is_notified_that_a_daemon_without_database_is_alive(
    installation: Installation, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_SEC)
        daemon = installation.daemon(NOTIFY_SOCKET=str(tmp_path / "notify"))
        daemon.wait_for("Cycle done")
        installation.close_database()
        daemon.wait_for("pulling stops")
        while manager.recv(4096) != b"STATUS=database lost: pulling stops":
            pass
        for _ in range(2):
            while manager.recv(4096) != b"WATCHDOG=1":
                pass
        installation.open_database()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
