"""`make mutants`: plant one bug after the other in a copy of the program, and see tests fail.

A mutant is caught when some test of `make test` fails. Those that most likely do are run first,
all of them only if none of those did. Exit code 1 unless every mutant is caught.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fleetsyncd.tables import table
from tests.mutants.planted import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
LONGEST_SEC = 900.0
FOLDERS = ("fleetsyncd", "tui", "tests")
QUIET = ("-q", "-x", "--no-header", "-n", "2")
FAILED = 1
"""What pytest ends with when a test failed; anything else would prove nothing."""


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


def fails(copy: Path, *tests: str) -> bool:
    """Tell whether a test of these fails in the copy; a test without end fails too."""
    command = [sys.executable, "-m", "pytest", *QUIET, *tests]
    try:
        ended = subprocess.run(
            command, cwd=copy, capture_output=True, timeout=LONGEST_SEC, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if ended.returncode not in (0, FAILED, 2):
        raise RuntimeError(f"pytest could not run: {ended.stdout.decode()[-2000:]}")
    return ended.returncode != 0


def caught_by(mutant: Mutant) -> str | None:
    """Return which tests catch a mutant, None if all of them pass."""
    with tempfile.TemporaryDirectory(prefix="fleetsync-mutant-") as folder:
        copy = Path(folder) / "program"
        copy.mkdir()
        copy_program(copy)
        plant(mutant, copy)
        if fails(copy, *mutant.tests.split()):
            return mutant.tests
        return "all of them" if fails(copy) else None


def main() -> int:
    """Plant the mutants whose names hold a given text; return 0 if every one is caught."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", default="", help="part of the mutants' names")
    only = parser.parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in mutant.name]
    rows = []
    for number, mutant in enumerate(chosen, start=1):
        tests = caught_by(mutant)
        print(f"{number}/{len(chosen)} {mutant.name}: {tests or 'NOT CAUGHT'}", flush=True)
        rows.append([mutant.name, mutant.file, tests or "NOT CAUGHT"])
    caught = sum(row[-1] != "NOT CAUGHT" for row in rows)
    print(table(["MUTANT", "FILE", "CAUGHT BY"], rows))
    print(f"{caught} of {len(chosen)} mutants caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
