"""`make chaos`: a storm, and the table of what happened and what was wrong in the end."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from fleetsyncd.commands.tables import table
from fleetsyncd.errors import CommandError
from tests.chaos import kinds
from tests.chaos.storm import Outcome, Weather, storm


def _kinds(text: str) -> tuple[str, ...]:
    try:
        return kinds.chosen(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--vehicles", type=int, default=10)
    parser.add_argument("--kinds", type=_kinds, help="kinds or groups, a,b,c")
    parser.add_argument("--late", action="store_true", help="vehicles commit rows late")
    parser.add_argument("--hidden-table", action="store_true", help="measurements behind a view")
    parser.add_argument(
        "--convert", action="store_true", help="put behind a view in the middle of the storm"
    )
    parser.add_argument("--citus", action="store_true", help="measurements on a Citus cluster")
    return parser


def weather_of(arguments: Sequence[str] | None = None) -> Weather:
    """Return the storm that a command line asks for; exit for kinds that cannot strike there."""
    reader = parser()
    given = reader.parse_args(arguments)
    possible = kinds.CLUSTER_KINDS if given.citus else kinds.KINDS
    if impossible := set(given.kinds or ()) - set(possible):
        place = "with --citus" if given.citus else "without --citus"
        reader.error(f"{place} there is no {', '.join(sorted(impossible))}")
    return Weather(
        given.seed,
        given.minutes,
        given.vehicles,
        given.kinds or possible,
        late=given.late,
        hidden_table=given.hidden_table,
        converts=given.convert,
        citus=given.citus,
    )


def main() -> int:
    """Run a storm; return 0 if everything that must be zero is."""
    weather = weather_of()
    # An end from outside must still stop everything that was started.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda code, _frame: sys.exit(128 + code))
    print(f"storm: seed {weather.seed}, {weather.minutes:g} minutes, {weather.vehicles} vehicles")
    folder = Path(tempfile.mkdtemp(prefix="fleetsync-chaos-"))
    try:
        outcome = storm(weather, folder)
    except CommandError as error:
        print(f"no storm: {error}")
        return 2
    if outcome.clean:
        shutil.rmtree(folder)
    else:
        print(f"the daemons' logs and the database are kept in {folder}")
    print(report(outcome))
    return 0 if outcome.clean else 1


def report(outcome: Outcome) -> str:
    """Return the table, the zeros last."""
    citus = outcome.weather.citus
    groups = kinds.CLUSTER_GROUPS if citus else kinds.GROUPS
    happened = [
        [group, kind, str(outcome.happened[kind])]
        for group, kinds_of_group in groups.items()
        for kind in kinds_of_group
    ]
    happened.append(["operator", "convert", str(outcome.happened["convert"])])
    sums = [
        ("daemon kills", _sum(outcome, kinds.KILLS)),
        ("database restarts and kills", _sum(outcome, kinds.RESTARTS)),
        *([("worker restarts and kills", _sum(outcome, kinds.WORKERS))] if citus else []),
        ("network faults", _sum(outcome, kinds.LINK)),
        ("poison answers", _sum(outcome, kinds.POISON)),
    ]
    findings, truth = outcome.findings, outcome.truth
    zeros = [
        ("lost", findings.lost),
        ("lost that came late", findings.lost_late),
        ("altered", findings.altered),
        ("unexpected", findings.unexpected),
        ("untrue watermarks", truth.untrue_watermarks),
        ("untrue journal rows", truth.untrue_journal),
        ("cycles without their journal row", truth.missing_journal),
        ("good rows in the quarantine", truth.good_in_quarantine),
        ("daemons that ended by themselves", len(outcome.crashes)),
        *([("prepared transactions left", outcome.prepared_left)] if citus else []),
        ("keys leaked", outcome.keys_leaked),
        ("canary met", outcome.canary_met),
    ]
    counted = ", ".join(f"{count} {status}" for status, count in outcome.journal.items())
    examples = [*findings.examples, *truth.examples, *outcome.crashes[:5]]
    return "\n".join(
        [
            table(["GROUP", "FAULT", "HAPPENED"], happened),
            "",
            f"seed {outcome.weather.seed}; cycles: {counted}; quarantined: {outcome.quarantined}",
            f"{findings.checked} rows and alarms checked; good after {outcome.settled_sec:.0f} s",
            *([_late_rows(outcome)] if outcome.weather.late else []),
            *(f"  {example}" for example in examples),
            "",
            table(["WHAT", "COUNT"], [[what, str(count)] for what, count in [*sums, *zeros]]),
        ]
    )


def _sum(outcome: Outcome, chosen: Iterable[str]) -> int:
    return sum(outcome.happened[kind] for kind in chosen)


def _late_rows(outcome: Outcome) -> str:
    if outcome.findings.lost_late:
        return f"late rows were missing {outcome.late_sec:.0f} s after the vehicles fell silent"
    return f"no late row was missing {outcome.late_sec:.0f} s after the vehicles fell silent"


if __name__ == "__main__":
    sys.exit(main())
