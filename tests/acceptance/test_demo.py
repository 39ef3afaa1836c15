import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "-m", "fleetsyncd", "demo", "--headless", "--interval", "1"]
ROOT = Path(__file__).parents[2]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def await_first_cycle(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if "Starting sync cycle" in line:
            return
    raise AssertionError("the demo ended before its first cycle")


def test_the_demo_shows_the_faults_and_ends_with_three_zeros(server_folder: Path) -> None:
    demo = start(server_folder, "--vehicles", "4", "--cycles", "2")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    assert output.splitlines()[-1].endswith("lost 0, altered 0, unexpected 0")
    assert "[Excavator-02] timeout on /status" in output
    assert "HTTP 401: the vehicle refuses the API key" in output
    assert "HTTP 503: the vehicle's own database is down" in output
    assert "demo-" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupted_demo_stops_everything_it_started(
    server_folder: Path, number: signal.Signals
) -> None:
    demo = start(server_folder, "--vehicles", "8")
    await_first_cycle(demo)
    started = psutil.Process(demo.pid).children(recursive=True)
    demo.send_signal(number)
    demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert len(started) >= 2
    assert not [process for process in started if process.is_running()]
    assert not postgres_in(server_folder)


def test_a_demo_whose_terminal_is_closed_leaves_nothing_behind(server_folder: Path) -> None:
    demo = start(server_folder, "--vehicles", "2")
    await_first_cycle(demo)
    started = psutil.Process(demo.pid).children(recursive=True)
    assert demo.stdout is not None
    demo.stdout.close()
    demo.send_signal(signal.SIGHUP)
    assert demo.wait(timeout=20) == 130
    assert not [process for process in started if process.is_running()]
    assert not postgres_in(server_folder)


def test_in_a_terminal_the_demo_shows_the_dashboard_and_quitting_it_ends_the_demo(
    server_folder: Path,
) -> None:
    terminal, theirs = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    demo = subprocess.Popen(
        [*COMMAND[:4], "--vehicles", "4", "--interval", "1"],
        cwd=server_folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = read_until(terminal, b"online")
    os.write(terminal, b"q")
    shown += read_until(terminal, None)
    assert demo.wait(timeout=20) == 0, shown[-2000:].decode(errors="replace")
    os.close(terminal)
    assert b"lost 0, altered 0, unexpected 0" in shown
    assert "Starting sync cycle" in (server_folder / ".demo" / "daemon.log").read_text()
    assert not postgres_in(server_folder)


def read_until(terminal: int, wanted: bytes | None) -> bytes:
    """Return what is written to the terminal until it holds `wanted`, or is left (None)."""
    shown = b""
    while wanted is None or wanted not in shown:
        try:
            shown += os.read(terminal, 65_536)
        except OSError:  # every writer has closed it
            break
    assert wanted is None or wanted in shown, shown[-2000:].decode(errors="replace")
    return shown


def postgres_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found
