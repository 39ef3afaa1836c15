import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


VIOLATIONS = (
    ("fleetsyncd/vehicle/client.py", "from fleetsyncd.sync import pull", "of the daemon"),
    ("fleetsyncd/sync/window.py", "from fleetsyncd.sync import lanes", "of the sync package"),
    ("tui/widgets/row_table.py", "from tui.dialogs import details", "of the dashboard"),
    ("tui/model/state.py", "from tui import ui", "of the dashboard"),
    ("fleetsyncd/vehicle/probe.py", "from fleetsyncd.database import store", "each other"),
    ("fleetsyncd/sync/context.py", "import gevent", "gevent and psycogreen"),
    ("fleetsyncd/commands/tables.py", "import psycogreen.gevent", "gevent and psycogreen"),
    ("tui/background.py", "import gevent.pool", "gevent and psycogreen"),
    ("fleetsyncd/commands/status.py", "import psycopg2", "psycopg2 is imported"),
    ("fleetsyncd/commands/health.py", "from fleetsyncd import bootstrap", "the health probe"),
    ("tui/poller.py", "from fleetsyncd import green", "the plain types only"),
    ("tui/model/filters.py", "import textual.app", "knows no Textual"),
)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    # In a process of its own: import-linter disables every logger that exists.
    check = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", check], cwd=folder, check=False, capture_output=True, text=True
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("fleetsyncd", "tui"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_import_contracts_are_kept() -> None:
    linted = lint_imports(ROOT)
    assert linted.returncode == 0, linted.stdout


def test_every_import_contract_finds_a_violation_of_it(copy: Path) -> None:
    for file, violation, _contract in VIOLATIONS:
        with (copy / file).open("a") as source:
            source.write(f"\n{violation}\n")
    linted = lint_imports(copy)
    assert linted.returncode == 1
    details = linted.stdout.partition("Broken contracts")[2]
    sections = dict(re.findall(r"^(.+)\n-+\n((?:(?!.+\n---).*\n)+)", details, re.MULTILINE))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert set(sections) == {contract["name"] for contract in contracts["contracts"]}
    for file, _violation, contract in VIOLATIONS:
        (section,) = [text for name, text in sections.items() if contract in name]
        assert file.removesuffix(".py").replace("/", ".") in section


@pytest.mark.parametrize("folder", ["fleetsyncd", "fleetsyncd/sync", "tui"])
def test_a_module_that_is_in_no_layer_is_found(copy: Path, folder: str) -> None:
    (copy / folder / "stray.py").touch()
    linted = lint_imports(copy)
    assert linted.returncode == 1
    assert "stray" in linted.stdout


def test_an_exception_to_a_contract_that_is_not_needed_any_more_is_an_error(copy: Path) -> None:
    lanes = copy / "fleetsyncd" / "sync" / "lanes.py"
    lanes.write_text(lanes.read_text().replace("from gevent", "from collections"))
    linted = lint_imports(copy)
    assert linted.returncode == 1
    assert "fleetsyncd.sync.lanes -> gevent" in linted.stdout


@pytest.mark.parametrize(
    "module", ["tui.app", "fleetsyncd.database.store", "fleetsyncd.sync.cycle", "fleetsyncd.models"]
)
def test_importing_a_module_makes_nothing_green(module: str) -> None:
    check = f"import {module}, sys; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", check], check=False).returncode == 0


def test_nothing_is_used_of_psycopg2_that_it_cannot_do_when_green() -> None:
    impossible = re.compile(r"\.(copy_expert|copy_from|copy_to|cancel|lobject)\(")
    sources = list((ROOT / "fleetsyncd" / "database").rglob("*.py"))
    assert sources
    assert [path for path in sources if impossible.search(path.read_text())] == []


def test_the_supervisor_is_imported_without_patching() -> None:
    check = (
        "import fleetsyncd.sync.supervisor, fleetsyncd.cli, sys, gevent.monkey;"
        "sys.exit(gevent.monkey.is_module_patched('socket'))"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", check], check=False).returncode == 0


def test_the_program_starts_green_without_a_warning() -> None:
    check = (
        "import fleetsyncd.__main__, gevent.monkey as m, psycopg2.extensions as e, sys;"
        "sys.exit(not (m.is_module_patched('socket') and e.get_wait_callback()))"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", check], check=False).returncode == 0


IMPORTED = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules))
runpy.run_module("fleetsyncd", run_name="__main__", alter_sys=True)
"""


def imported_by(*arguments: str) -> set[str]:
    """Run a command of the program that cannot connect; return the modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        env={**os.environ, "DB_HOST": "127.0.0.1", "DB_PORT": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert "no connection to 127.0.0.1:1" in done.stderr
    return set(done.stdout.split())


HEAVY = {"gevent", "psycogreen", "requests", "urllib3", "yoyo", "textual", "prometheus_client"}
MOST_MODULES = 350
"""Of the interpreter, the settings' libraries, click and psycopg2; the daemon has 800."""


def test_the_health_probe_imports_little() -> None:
    modules = imported_by("health")
    assert "fleetsyncd.commands.health" in modules
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert len(modules) < MOST_MODULES
    assert "gevent" in imported_by("status")


@pytest.mark.parametrize(
    ("command", "modules"),
    [
        ("health", {"health"}),
        ("status", {"json_output", "parameters", "status", "tables"}),
        ("run", set()),
    ],
)
def test_a_command_imports_no_other_command(command: str, modules: set[str]) -> None:
    loaded = imported_by(command)
    package = "fleetsyncd.commands."
    commands = {name.removeprefix(package) for name in loaded if name.startswith(package)}
    assert commands == {"group", *modules}
    assert "fleetsyncd.demo" not in loaded


def test_a_mistyped_command_is_told_of_the_one_that_was_meant() -> None:
    for typed, meant in (("statu", "status"), ("simulte", "simulate")):
        command = [sys.executable, "-m", "fleetsyncd", typed]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert f"Did you mean '{meant}'?" in done.stderr
