"""`fleetsyncd audit`: have a past interval compared with what the vehicles have."""

from collections.abc import Sequence
from datetime import datetime

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.audit_watch import AuditWatch
from fleetsyncd.commands.parameters import complete_name, json_option
from fleetsyncd.database import audits
from fleetsyncd.database import vehicles as registry
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.audits import audit_statuses
from fleetsyncd.errors import CommandError
from fleetsyncd.time_limits import MAX_AGE, backfill_window
from fleetsyncd.times import parse_length, parse_time, utc_now


@click.command()
@click.argument("vehicles", nargs=-1, metavar="[VEHICLE]...", shell_complete=complete_name)
@click.option("--all", "all_vehicles", is_flag=True, help="Every vehicle of the fleet.")
@click.option(
    "--from",
    "start",
    metavar="TIME",
    help="24h, 7d, 2026-11-23 14:30 by this host's clock and zone, or 2026-11-23T14:30Z in UTC;"
    f" up to {MAX_AGE.days} days ago. Without it, where the stored measurements begin.",
)
@click.option(
    "--to", "end", metavar="TIME", default="now", show_default=True, help="Written as --from."
)
@click.option("--report-only", is_flag=True, help="Store nothing that is missing, only count it.")
@click.option("--cancel", is_flag=True, help="Cancel the rest of an audit.")
@click.option("--no-wait", is_flag=True, help="Only request it; do not watch.")
@click.option("--wait", metavar="LENGTH", help="Watch no longer than that: 90m, 1h, 2d.")
@json_option
@click.pass_context
def audit(
    context: click.Context,
    vehicles: tuple[str, ...],
    all_vehicles: bool,
    start: str | None,
    end: str,
    report_only: bool,
    cancel: bool,
    no_wait: bool,
    wait: str | None,
    as_json: bool,
) -> int:
    """Prove that all of a past interval is stored.

    The daemon asks the vehicles again, beside their cycles, and compares. What is missing is
    stored; values that differ are told and left as they are. It goes on when this command is
    interrupted or --wait is over, and after its own restart; the same command watches it again.

    Exit code: 0 nothing was missing or different; 1 something was, the audit was cancelled, or it
    is not done within --wait.
    """
    if wait is not None and (no_wait or cancel):
        raise click.UsageError("--wait goes with neither --no-wait nor --cancel", context)
    wait_sec = None if wait is None else parse_length(wait).total_seconds()
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    chosen = database.run(
        lambda cursor: registry.find_vehicles(cursor, vehicles, all_vehicles=all_vehicles)
    )
    if cancel:
        count = database.run(
            lambda cursor: sum(audits.cancel_audit(cursor, vehicle.id) for vehicle in chosen)
        )
        click.echo(f"cancelled: {count} audit(s); stored rows stay")
        return 0
    now = utc_now()
    begin, until = None, min(now, parse_time(end, now))
    if start is not None:
        begin = backfill_window(start, end, now, settings.measurements_keep_months).start
    keeps = begin is None and until == now and not report_only
    database.run(
        lambda cursor: _request(cursor, chosen, begin, until, report_only=report_only, keeps=keeps)
    )
    watch = AuditWatch(database, chosen, as_json=as_json)
    if no_wait:
        watch.tell_obstacles()
        if as_json:
            watch.print_json()
        return 0
    return watch.run(wait_sec)


def _request(
    cursor: Cursor,
    chosen: Sequence[RegisteredVehicle],
    start: datetime | None,
    end: datetime,
    *,
    report_only: bool,
    keeps: bool,
) -> None:
    """Request the audits; one that goes on is left alone if the operator `keeps` it."""
    known = audit_statuses(cursor, [vehicle.id for vehicle in chosen]) if keeps else {}
    for vehicle in chosen:
        status = known.get(vehicle.id)
        if status is not None and not status.finished:
            continue
        try:
            audits.request_audit(cursor, vehicle.id, start, end, report_only=report_only)
        except CommandError as error:
            raise CommandError(f"[{vehicle.name}] {error}") from None
