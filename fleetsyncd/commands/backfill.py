"""`fleetsyncd backfill`: request that a past interval is pulled again, and watch the progress."""

import time
from collections.abc import Sequence

import click

from fleetsyncd import bootstrap
from fleetsyncd.cells import cut
from fleetsyncd.commands.tables import table
from fleetsyncd.database import backfills, replicas
from fleetsyncd.database import vehicles as registry
from fleetsyncd.database.backfills import BackfillStatus
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import MAX_AGE, backfill_window
from fleetsyncd.times import utc_now

REFRESH_SEC = 1.0
STEPS = 1000
ERROR_CELLS = 100
"""A longer error would wrap, and the bar could not be drawn over itself."""
Statuses = list[BackfillStatus | None]


@click.command()
@click.argument("vehicles", nargs=-1, metavar="[VEHICLE]...")
@click.option("--all", "all_vehicles", is_flag=True, help="Every vehicle of the fleet.")
@click.option(
    "--from",
    "start",
    metavar="TIME",
    help=f"24h, 7d, or 2026-11-23 14:30; up to {MAX_AGE.days} days ago.",
)
@click.option("--to", "end", metavar="TIME", default="now", show_default=True)
@click.option("--cancel", is_flag=True, help="Cancel the rest of a backfill.")
@click.option("--no-wait", is_flag=True, help="Only request it; do not watch.")
def backfill(
    vehicles: tuple[str, ...],
    all_vehicles: bool,
    start: str | None,
    end: str,
    cancel: bool,
    no_wait: bool,
) -> int:
    """Have a past interval pulled again.

    Without --from it only watches. The daemon pulls BACKFILL_CONCURRENCY vehicles at a time, beside
    their cycles. It goes on when this command is interrupted, and after its own restart. Rows that
    are stored already are not doubled, and no watermark moves.

    Exit code: 0 done, 1 a backfill was cancelled.
    """
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    chosen = database.run(
        lambda cursor: registry.find_vehicles(cursor, vehicles, all_vehicles=all_vehicles)
    )
    if cancel:
        count = database.run(lambda cursor: _cancel(cursor, chosen))
        click.echo(f"cancelled: {count} backfill(s); stored rows stay")
        return 0
    if start is not None:
        window = backfill_window(start, end, utc_now(), settings.measurements_keep_months)
        database.run(lambda cursor: _request(cursor, chosen, window))
        click.echo(f"requested: {window} of {len(chosen)} vehicle(s)")
    _warn_without_daemon(database)
    return 0 if no_wait else _watch(database, chosen)


def _request(cursor: Cursor, chosen: Sequence[RegisteredVehicle], window: Window) -> None:
    for vehicle in chosen:
        backfills.request_backfill(cursor, vehicle.id, window)


def _cancel(cursor: Cursor, chosen: Sequence[RegisteredVehicle]) -> int:
    return sum(backfills.cancel_backfill(cursor, vehicle.id) for vehicle in chosen)


def _warn_without_daemon(database: Database) -> None:
    age = database.run(lambda cursor: replicas.newest_heartbeat_age(cursor, None))
    if age is None or age > replicas.FRESH_SEC:
        click.echo("no daemon is running: the backfill starts with the next one", err=True)


def _watch(database: Database, chosen: Sequence[RegisteredVehicle]) -> int:
    """Show a progress bar until every backfill is finished or cancelled; return the exit code."""
    statuses = _read_statuses(database, chosen)
    if not any(statuses):
        raise CommandError("no backfill is requested: give --from")
    with click.progressbar(
        range(STEPS), label="backfill", item_show_func=lambda _item: _first_error(chosen, statuses)
    ) as bar:
        while not all(status is None or status.finished for status in statuses):
            bar.update(round(STEPS * _fraction(statuses)) - bar.pos)
            time.sleep(REFRESH_SEC)
            statuses = _read_statuses(database, chosen)
        bar.update(STEPS - bar.pos)
    lines = [
        [
            vehicle.name,
            "cancelled" if status is None else "complete",
            "" if status is None else str(status.rows_added),
        ]
        for vehicle, status in zip(chosen, statuses, strict=True)
    ]
    click.echo(table(["VEHICLE", "BACKFILL", "ROWS ADDED"], lines))
    return 0 if all(statuses) else 1


def _read_statuses(database: Database, chosen: Sequence[RegisteredVehicle]) -> Statuses:
    ids = [vehicle.id for vehicle in chosen]
    known = database.run(lambda cursor: backfills.backfill_statuses(cursor, ids))
    return [known.get(vehicle_id) for vehicle_id in ids]


def _fraction(statuses: Statuses) -> float:
    return sum(1.0 if status is None else status.fraction for status in statuses) / len(statuses)


def _first_error(chosen: Sequence[RegisteredVehicle], statuses: Statuses) -> str | None:
    """Return the first error because of which a backfill makes no progress at present."""
    for vehicle, status in zip(chosen, statuses, strict=True):
        if status is not None and status.last_error and not status.finished:
            return cut(sanitise(f"{vehicle.name}: {status.last_error}"), ERROR_CELLS)
    return None
