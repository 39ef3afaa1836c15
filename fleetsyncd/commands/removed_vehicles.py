"""`fleetsyncd vehicle remove/restore/purge`, and the list of removed vehicles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import click

from fleetsyncd import bootstrap, validation
from fleetsyncd.actions import Action
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.input_files import key_file_option, read_key
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import port_type, which_argument
from fleetsyncd.commands.questions import confirm
from fleetsyncd.commands.tables import table_lines
from fleetsyncd.database import (
    action_log,
    leftovers,
    purge,
    removal,
    removed_vehicles,
    restoration,
    vehicles,
)
from fleetsyncd.database.leftovers import Leftover
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.purge import PurgeProgress
from fleetsyncd.database.removed_vehicles import Ends, RemovedVehicle
from fleetsyncd.database.restoration import NewRegistration
from fleetsyncd.database.views import estimates
from fleetsyncd.database.views.estimates import Count
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.times import ZonedTime, iso_ms

STEPS = 1000
HEADER = ["VEHICLE", "ADDRESS", "REMOVED", "MEASUREMENTS", "FIRST", "LAST", "ID"]
_A_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_WIDEST = (Count(999_999_999_999, exact=False), Ends(_A_TIME, _A_TIME))
"""Stands in a line of the list for what is not read yet."""
DISK_SPACE = (
    "new rows use their space once it is vacuumed, which PostgreSQL does by itself; the file system"
    " gets it back when their month is dropped (MEASUREMENTS_KEEP_MONTHS), or by VACUUM FULL"
)


@dataclass(frozen=True, slots=True)
class ListedLeftover:
    """A removed vehicle as `vehicle list --removed --json` prints it; null: not known."""

    id: UUID
    name: str | None
    address: str | None
    removed_at: ZonedTime | None
    last_sync_at: ZonedTime | None
    measurements: int
    exact: bool
    at_least: bool
    first_at: ZonedTime | None
    last_at: ZonedTime | None
    being_purged: bool


def _complete_removed(_context: click.Context, _argument: click.Parameter, start: str) -> list[str]:
    """Return the names and ids that begin so; none without a database."""
    try:
        known = bootstrap.configured_database().run(removed_vehicles.recorded)
    except FleetsyncError:
        return []
    return [vehicle.label for vehicle in known if vehicle.label.startswith(start)]


_removed_argument = click.argument("which", shell_complete=_complete_removed)


def print_removed(as_json: bool) -> None:
    """Print the removed vehicles and what they left."""
    database = bootstrap.configured_database()
    everyone = database.run(leftovers.find_all)
    left = leftovers.read_each(database, everyone)
    if as_json:
        print_list([_listed(each) for each in left])
        return
    expected = [_line(Leftover(vehicle, *_WIDEST)) for vehicle in everyone]
    for line in table_lines(HEADER, expected, map(_line, left)):
        click.echo(line)


def _line(each: Leftover) -> list[str]:
    vehicle, extent = each.vehicle, each.extent
    count = each.measurements.text
    return [
        vehicle.name or "-",
        vehicle.address or "-",
        _moment(vehicle.removed_at),
        count if vehicle.purged_until is None else f"{count}, being purged",
        _moment(None if extent is None else extent.first),
        _moment(None if extent is None else extent.last),
        str(vehicle.id),
    ]


def _moment(at: datetime | None) -> str:
    return "-" if at is None else iso_ms(at)


def _listed(each: Leftover) -> ListedLeftover:
    vehicle, extent = each.vehicle, each.extent
    return ListedLeftover(
        id=vehicle.id,
        name=vehicle.name,
        address=vehicle.address,
        removed_at=vehicle.removed_at,
        last_sync_at=vehicle.watermark,
        measurements=each.measurements.rows,
        exact=each.measurements.exact,
        at_least=each.measurements.at_least,
        first_at=None if extent is None else extent.first,
        last_at=None if extent is None else extent.last,
        being_purged=vehicle.purged_until is not None,
    )


@click.command()
@which_argument
@click.option("--with-measurements", is_flag=True, help="Delete its measurements as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(which: str, with_measurements: bool, yes: bool) -> None:
    """Remove a vehicle from the fleet.

    WHICH is its name or id. Its journal, alarms, channels and API key go with it. Its measurements
    stay, so that `vehicle restore` can give it back; `vehicle purge` deletes them.
    """
    settings = bootstrap.load_settings()
    known = bootstrap.open_database(settings).run(
        lambda cursor: vehicles.find_vehicle(cursor, which)
    )
    if not yes:
        extent = "and all its measurements" if with_measurements else "but keep its measurements"
        where = f"id {known.id}, {known.host} port {known.port}"
        confirm(f"Remove {known.name} ({where}) {extent}?")
    database = bootstrap.open_any_database(settings, transaction_sec=removal.REMOVAL_SEC)
    (removed,) = removal.remove_seen(
        database, [known], with_measurements=with_measurements, action=present_action()
    )
    click.echo(f"removed {known.name}, id {known.id}")
    if removed.users:
        click.echo(f"users who see it no more: {', '.join(map(str, removed.users))}")
    if not with_measurements:
        click.echo(
            f"to give it back: `fleetsyncd vehicle restore {known.id}`; to delete its"
            f" measurements: `fleetsyncd vehicle purge {known.id}`"
        )
        return
    if removed.measurements_left:
        left = database.run(lambda c: removed_vehicles.find_removed(c, str(known.id)))
        _purge(database, left)
    else:
        click.echo(_deleted(removed.measurements_removed))


@click.command()
@_removed_argument
@click.option("--name", help="Another name than before.")
@click.option("--address", help="Another VPN address.")
@click.option("--port", type=port_type, help="Another port.")
@key_file_option
def restore(
    which: str, name: str | None, address: str | None, port: int | None, key_file: str | None
) -> None:
    """Give a removed vehicle back to the fleet.

    WHICH is its name or id, see `vehicle list --removed`. It has its id, name, address and
    measurements again, and is pulled from where it stopped. Its journal, alarms and API key were
    not kept.
    """
    new = NewRegistration(
        name=None if name is None else validation.parse_name(name),
        host=None if address is None else validation.parse_host(address),
        port=port,
        key=read_key(key_file),
    )
    database = bootstrap.configured_database()
    before = database.run(lambda cursor: removed_vehicles.find_removed(cursor, which))
    action = present_action()

    def work(cursor: Cursor) -> RemovedVehicle:
        vehicle = restoration.restore(cursor, before, new)
        action_log.record_since(cursor, action, {}, [vehicle.id])
        return vehicle

    vehicle = database.run(work)
    since = "" if vehicle.watermark is None else f" from {iso_ms(vehicle.watermark)} on"
    click.echo(f"restored {vehicle.label}: the daemon pulls it{since}, beginning at its next cycle")
    for line in _left_to_do(vehicle, new):
        click.echo(line)


def _left_to_do(vehicle: RemovedVehicle, new: NewRegistration) -> Sequence[str]:
    """Return what the operator may want to do next, a line each."""
    key = vehicle.id  # a name may look like an option, or not be shown as it is stored
    lines = []
    if vehicle.paused:
        lines.append(f"it is paused, as it was: `fleetsyncd vehicle resume {key}`")
    if vehicle.had_own_key and new.key is None:
        lines.append(
            "its own API key was not kept, VEHICLE_DEFAULT_API_KEY is used:"
            f" `fleetsyncd vehicle set {key} --key-file FILE`"
        )
    if vehicle.purged_until is not None:
        lines.append("a part of its measurements was deleted before")
    return lines + [
        f"as the tables' owner, to let its user see it: `fleetsyncd access grant {user} {key}`"
        for user in vehicle.users
    ]


@click.command("purge")
@_removed_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_command(which: str, yes: bool) -> None:
    """Delete what a removed vehicle left, for good.

    WHICH is its name or id, see `vehicle list --removed`. Its measurements are deleted in batches,
    the oldest first; if it is interrupted, run it again. The daemon goes on meanwhile.
    """
    database = bootstrap.configured_database()
    vehicle = database.run(lambda cursor: removed_vehicles.find_removed(cursor, which))
    if not yes:
        left = database.run(lambda c: leftovers.count_left(c, vehicle, estimates.EXACT_UP_TO))
        confirm(f"Delete {left.text} measurements of {vehicle.label} for good?")
    _purge(database, vehicle, present_action())


def _purge(database: Database, vehicle: RemovedVehicle, action: Action | None = None) -> None:
    """Purge with a progress bar."""
    click.echo(
        "deleting its measurements; if this is interrupted,"
        f" `fleetsyncd vehicle purge {vehicle.id}` deletes the rest"
    )
    with click.progressbar(length=STEPS, label="purge") as bar:

        def show(progress: PurgeProgress) -> None:
            bar.update(round(STEPS * progress.fraction) - bar.pos)

        count = purge.purge(database, vehicle, show, action)
    click.echo(_deleted(count))


def _deleted(count: int) -> str:
    return f"deleted {count:,} measurements" + (f": {DISK_SPACE}" if count else "")
