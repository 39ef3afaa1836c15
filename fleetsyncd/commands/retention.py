"""`fleetsyncd retention`: what is going to be deleted and when; --apply deletes it at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import click
import msgspec

from fleetsyncd import bootstrap, streams
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.group import EXIT_FAILED, PROGRAM
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option
from fleetsyncd.commands.questions import confirm
from fleetsyncd.commands.tables import table
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import Kind, RetentionPolicy, retention_policy
from fleetsyncd.database.views.retention import Forecast, forecast
from fleetsyncd.times import ZonedTime, utc_day, utc_now, utc_text

HEADER = ["SETTING", "DELETES", "SIZE", "FROM", "TO", "WHEN"]


@dataclass(frozen=True, slots=True)
class Announced:
    """What a daemon with another setting has announced."""

    keep: int
    due_at: ZonedTime


class Deletion(msgspec.Struct, frozen=True, rename={"begins": "from", "ends": "to"}):
    """What a setting deletes, as `retention --json` prints it."""

    kind: Kind
    setting: str
    keep: int | None
    state: str
    months: int
    rows: int
    rows_are_estimated: bool
    bytes: int | None
    begins: ZonedTime | None
    ends: ZonedTime | None
    due_at: ZonedTime | None
    announced_elsewhere: Announced | None


@click.command()
@click.option("--apply", "apply", is_flag=True, help="Delete it at once, without a day's wait.")
@click.option("--yes", is_flag=True, help="Do not ask (--apply).")
@json_option
def retention(apply: bool, yes: bool, as_json: bool) -> int:
    """Show what retention is going to delete, and when.

    What expires in its turn goes at once: one month of measurements and of minutes, one day of
    journal entries, refused rows and alarms. More than that, and all that a new or stricter
    MEASUREMENTS_KEEP_MONTHS or MINUTES_KEEP_MONTHS deletes, waits for a day after a daemon has
    announced it. Give this command the daemon's settings. With --apply it shows what it deletes,
    and asks; without a terminal it needs --yes.

    Exit code: 0 done, 1 something could not be deleted (--apply only).
    """
    if apply and as_json:
        raise click.UsageError("--apply and --json exclude each other")
    if yes and not apply:
        raise click.UsageError("--yes goes with --apply")
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    policy = retention_policy(settings)
    forecasts = _forecasts(database, policy)
    if as_json:
        print_list([_deletion(each) for each in forecasts])
        return 0
    if not (apply and yes):
        click.echo(_report(forecasts))
    if not apply:
        return 0
    if not yes and any(each.extent for each in forecasts):
        confirm("Delete this for good, now?")
    _record(database, forecasts)
    return _delete(database, policy)


def _report(forecasts: Sequence[Forecast]) -> str:
    lines = [table(HEADER, [_line(each) for each in forecasts])]
    lines += [
        f"a daemon with {announced.setting} deletes {announced.extent}, after"
        f" {utc_text(announced.due_at)}"
        for each in forecasts
        if (announced := each.elsewhere)
    ]
    return "\n".join(lines)


def _line(each: Forecast) -> list[str]:
    if not each.extent:
        return [each.setting, "-", "-", "-", "-", each.when]
    oldest, before = (
        "-" if moment is None else utc_day(moment)
        for moment in (each.extent.oldest, each.extent.before)
    )
    return [
        each.setting,
        each.extent.amount,
        each.extent.size_text,
        oldest,
        before,
        each.when,
    ]


def _deletion(each: Forecast) -> Deletion:
    extent, other = each.extent, each.elsewhere
    return Deletion(
        kind=each.kind,
        setting=each.kind.setting,
        keep=each.keep,
        state=each.fate.name.lower(),
        months=extent.months,
        rows=extent.rows,
        rows_are_estimated=extent.is_estimate,
        bytes=extent.size,
        begins=extent.oldest,
        ends=extent.before,
        due_at=each.due_at,
        announced_elsewhere=None if other is None else Announced(other.keep, other.due_at),
    )


def _record(database: Database, forecasts: Sequence[Forecast]) -> None:
    """Record what is going to be deleted, before the first of many transactions deletes any."""
    deletes = {str(each.kind): str(each.extent) for each in forecasts if each.extent}
    if deletes:
        action = present_action()
        database.run(lambda cursor: record(cursor, action, [Change(None, before=deletes)]))


def _delete(database: Database, policy: RetentionPolicy) -> int:
    """Delete all that has expired, beside a daemon that may be at it; return the exit code."""
    retention = Retention(database, policy, tell=click.echo, warn=click.echo, at_once=True)
    for _step in retention.steps(utc_now):
        pass
    if retention.failed or any(each.is_unusual for each in _forecasts(database, policy)):
        streams.tell(f"{PROGRAM}: not all could be deleted: run it again")
        return EXIT_FAILED
    click.echo("all that had expired is deleted")
    return 0


def _forecasts(database: Database, policy: RetentionPolicy) -> list[Forecast]:
    return database.run(partial(forecast, policy=policy, today=utc_now()))
