"""`fleetsyncd backfill`: ask the daemon to pull a past interval again, and watch it do so."""

import time
from collections.abc import Sequence

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.tables import table
from fleetsyncd.database import backfills as wishes
from fleetsyncd.database import replicas, vehicles
from fleetsyncd.database.backfills import BackfillStatus
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.times import parse_time, utc_now

LOOK_SEC = 1.0
STEPS = 1000
Statuses = list[BackfillStatus | None]


@click.command()
@click.argument("vehicles", nargs=-1, metavar="[VEHICLE]...")
@click.option("--all", "every", is_flag=True, help="Every vehicle of the fleet.")
@click.option("--from", "start", metavar="TIME", help="24h, 7d, or 2026-11-23 14:30.")
@click.option("--to", "end", metavar="TIME", default="now", show_default=True)
@click.option("--cancel", is_flag=True, help="Call off what is left of a backfill.")
@click.option("--no-wait", is_flag=True, help="Only ask; do not watch.")
def backfill(
    vehicles: tuple[str, ...],
    every: bool,
    start: str | None,
    end: str,
    cancel: bool,
    no_wait: bool,
) -> int:
    """Have a past interval pulled again.

    Without --from it only watches. The daemon works on BACKFILL_CONCURRENCY vehicles at a time,
    beside their cycles. It goes on when this command is interrupted, and after a restart of its
    own. Rows that are stored already are not doubled, and no watermark moves.

    Exit code: 0 done, 1 a backfill was called off.
    """
    database = bootstrap.configured_database()
    chosen = database.run(lambda cursor: _chosen(cursor, vehicles, every))
    if cancel:
        count = database.run(lambda cursor: _cancel(cursor, chosen))
        click.echo(f"called off: {count} backfill(s); what was stored stays")
        return 0
    if start is not None:
        now = utc_now()
        window = Window(parse_time(start, now), parse_time(end, now))
        database.run(lambda cursor: _request(cursor, chosen, window))
        click.echo(f"asked for: {window} of {len(chosen)} vehicle(s)")
    _warn_without_daemon(database)
    return 0 if no_wait else _watch(database, chosen)


def _chosen(cursor: Cursor, names: Sequence[str], every: bool) -> list[RegisteredVehicle]:
    if every == bool(names):
        raise CommandError("name the vehicles, or say --all")
    return (
        vehicles.list_vehicles(cursor)
        if every
        else [vehicles.find_vehicle(cursor, name) for name in names]
    )


def _request(cursor: Cursor, chosen: Sequence[RegisteredVehicle], window: Window) -> None:
    for vehicle in chosen:
        wishes.request_backfill(cursor, vehicle.id, window)


def _cancel(cursor: Cursor, chosen: Sequence[RegisteredVehicle]) -> int:
    return sum(wishes.cancel_backfill(cursor, vehicle.id) for vehicle in chosen)


def _warn_without_daemon(database: Database) -> None:
    age = database.run(lambda cursor: replicas.newest_heartbeat_age(cursor, None))
    if age is None or age > replicas.FRESH_SEC:
        click.echo("no daemon is running: start one, it will begin with this", err=True)


def _watch(database: Database, chosen: Sequence[RegisteredVehicle]) -> int:
    """Show a progress bar until every backfill is finished or called off; return the exit code."""
    found = _look(database, chosen)
    if not any(found):
        raise CommandError("no backfill was asked for: say --from")
    with click.progressbar(
        range(STEPS), label="backfill", item_show_func=lambda _item: _fault(chosen, found)
    ) as bar:
        while not all(status is None or status.finished for status in found):
            bar.update(round(STEPS * _fraction(found)) - bar.pos)
            time.sleep(LOOK_SEC)
            found = _look(database, chosen)
        bar.update(STEPS - bar.pos)
    lines = [
        [
            vehicle.name,
            "called off" if status is None else "complete",
            "" if status is None else str(status.rows_added),
        ]
        for vehicle, status in zip(chosen, found, strict=True)
    ]
    click.echo(table(["VEHICLE", "BACKFILL", "ROWS ADDED"], lines))
    return 0 if all(found) else 1


def _look(database: Database, chosen: Sequence[RegisteredVehicle]) -> Statuses:
    ids = [vehicle.id for vehicle in chosen]
    found = database.run(lambda cursor: wishes.backfill_statuses(cursor, ids))
    return [found.get(vehicle_id) for vehicle_id in ids]


def _fraction(found: Statuses) -> float:
    return sum(1.0 if status is None else status.fraction for status in found) / len(found)


def _fault(chosen: Sequence[RegisteredVehicle], found: Statuses) -> str | None:
    """Return the first error that holds a backfill up at present."""
    for vehicle, status in zip(chosen, found, strict=True):
        if status is not None and status.last_error and not status.finished:
            return f"{vehicle.name}: {status.last_error}"
    return None
