"""`fleetsyncd retention`: what is going to be deleted and when; --apply deletes it at once."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from fleetsyncd import bootstrap, streams
from fleetsyncd.commands.group import EXIT_FAILED, PROGRAM
from fleetsyncd.commands.tables import table
from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.views.retention import Forecast, forecast
from fleetsyncd.times import iso_ms, utc_now

HEADER = ["SETTING", "DELETES", "SIZE", "FROM", "TO", "WHEN"]


@click.command()
@click.option("--apply", "apply", is_flag=True, help="Delete it at once, without a day's wait.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def retention(apply: bool, as_json: bool) -> int:
    """Show what retention is going to delete, and when.

    What expires in its turn goes at once: one month of measurements, one day of journal entries,
    refused rows and alarms. More than that, and all that a new or stricter MEASUREMENTS_KEEP_MONTHS
    deletes, waits for a day after a daemon has announced it. Give this command the daemon's
    settings.

    Exit code: 0 done, 1 something could not be deleted (--apply only).
    """
    if apply and as_json:
        raise click.UsageError("--apply and --json exclude each other")
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    policy = bootstrap.retention_policy(settings)
    if apply:
        return _delete(database, policy)
    forecasts = _forecasts(database, policy)
    objects = [_as_json(each) for each in forecasts]
    click.echo(json.dumps(objects, indent=2) if as_json else _report(forecasts))
    return 0


def _report(forecasts: Sequence[Forecast]) -> str:
    lines = [table(HEADER, [_line(each) for each in forecasts])]
    lines += [
        f"a daemon with {announced.setting} deletes {announced.extent}, after"
        f" {announced.due_at:%Y-%m-%d %H:%M} UTC"
        for each in forecasts
        if (announced := each.elsewhere)
    ]
    return "\n".join(lines)


def _line(each: Forecast) -> list[str]:
    if not each.extent:
        return [each.setting, "-", "-", "-", "-", each.when]
    oldest, before = (
        "-" if moment is None else f"{moment:%Y-%m-%d}"
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


def _as_json(each: Forecast) -> dict[str, Any]:
    extent, moments = each.extent, (each.extent.oldest, each.extent.before, each.due_at)
    oldest, before, due_at = (None if moment is None else iso_ms(moment) for moment in moments)
    other = each.elsewhere
    return {
        "kind": each.kind,
        "setting": each.kind.setting,
        "keep": each.keep,
        "state": each.fate.name.lower(),
        "months": extent.months,
        "rows": extent.rows,
        "rows_are_estimated": extent.is_estimate,
        "bytes": extent.size,
        "from": oldest,
        "to": before,
        "due_at": due_at,
        "announced_elsewhere": None
        if other is None
        else {"keep": other.keep, "due_at": iso_ms(other.due_at)},
    }


def _delete(database: Database, policy: RetentionPolicy) -> int:
    """Delete all that has expired, beside a daemon that may be at it; return the exit code."""
    retention = Retention(database, policy, tell=click.echo, warn=click.echo, waits=True)
    retention.apply(utc_now)
    for _step in retention.steps(utc_now):
        pass
    if retention.failed or any(each.is_unusual for each in _forecasts(database, policy)):
        streams.tell(f"{PROGRAM}: not all could be deleted; the daemon goes on with it")
        return EXIT_FAILED
    click.echo("all that had expired is deleted")
    return 0


def _forecasts(database: Database, policy: RetentionPolicy) -> list[Forecast]:
    return database.run(partial(forecast, policy=policy, today=utc_now()))
