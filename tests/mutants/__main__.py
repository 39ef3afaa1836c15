"""`make mutants`: plant one bug after the other in a copy of the program, and see tests fail.

A mutant is caught when one of the tests fails that are named beside it, which pass without it and
are part of `make test`. Exit code 1 unless every mutant is caught.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fleetsyncd.commands.tables import table
from tests.mutants.planted import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
LONGEST_SEC = 600.0
"""The tests of one mutant; those of all mutants together, without any bug, have no limit."""
FOLDERS = ("fleetsyncd", "tui", "tests")
QUIET = ("-q", "-x", "--no-header", "-n", "0")
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)


def plant(mutant: Mutant, copy: Path) -> None:
    """Put the bug into a copy of the program; ValueError if its place is not there just once."""
    file = copy / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {text.count(mutant.old)} places in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))


def copy_program(copy: Path) -> None:
    """Copy the program and its tests, those apart that would only see that a bug is planted."""
    ignored = shutil.ignore_patterns("__pycache__", "mutants")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for entry in ROOT.iterdir():
        if entry.is_file() and entry.name != ".git":
            shutil.copy(entry, copy)


def first_failure(copy: Path, *tests: str, longest_sec: float | None = LONGEST_SEC) -> str | None:
    """Return the first test of these that fails in the copy, None if all of them pass."""
    command = [sys.executable, "-m", "pytest", *QUIET, *tests]
    try:
        ended = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, timeout=longest_sec, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {longest_sec:g} s"
    if ended.returncode == 0:
        return None
    match = FAILURE.search(ended.stdout)
    if match is None:
        raise RuntimeError(f"no test failed, and yet: {ended.stdout[-2000:]}")
    return match[1]


def caught_by(mutant: Mutant | None, tests: str) -> str | None:
    """Return which test fails once the bug is planted, or without any bug."""
    with tempfile.TemporaryDirectory(prefix="fleetsync-mutant-") as folder:
        copy = Path(folder) / "program"
        copy.mkdir()
        copy_program(copy)
        if mutant is None:
            return first_failure(copy, *tests.split(), longest_sec=None)
        plant(mutant, copy)
        return first_failure(copy, *tests.split())


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", default="", help="part of the mutants' names")
    return parser


def main() -> int:
    """Plant the mutants whose names hold a given text; return 0 if every one is caught."""
    only = parser().parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in mutant.name]
    every = " ".join(sorted({path for mutant in chosen for path in mutant.tests.split()}))
    if failure := caught_by(None, every):
        print(f"without any bug {failure} fails: a failing test would tell nothing of a mutant")
        return 1
    rows = []
    for number, mutant in enumerate(chosen, start=1):
        failure = caught_by(mutant, mutant.tests)
        print(f"{number}/{len(chosen)} {mutant.name}", flush=True)
        rows.append([mutant.name, failure or "NOT CAUGHT"])
    caught = sum(failure != "NOT CAUGHT" for _, failure in rows)
    print(table(["MUTANT", "CAUGHT BY"], rows))
    print(f"{caught} of {len(chosen)} mutants caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
