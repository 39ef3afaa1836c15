"""`fleetsyncd backfill`: request that a past interval is pulled again, or cancel that."""

from collections.abc import Sequence

import click

from fleetsyncd import bootstrap
from fleetsyncd.actions import Action
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.backfill_watch import Watch
from fleetsyncd.commands.parameters import (
    FROM_FORMS,
    all_vehicles_option,
    no_wait_option,
    to_option,
    vehicles_argument,
    wait_option,
    wait_seconds,
)
from fleetsyncd.database import backfills
from fleetsyncd.database import vehicles as registry
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.models import Window
from fleetsyncd.time_limits import backfill_window
from fleetsyncd.times import floor_ms, parse_time, utc_now


@click.command()
@vehicles_argument
@all_vehicles_option
@click.option("--from", "start", metavar="TIME", help=FROM_FORMS)
@to_option
@click.option("--cancel", is_flag=True, help="Cancel the rest of a backfill.")
@no_wait_option
@wait_option
@click.pass_context
def backfill(
    context: click.Context,
    vehicles: tuple[str, ...],
    all_vehicles: bool,
    start: str | None,
    end: str,
    cancel: bool,
    no_wait: bool,
    wait: str | None,
) -> int:
    """Have a past interval pulled again.

    Without --from it only watches. The daemon pulls CATCH_UP_CONCURRENCY vehicles at a time, beside
    their cycles. It goes on when this command is interrupted or --wait is over, and after its own
    restart. Rows that are stored already are not doubled, and no watermark moves.

    Exit code: 0 all of it was pulled; 1 a backfill was cancelled, a part of its interval is gone at
    the vehicle or older than what is kept, or it is not done within --wait.
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
        click.echo(f"cancelled: {count} backfill(s); stored rows stay")
        return 0
    if start is not None:
        now = utc_now()
        window = backfill_window(start, end, now, settings.measurements_keep_months)
        if parse_time(end, now) > now:
            click.echo(f"cut: --to is in the future, the interval is {window}", err=True)
        _tell_requested(
            chosen, window, database.run(lambda cursor: _request(cursor, action, chosen, window))
        )
    watch = Watch(database, chosen)
    if no_wait:
        watch.tell_obstacles()
        return 0
    return watch.run(wait_sec)


def _request(
    cursor: Cursor, action: Action, chosen: Sequence[RegisteredVehicle], window: Window
) -> list[Window]:
    windows = [backfills.request_backfill(cursor, vehicle.id, window) for vehicle in chosen]
    asked = {"backfill": str(window)}
    record(cursor, action, [Change(vehicle.id, after=asked) for vehicle in chosen])
    return windows


def _tell_requested(
    chosen: Sequence[RegisteredVehicle], window: Window, requested: Sequence[Window]
) -> None:
    """Name the interval, and the vehicles whose backfill has another one."""
    asked = Window(floor_ms(window.start), floor_ms(window.end))
    click.echo(f"requested: {asked} of {len(chosen)} vehicle(s)")
    for vehicle, real in zip(chosen, requested, strict=True):
        if real != asked:
            click.echo(f"[{vehicle.name}] has an open backfill, both are one now: {real}")


def _cancel(cursor: Cursor, action: Action, chosen: Sequence[RegisteredVehicle]) -> int:
    cancelled = [each.id for each in chosen if backfills.cancel_backfill(cursor, each.id)]
    record(cursor, action, [Change(key, before={"backfill": "open"}) for key in cancelled])
    return len(cancelled)
