import os
import signal
import subprocess
import sys
import time
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


def test_the_demo_shows_the_faults_and_ends_with_three_zeros(tmp_path: Path) -> None:
    demo = start(tmp_path, "--vehicles", "4", "--cycles", "2")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    assert output.splitlines()[-1].endswith("lost 0, altered 0, unexpected 0")
    assert "[Excavator-02] timeout on /status" in output
    assert "HTTP 401: the vehicle refuses the API key" in output
    assert "HTTP 503: the vehicle's own database is down" in output
    assert "demo-" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupted_demo_stops_everything_it_started(
    tmp_path: Path, number: signal.Signals
) -> None:
    demo = start(tmp_path, "--vehicles", "8")
    assert demo.stdout is not None
    for line in demo.stdout:
        if "Starting sync cycle" in line:
            break
    started = psutil.Process(demo.pid).children(recursive=True)
    begun = time.monotonic()
    demo.send_signal(number)
    demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert time.monotonic() - begun < 8
    assert len(started) >= 2
    assert not [process for process in started if process.is_running()]
    assert not _postgres_in(tmp_path)


def _postgres_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found
