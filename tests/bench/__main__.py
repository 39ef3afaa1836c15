"""`make bench`: every figure in one run on one machine, with what it is to reach.

    make bench                        the short form, under three minutes
    make bench ARGS="--full"          up to 5,000 vehicles and a gap of seven days
    make bench ARGS="--only gap,wall" some groups
    make bench ARGS="--json"          one JSON object

What goes on is told on standard error. Vehicles, PostgreSQL and daemon are processes of their own
on this machine; only the daemon's CPU and memory are counted. Machines differ and are noisy: ratios
of values measured in turns tell more than seconds.
"""

import argparse
import json
import resource
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tests.bench import figures
from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.bench.installation import installed
from tests.bench.machine import description

GROUPS = (
    "cycle",
    "usual",
    "floor",
    "wall",
    "memory",
    "ingest",
    "gap",
    "outage",
    "links",
    "bad_day",
    "dark",
    "storage",
    "stalls",
    "dashboard",
)
"""In the order they are measured: stalls looks at what the ones before it left."""
LONG = {"dashboard", "links", "outage", "storage"}
"""Measured only in the long form, or when named."""
BESIDE = {"usual", "floor"}
"""Groups that compare the daemon with another puller on the same fleet."""


def _groups(text: str) -> set[str]:
    wanted = set(text.split(","))
    if unknown := wanted - set(GROUPS):
        known = ", ".join(GROUPS)
        raise argparse.ArgumentTypeError(
            f"no such group: {', '.join(sorted(unknown))} (there are {known})"
        )
    return wanted


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--full", action="store_true", help="measure the long form")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        type=_groups,
        metavar="NAME",
        help=", ".join(GROUPS),
    )
    return parser


def main() -> int:
    """Measure what the arguments ask for, and show it."""
    arguments = parser().parse_args()
    wanted = set().union(*arguments.only) or set(GROUPS) - (set() if arguments.full else LONG)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    groups = [import_module(f"tests.bench.groups.{name}") for name in GROUPS if name in wanted]
    with (
        tempfile.TemporaryDirectory(prefix="fleetsync-bench-") as folder,
        installed(Path(folder) / "postgres") as installation,
    ):
        machine = description(installation.version)
        bench = Bench(installation, Path(folder), arguments.full, frozenset(BESIDE & wanted))
        found, failed = measure(bench, groups)
    if arguments.json:
        print(json.dumps({"machine": machine, "figures": figures.as_object(found)}, indent=2))
    else:
        print("  ".join(f"{name}: {value}" for name, value in machine.items()))
        print(figures.show(found))
    return 1 if failed else 0


def measure(bench: Bench, groups: list[ModuleType]) -> tuple[list[Figure], int]:
    """Return the figures of the groups, and how many groups failed: hours may lie before that."""
    figures: list[Figure] = []
    failed = 0
    for group in groups:
        try:
            figures += group.measure(bench)
        except Exception:
            bench.log(f"{group.GROUP} failed\n{traceback.format_exc()}")
            failed += 1
    return figures, failed


if __name__ == "__main__":
    sys.exit(main())
