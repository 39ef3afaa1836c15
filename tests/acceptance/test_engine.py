"""The compose file in a real container engine; skipped where there is none."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.command_lines import ROOT

BUILD_SEC = 600.0
SOON_SEC = 20.0
PARTS = ("fleetsyncd", "tui", "Dockerfile", ".dockerignore", "compose.yaml", "pyproject.toml",
         "README.md", "requirements.txt")  # fmt: skip
BASE_IMAGES = ("python:3.11-slim", "postgres:17")


def docker(
    *words: str, folder: Path | None = None, keys: str = "", **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [shutil.which("docker") or "", *words],
        cwd=folder,
        env={**os.environ, **variables},
        input=keys,
        capture_output=True,
        text=True,
        timeout=BUILD_SEC,
        check=False,
    )


def missing() -> str | None:
    """Return what the engine of this machine lacks; None if the tests can be run."""
    if shutil.which("docker") is None or docker("info").returncode != 0:
        return "no container engine runs here"
    if docker("compose", "version").returncode != 0:
        return "docker compose is not installed"
    for image in BASE_IMAGES:
        if docker("image", "inspect", image).returncode and docker("pull", "-q", image).returncode:
            return f"the image {image} is neither here nor to be had"
    return None


@dataclass(frozen=True)
class Project:
    """A copy of what is needed, in a folder that only its owner can read, as umask 077 makes it."""

    folder: Path
    passwords: dict[str, str] = field(
        default_factory=lambda: {"DB_PASSWORD": "one", "DB_OWNER_PASSWORD": "two"}
    )

    def compose(self, *words: str, keys: str = "") -> "subprocess.CompletedProcess[str]":
        return docker("compose", *words, folder=self.folder, keys=keys, **self.passwords)

    def states(self) -> set[str]:
        """Return the states of the vehicles."""
        command = ("exec", "-T", "sync", "fleetsyncd", "status", "--json")
        return {vehicle["state"] for vehicle in json.loads(self.compose(*command).stdout)}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    folder = tmp_path / f"fleet{os.getpid()}"
    folder.mkdir()
    for part in PARTS:
        copied = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copied(ROOT / part, folder / part)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    # An image of its own: that of an installation on this machine stays as it is.
    compose_file = folder / "compose.yaml"
    compose_file.write_text(
        compose_file.read_text().replace("image: fleetsyncd", f"image: {folder.name}")
    )
    made = Project(folder)
    try:
        yield made
    finally:
        made.compose("--profile", "*", "down", "--volumes", "--rmi", "local", "--timeout", "5")
        docker("image", "rm", "-f", folder.name)


@pytest.mark.long
def test_everything_comes_up_at_once_and_the_demo_is_pulled_soon(project: Project) -> None:
    built = project.compose("--profile", "demo", "--profile", "tui", "build")
    assert built.returncode == 0, built.stderr
    up = project.compose("up", "--detach", "--wait", "sync")
    assert up.returncode == 0, up.stderr
    assert project.compose("--profile", "demo", "up", "--detach").returncode == 0
    ends = time.monotonic() + SOON_SEC
    while "online" not in project.states():
        assert time.monotonic() < ends
    told = project.compose("run", "--rm", "--no-deps", "-T", "sync", "doctor", "--no-vehicles")
    assert (told.returncode, "0 fault(s), 0 warning(s)" in told.stdout) == (0, True), told.stdout
    added = project.compose(
        "run", "--rm", "--no-deps", "-T", "sync", "vehicle", "add", "Truck-99", "127.0.0.99",
        "--key-file", "-", keys="a-key",
    )  # fmt: skip
    assert added.stdout.startswith("added Truck-99"), added.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("role", "variable"), [("fleet_app", "DB_PASSWORD"), ("fleet_owner", "DB_OWNER_PASSWORD")]
)
def test_a_password_is_changed_as_documented(project: Project, role: str, variable: str) -> None:
    assert "\\password fleet_app" in (ROOT / "docs" / "operations.md").read_text()
    assert project.compose("up", "--detach", "--wait", "sync").returncode == 0
    change = ("exec", "-T", "postgres", "psql", "-U", "postgres", "-c", f"\\password {role}")
    changed = project.compose(*change, keys="three\nthree\n")
    assert (changed.returncode, "ERROR" in changed.stderr) == (0, False), changed.stderr
    assert project.compose("run", "--rm", "-T", "sync", "status").returncode != 0
    project.passwords[variable] = "three"
    up = project.compose("up", "--detach", "--wait", "sync")
    assert up.returncode == 0, up.stderr
    assert project.compose("run", "--rm", "-T", "sync", "status").returncode == 0
