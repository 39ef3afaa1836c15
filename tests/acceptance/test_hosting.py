"""The Procfile, run by honcho, and the systemd unit, run by a service manager of the test's."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import venv
from configparser import ConfigParser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from fleetsyncd import settings
from fleetsyncd.database import pool
from fleetsyncd.database.connections import CONNECT_SEC
from fleetsyncd.database.probe import PROBE_SEC
from fleetsyncd.demo import embedded
from tests.acceptance.command_lines import ROOT, fault_of
from tests.acceptance.conftest import PATIENCE_SEC, Daemon, Installation

OPS = ROOT / "fleetsyncd" / "ops"
UNIT = OPS / "fleetsyncd.service"
TEMPLATE, TARGET = OPS / "fleetsyncd@.service", OPS / "fleetsyncd.target"
HOSTS_PATIENCE_SEC = 30
"""What hosting platforms give a process between SIGTERM and SIGKILL."""


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, command in (line.split(":", 1) for line in lines)}


@dataclass(frozen=True)
class Platform:
    """A host that has installed requirements.txt into an interpreter, and nothing of the project.

    `folder` holds the source as it was pushed; `path` is the interpreter's folder on PATH.
    """

    folder: Path
    path: Path


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """Return such a host; its interpreter borrows the libraries of the tests' one."""
    source, environment = tmp_path / "app", tmp_path / "python"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for package in ("fleetsyncd", "tui"):
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for file in ("Procfile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / file, source)
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "fleetsync" not in entry.name:
            (packages / entry.name).symlink_to(entry)
    return Platform(source, environment / "bin")


def hosted(platform: Platform, installation: Installation, database: str) -> dict[str, str]:
    """Return the environment that a hosting platform gives: one URL, and a port nobody wants."""
    url = f"postgresql://{embedded.OWNER}@/{database}?host={installation.server.host}"
    unset = dict.fromkeys((*settings.VARIABLES, "DB_APP_ROLE", "PYTHONPATH"), "")
    return {
        **os.environ,
        **unset,
        "PATH": f"{platform.path}:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": f"{url}&sslmode=require",
        "SYNC_INTERVAL_SEC": "1",
        "PORT": "5000",
    }


def honcho(
    process: str, environment: dict[str, str], platform: Platform
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "honcho", "-d", str(platform.folder), "start", process],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_every_process_of_the_procfile_is_a_command_that_exists() -> None:
    assert set(procfile()) == {"release", "worker"}
    for command in procfile().values():
        words = shlex.split(command.removeprefix("exec "))
        assert words[:3] == ["python", "-m", "fleetsyncd"]
        assert fault_of(words[3:]) is None


def test_the_platform_of_these_tests_has_the_libraries_but_not_the_program(
    platform: Platform, tmp_path: Path
) -> None:
    for module, known in (("psycopg2", True), ("textual", True), ("fleetsyncd", False)):
        check = [str(platform.path / "python"), "-c", f"import {module}"]
        done = subprocess.run(check, cwd=tmp_path, check=False, capture_output=True)
        assert (done.returncode == 0) is known
    assert shutil.which("fleetsyncd", path=f"{platform.path}:/usr/bin:/bin") is None


def test_the_procfile_migrates_and_runs_and_obeys_sigterm(
    platform: Platform, installation: Installation, empty_database: str
) -> None:
    environment = hosted(platform, installation, empty_database)
    release = honcho("release", environment, platform)
    output, _ = release.communicate(timeout=PATIENCE_SEC)
    assert "applied: 0001.fleet-tables" in output
    assert "release.1 stopped (rc=0)" in output
    worker = Daemon(honcho("worker", environment, platform))
    worker.wait_for("Cycle done")
    worker.process.send_signal(signal.SIGTERM)
    worker.end(within=HOSTS_PATIENCE_SEC)
    assert any("Sync service stopped" in line for line in worker.lines)
    assert "worker.1 stopped" in worker.lines[-1]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_host_that_signals_the_shell_alone_stops_the_worker_too(
    platform: Platform, installation: Installation, shell: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    process = subprocess.Popen(
        [shell, "-c", procfile()["worker"]],
        cwd=platform.folder,
        env=hosted(platform, installation, installation.database_name),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    worker = Daemon(process)
    try:
        worker.wait_for("Cycle done")
        process.send_signal(signal.SIGTERM)
        assert worker.end(within=HOSTS_PATIENCE_SEC) == 0
        assert worker.lines[-1].endswith("Sync service stopped")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "command", [["-m", "fleetsyncd", "--help"], ["-m", "tui", "--version"]], ids=lambda c: c[1]
)
def test_every_command_runs_there_as_a_module(platform: Platform, command: list[str]) -> None:
    done = subprocess.run(
        [str(platform.path / "python"), *command],
        cwd=platform.folder,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


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
    overdue_sec = pool.WAIT_SEC + CONNECT_SEC + pool.TRANSACTION_SEC
    assert int(service["WatchdogSec"]) > overdue_sec + CONNECT_SEC + 2 * PROBE_SEC
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


def lines_of(unit: Path) -> list[str]:
    text = unit.read_text()
    return [each for each in text[text.index("[Unit]") :].splitlines() if each[:1] != "#"]


def test_a_daemon_of_several_differs_from_a_single_one_in_name_and_target_only() -> None:
    single, template = lines_of(UNIT), lines_of(TEMPLATE)
    assert [each for each in template if each not in single] == [
        "Description=Pulls the fleet's telemetry into PostgreSQL (%i)",
        "PartOf=fleetsyncd.target",
        "Environment=DAEMON_NAME=%H@%i",
        "EnvironmentFile=-/etc/fleetsyncd/%i.env",
        "WantedBy=fleetsyncd.target",
    ]
    assert [each for each in single if each not in template] == [
        "Description=Pulls the fleet's telemetry into PostgreSQL",
        "WantedBy=multi-user.target",
    ]
    # The last one outranks the ones before.
    files = [each for each in template if each.startswith("EnvironmentFile=")]
    assert files[-1] == "EnvironmentFile=-/etc/fleetsyncd/%i.env"


def handing_over_a_file(text: str) -> str:
    """Return a unit in which the lines for NOTIFY_CONFIG are no comments."""
    changed = re.sub(r"^#(?=(LoadCredential|Environment)=)", "", text, flags=re.MULTILINE)
    assert changed.count("notify.yml") == text.count("notify.yml") >= 3
    assert len(text) - len(changed) == 2
    return changed


@pytest.mark.parametrize("with_file", [False, True])
def test_systemd_takes_the_units(tmp_path: Path, with_file: bool) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in (UNIT, TEMPLATE, TARGET):
        text = unit.read_text().replace("/opt/fleetsyncd/bin/fleetsyncd", sys.executable)
        if with_file and unit != TARGET:
            text = handing_over_a_file(text)
        (tmp_path / unit.name.replace("@", "@1")).write_text(text)
    files = [str(each) for each in sorted(tmp_path.iterdir())]
    done = subprocess.run([analyze, "verify", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_two_daemons_of_one_host_are_told_apart_by_their_names(installation: Installation) -> None:
    names = [f"centre@{number}" for number in (1, 2)]
    daemons = [installation.daemon(DAEMON_NAME=name) for name in names]
    for daemon, name in zip(daemons, names, strict=True):
        daemon.wait_for(f"{name} sync: Cycle done")
        assert installation.command("health", "--daemon", name)[0] == 0
        assert installation.command("health", DAEMON_NAME=name)[0] == 0
    assert installation.command("health", "--daemon", "centre@3")[0] == 1
    output = installation.command("doctor", "--no-vehicles")[1]
    assert all(f"{name} is alive on" in output for name in names)


HANGING = """
from fleetsyncd import green
green.patch()
import logging, sys, gevent
from fleetsyncd.monitoring import watchdog
from fleetsyncd.cli import main
watchdog.HANG_SEC = 2.0
def hang():
    while True:
        pass
class AfterACycle(logging.Handler):
    def emit(self, record):
        if "Cycle done" in record.getMessage():
            gevent.spawn_later(0.1, hang)
logging.getLogger("sync").addHandler(AfterACycle())
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
