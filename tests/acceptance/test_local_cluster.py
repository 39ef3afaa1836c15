"""The demo on a Citus cluster, and `make citus`, as processes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleetsyncd.demo.citus_cluster import CitusCluster
from tests.acceptance import test_demo
from tests.acceptance.test_demo import ROOT, postgres_in

pytestmark = [pytest.mark.long, pytest.mark.citus]
READ = "BEGIN; SET LOCAL app.user_role = 'superuser'; SELECT count(*) FROM measurements; COMMIT;"


@pytest.mark.usefixtures("cluster")
def test_the_demo_on_a_cluster_ends_with_three_zeros(server_folder: Path) -> None:
    demo = test_demo.start(server_folder, "--vehicles", "4", "--cycles", "2", "--citus")
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, output
    assert output.splitlines()[-1].endswith("lost 0, altered 0, unexpected 0")
    assert not postgres_in(server_folder)


@pytest.fixture
def told(server_folder: Path, cluster: CitusCluster) -> str:
    """Return what `make citus` tells; it was stopped again, and its data are there."""
    serving, told = serve(server_folder)
    serving.terminate()
    serving.communicate(timeout=30)
    assert serving.returncode == 0
    assert not postgres_in(server_folder)
    assert len(re.findall("^worker:", told, re.MULTILINE)) == len(cluster.workers)
    return told


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    serving = subprocess.Popen(
        [sys.executable, "-m", "fleetsyncd.demo.serve_citus"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert serving.stdout is not None
    lines = []
    for line in serving.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            return serving, "".join(lines)
    raise AssertionError("".join(lines))


def test_what_make_citus_tells_leads_into_a_distributed_database(
    server_folder: Path, told: str
) -> None:
    serving, again = serve(server_folder)
    assert again.split("coordinator:")[1] == told.split("coordinator:")[1]
    (as_daemon,) = re.findall(r"^as the daemon: +(.*)$", again, re.MULTILINE)
    (as_superuser,) = re.findall(r"^as superuser: +(.*)$", again, re.MULTILINE)
    placed = "SELECT count(DISTINCT groupid) FROM pg_dist_placement"
    try:
        assert psql(as_daemon, READ) == "0"
        assert psql(as_superuser, placed) in ("2", "3")  # copies are on the coordinator, too
    finally:
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=30)
    assert serving.returncode == 0


def psql(told: str, statement: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{told} -qAt"],
        input=statement,  # as it is typed: each statement by itself
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
