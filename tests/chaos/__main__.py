"""`make chaos`: a storm, and the table of what happened and what was wrong in the end."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from fleetsyncd.commands.tables import table
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
    parser.add_argument("--kinds", type=_kinds, default=kinds.KINDS, help="kinds or groups, a,b,c")
    parser.add_argument("--late", action="store_true", help="vehicles commit rows late")
    parser.add_argument("--hidden-table", action="store_true", help="measurements behind a view")
    parser.add_argument(
        "--convert", action="store_true", help="put behind a view in the middle of the storm"
    )
    return parser


def main() -> int:
    """Run a storm; return 0 if everything that must be zero is."""
    given = parser().parse_args()
    weather = Weather(
        given.seed,
        given.minutes,
        given.vehicles,
        given.kinds,
        late=given.late,
        hidden_table=given.hidden_table,
        converts=given.convert,
    )
    # An end from outside must still stop everything that was started.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda code, _frame: sys.exit(128 + code))
    print(f"storm: seed {weather.seed}, {weather.minutes:g} minutes, {weather.vehicles} vehicles")
    folder = Path(tempfile.mkdtemp(prefix="fleetsync-chaos-"))
    outcome = storm(weather, folder)
    if outcome.clean:
        shutil.rmtree(folder)
    else:
        print(f"the daemons' logs and the database are kept in {folder}")
    print(report(outcome))
    return 0 if outcome.clean else 1


def report(outcome: Outcome) -> str:
    """Return the table, the zeros last."""
    happened = [
        [group, kind, str(outcome.happened[kind])]
        for group, kinds_of_group in kinds.GROUPS.items()
        for kind in kinds_of_group
    ]
    happened.append(["operator", "convert", str(outcome.happened["convert"])])
    sums = [
        ("daemon kills", sum(outcome.happened[kind] for kind in kinds.KILLS)),
        ("database restarts and kills", sum(outcome.happened[kind] for kind in kinds.RESTARTS)),
        ("network faults", sum(outcome.happened[kind] for kind in kinds.LINK)),
        ("poison answers", sum(outcome.happened[kind] for kind in kinds.POISON)),
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


def _late_rows(outcome: Outcome) -> str:
    if outcome.findings.lost_late:
        return f"late rows were missing {outcome.late_sec:.0f} s after the vehicles fell silent"
    return f"no late row was missing {outcome.late_sec:.0f} s after the vehicles fell silent"


if __name__ == "__main__":
    sys.exit(main())
