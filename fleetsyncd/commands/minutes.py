"""`fleetsyncd minutes`: how far the minute aggregates are; --rebuild computes them anew."""

import time
from collections.abc import Sequence
from functools import partial
from uuid import UUID

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option, vehicles_argument
from fleetsyncd.commands.tables import table
from fleetsyncd.database import due_minutes, minutes, replicas
from fleetsyncd.database import vehicles as registry
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema.grants import DOOR
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.minutes import VehicleMinutes, minutes_of_fleet
from fleetsyncd.errors import CommandError
from fleetsyncd.text import age
from fleetsyncd.times import parse_time, utc_now, utc_text

HEADER = ["VEHICLE", "FROM", "TO", "BEHIND", "DUE", "DUE FROM", "DUE TO"]
RETRY_SEC = 0.2
"""After this, vehicles to which daemons were writing are tried again."""


@click.command("minutes")
@vehicles_argument
@click.option("--rebuild", is_flag=True, help="Compute them again from the stored measurements.")
@click.option(
    "--from",
    "start",
    metavar="TIME",
    help="24h, 7d, 2026-11-23 14:30 by this host's clock and zone, or 2026-11-23T14:30Z in UTC."
    " Without it, from the oldest month that is kept. With --rebuild.",
)
@click.option("--to", "end", metavar="TIME", help="Written as --from; without it, now.")
@json_option
def minutes_command(
    vehicles: tuple[str, ...], rebuild: bool, start: str | None, end: str | None, as_json: bool
) -> None:
    """Show how far minute aggregates are, or compute them again.

    Plots of long spans are read from minutes between FROM and TO, and from the measurements where
    something is due: history, or rows that came late, which a daemon works off. --rebuild computes
    all minutes of these vehicles, or of the whole fleet, whose measurements are stored; those of
    measurements that retention has dropped stay as they are. If it is interrupted, a daemon goes
    on; the same command begins anew, with --to at DUE TO it computes the rest at once. Give it the
    daemon's settings.
    """
    if rebuild and as_json:
        raise click.UsageError("--rebuild and --json exclude each other")
    if not rebuild and (start or end):
        raise click.UsageError("--from and --to go with --rebuild")
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    chosen = _chosen(database, vehicles)
    if rebuild:
        _rebuild(database, settings.minutes_keep_months, chosen, start, end)
        return
    ids = {vehicle.id for vehicle in chosen}
    found = [each for each in database.run(minutes_of_fleet) if each.id in ids]
    if as_json:
        print_list(found)
    else:
        if settings.minutes_keep_months is None:
            click.echo("no minutes are computed: MINUTES_KEEP_MONTHS is not set here")
        click.echo(table(HEADER, list(map(_line, found))))


def _chosen(database: Database, vehicles: tuple[str, ...]) -> list[RegisteredVehicle]:
    """Return the vehicles of these names; all without any."""
    return database.run(
        lambda cursor: registry.find_vehicles(cursor, vehicles, all_vehicles=not vehicles)
    )


def _line(each: VehicleMinutes) -> list[str]:
    if each.minutes_from is None or each.minutes_to is None:
        return [each.name, *["-"] * (len(HEADER) - 1)]
    start = "the first" if each.minutes_from <= minutes.OLDEST else utc_text(each.minutes_from)
    due_from, due_to = ("-" if at is None else utc_text(at) for at in (each.due_from, each.due_to))
    if each.due_from is not None and each.due_from <= minutes.OLDEST:
        due_from = "the first"
    behind = age(each.behind_seconds)
    return [each.name, start, utc_text(each.minutes_to), behind, str(each.due), due_from, due_to]


def _rebuild(
    database: Database,
    keep_months: int | None,
    chosen: Sequence[RegisteredVehicle],
    start: str | None,
    end: str | None,
) -> None:
    if keep_months is None:
        raise CommandError("no minutes are kept: set MINUTES_KEEP_MONTHS, here and for the daemon")
    if hosts := database.run(lambda cursor: replicas.older_daemons(cursor, DOOR)):
        raise CommandError(f"a daemon of an older version runs on {', '.join(hosts)}: upgrade it")
    now = utc_now()
    limit = minutes.oldest_kept(now, keep_months)
    begin = limit if start is None else max(limit, parse_time(start, now))
    until = None if end is None else parse_time(end, now)
    if begin >= min(now, until or now):
        raise CommandError("the interval must begin before it ends, and before now")
    ids = [vehicle.id for vehicle in chosen]
    action = present_action()
    asked = {"minutes": f"computed again from {utc_text(begin)}"}

    def request(cursor: Cursor) -> None:
        minutes.begin(cursor, limit)
        due_minutes.request_rebuild(cursor, ids, begin, until)
        record(cursor, action, [Change(key, after=asked) for key in ids])

    database.run(request)
    rows = _work_off_all(database, ids)
    click.echo(f"computed the minutes of {rows:,} measurements of {len(ids)} vehicle(s)")


def _work_off_all(database: Database, ids: Sequence[UUID]) -> int:
    """Work off all that is due of these vehicles, with a progress bar; return the rows read."""
    rows = 0
    with click.progressbar(length=len(ids), label="vehicles") as bar:
        while due := database.run(partial(due_minutes.due_vehicles, most=len(ids), only=ids)):
            bar.update(len(ids) - len(due) - bar.pos)
            works = (partial(due_minutes.work_off, vehicle_id=key) for key in due)
            kept = next((done for work in works if (done := database.run(work))), None)
            if kept is None:
                time.sleep(RETRY_SEC)
            else:
                rows += kept.rows
        bar.update(len(ids) - bar.pos)
    return rows
