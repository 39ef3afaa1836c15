import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_point_down_only() -> None:
    # In a process of its own: import-linter disables every logger that exists.
    check = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize(
    "module", ["tui.app", "fleetsyncd.database.store", "fleetsyncd.sync.cycle", "fleetsyncd.models"]
)
def test_importing_a_module_makes_nothing_green(module: str) -> None:
    check = f"import {module}, sys; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", check], check=False).returncode == 0


def test_nothing_is_asked_of_psycopg2_that_it_cannot_do_when_green() -> None:
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
