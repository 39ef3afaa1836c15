"""`python -m tests.chaos.keys`: random keys into a real dashboard while its database changes.

    python -m tests.chaos.keys --seed 7 --minutes 5     a storm; a seed repeats its keys
    python -m tests.chaos.keys --keys 24000 --steady    memory: only keys, in one program

Each key is typed when the dashboard has done what the one before it asked for: keys that only wait
would try nothing. A dashboard may end only as it was told to. Whatever it wrote to its file of
faults, and every traceback that its terminal saw, is a failure.
"""

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.bench.installation import Installation, installed
from tests.bench.machine import cpu_seconds, is_at_rest, resident_megabytes
from tests.chaos.dashboard_changes import Changes, prepare
from tests.chaos.typist import Typist
from tests.tui.terminal import Terminal

SIZES = ((80, 24), (120, 40), (160, 45), (60, 20), (80, 24))
CHANGE_SHARE, RESIZE_SHARE = 0.02, 0.004
"""How many keys are followed by a change of the database, and by another size of the terminal."""
REST_SEC, PATIENCE_SEC = 0.03, 20.0
"""A program that works, or polls for what is opening, uses its core within REST_SEC."""
SAMPLES = 40
"""How often the memory is looked at."""


@dataclass
class Storm:
    """What is typed, and for how long: until `keys` are typed or `minutes` have passed."""

    seed: int
    keys: int
    minutes: float
    pause: float
    """Seconds after each key at least."""
    vehicles: int
    steady: bool
    """Whether nothing but keys happens: one program, one size, a database at rest."""
    palette: bool = True


@dataclass
class Outcome:
    """What happened; `faults` holds what went wrong, in one text each."""

    typed: int = 0
    programs: int = 0
    changes: int = 0
    megabytes: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(storm: Storm, installation: Installation, folder: Path) -> Outcome:
    """Type until the storm is over; return what happened."""
    name = f"keys_{storm.seed}"
    database = prepare(installation, name, storm.vehicles)
    dice, outcome = Random(storm.seed), Outcome()
    changes = Changes(installation.server, name, database, Random(storm.seed + 1))
    ends = time.monotonic() + 60 * storm.minutes
    try:
        while outcome.typed < storm.keys and time.monotonic() < ends:
            terminal = Terminal(installation.server, name, folder)
            outcome.programs += 1
            try:
                terminal.sees("truck-")
                _type(storm, terminal, dice, changes, outcome, ends)
            finally:
                terminal.program.kill()
                terminal.program.wait()
                terminal.close()
            outcome.faults += _faults(terminal, folder)
            changes.open()
    finally:
        outcome.changes = changes.count
        database.close()
    return outcome


def _type(
    storm: Storm, terminal: Terminal, dice: Random, changes: Changes, outcome: Outcome, ends: float
) -> None:
    """Type into one program until it ends, or the storm does."""
    typist = Typist(dice, quits=not storm.steady, palette=storm.palette)
    every = max(1, storm.keys // SAMPLES)
    while outcome.typed < storm.keys and time.monotonic() < ends:
        if terminal.program.poll() is not None:
            return
        if outcome.typed % every == 0:
            outcome.megabytes.append(resident_megabytes(terminal.program.pid))
        terminal.type(typist.next())
        outcome.typed += 1
        terminal.read_for(storm.pause)
        _wait_for_rest(terminal)
        del terminal.shown[: -(1 << 16)]
        if storm.steady:
            continue
        if dice.random() < CHANGE_SHARE:
            changes.next()
        if dice.random() < RESIZE_SHARE:
            typist.size = dice.choice(SIZES)
            terminal.resize(*typist.size)


def _wait_for_rest(terminal: Terminal) -> None:
    """Wait until the program has acted on what was typed."""
    pid, ends, before = terminal.program.pid, time.monotonic() + PATIENCE_SEC, -1.0
    while terminal.program.poll() is None and time.monotonic() < ends:
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread ended meanwhile
            used = cpu_seconds(pid)
            if used == before and is_at_rest(pid):
                return
            before = used
        terminal.read_for(REST_SEC)


def _faults(terminal: Terminal, folder: Path) -> list[str]:
    """Return what one program left: a traceback on its terminal, its files, its exit code."""
    files = sorted(folder.glob("state/*/fault-*"))
    faults = [file.read_text() for file in files]
    for file in files:
        file.unlink()
    if b"Traceback" in terminal.shown or terminal.program.returncode not in (0, -9):
        shown = terminal.shown[-3000:].decode(errors="replace")
        faults.append(f"exit {terminal.program.returncode}: {shown}")
    return faults


def main() -> int:
    """Run a storm and report it; return 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.keys",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds after each key at least")
    parser.add_argument("--vehicles", type=int, default=1000)
    parser.add_argument("--steady", action="store_true", help="nothing but keys, in one program")
    parser.add_argument("--no-palette", dest="palette", action="store_false")
    storm = Storm(**vars(parser.parse_args()))
    folder = Path(tempfile.mkdtemp(prefix="fleetsync-keys-"))
    with installed(folder / "postgres") as installation:
        outcome = run(storm, installation, folder)
    shutil.rmtree(folder)
    print(f"seed {storm.seed}: {outcome.typed} keys, {outcome.programs} programs,"
          f" {outcome.changes} changes of the database")  # fmt: skip
    print("resident MB:", " ".join(f"{each:.0f}" for each in outcome.megabytes))
    for fault in outcome.faults:
        print(f"\n{fault}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
