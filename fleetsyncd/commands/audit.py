"""`fleetsyncd audit`: have a past interval compared with what the vehicles have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from fleetsyncd import bootstrap
from fleetsyncd.actions import Action
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.audit_watch import AuditWatch
from fleetsyncd.commands.parameters import (
    FROM_FORMS,
    all_vehicles_option,
    json_option,
    no_wait_option,
    to_option,
    vehicles_argument,
    wait_option,
    wait_seconds,
)
from fleetsyncd.database import audits
from fleetsyncd.database import vehicles as registry
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.audits import audit_statuses
from fleetsyncd.errors import CommandError, NothingToAudit
from fleetsyncd.text import listed
from fleetsyncd.time_limits import backfill_window
from fleetsyncd.times import parse_time, utc_now


@click.command()
@vehicles_argument
@all_vehicles_option
@click.option(
    "--from",
    "start",
    metavar="TIME",
    help=f"{FROM_FORMS} Without it, where the stored measurements begin.",
)
@to_option
@click.option("--report-only", is_flag=True, help="Store nothing that is missing, only count it.")
@click.option("--cancel", is_flag=True, help="Cancel the rest of an audit.")
@no_wait_option
@wait_option
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
    With --all, vehicles of which nothing of the interval was pulled yet are left out and named.

    Exit code: 0 nothing was missing or different; 1 something was, the audit was cancelled, or it
    is not done within --wait.
    """
    wait_sec = wait_seconds(context, wait, no_wait=no_wait, cancel=cancel)
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    chosen = database.run(
        lambda cursor: registry.find_vehicles(cursor, vehicles, all_vehicles=all_vehicles)
    )
    action = present_action()
    if cancel:
        count = database.run(lambda cursor: _cancel(cursor, action, chosen))
        click.echo(f"cancelled: {count} audit(s); stored rows stay")
        return 0
    now = utc_now()
    begin, until = None, min(now, parse_time(end, now))
    if start is not None:
        begin = backfill_window(start, end, now, settings.measurements_keep_months).start
    keeps = begin is None and until == now and not report_only
    wanted = _Wanted(begin, until, report_only=report_only, keeps=keeps)
    without = database.run(
        lambda cursor: _request(cursor, action, chosen, wanted, may_leave_out=all_vehicles)
    )
    if without:
        names = listed([vehicle.name for vehicle in without])
        click.echo(f"left out, nothing of the interval was pulled yet: {names}", err=True)
    left_out = {vehicle.id for vehicle in without}
    audited = [vehicle for vehicle in chosen if vehicle.id not in left_out]
    watch = AuditWatch(database, audited, as_json=as_json)
    if no_wait:
        watch.tell_obstacles()
        if as_json:
            watch.print_json()
        return 0
    return watch.run(wait_sec)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for; an audit that goes on is left alone if the operator `keeps` it."""

    start: datetime | None
    end: datetime
    report_only: bool
    keeps: bool


def _cancel(cursor: Cursor, action: Action, chosen: Sequence[RegisteredVehicle]) -> int:
    cancelled = [each.id for each in chosen if audits.cancel_audit(cursor, each.id)]
    record(cursor, action, [Change(key, before={"audit": "open"}) for key in cancelled])
    return len(cancelled)


def _request(
    cursor: Cursor,
    action: Action,
    chosen: Sequence[RegisteredVehicle],
    wanted: _Wanted,
    *,
    may_leave_out: bool,
) -> list[RegisteredVehicle]:
    """Request the audits; return the vehicles of which there is nothing to audit, if not all are.

    Raises CommandError if there are any and none may be left out.
    """
    known = audit_statuses(cursor, [vehicle.id for vehicle in chosen]) if wanted.keeps else {}
    changes, without = [], []
    for vehicle in chosen:
        status = known.get(vehicle.id)
        if status is not None and not status.finished:
            continue
        try:
            window = audits.request_audit(
                cursor, vehicle.id, wanted.start, wanted.end, report_only=wanted.report_only
            )
        except NothingToAudit as error:
            without.append(vehicle)
            if not may_leave_out or len(without) == len(chosen):
                raise CommandError(f"[{vehicle.name}] {error}") from None
            continue
        changes.append(Change(vehicle.id, after={"audit": str(window)}))
    record(cursor, action, changes)
    return without
