"""`fleetsyncd vehicle ...`: register, change, sync and test vehicles."""

from collections.abc import Iterator, Sequence
from uuid import UUID

import click
import msgspec

from fleetsyncd import bootstrap, validation
from fleetsyncd.commands import (
    removed_vehicles,
    vehicle_csv,
    vehicle_machines,
    vehicle_maintenance,
    vehicle_set,
)
from fleetsyncd.commands.acting import act_on, present_action
from fleetsyncd.commands.input_files import key_file_option, read_key, read_text
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import (
    given_terms,
    json_option,
    port_type,
    tag_option,
    terms_options,
    which_argument,
    with_tag_option,
)
from fleetsyncd.commands.tables import table
from fleetsyncd.database import action_log, loading, sync_requests, vehicles
from fleetsyncd.database.action_log import Change
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import sync_interval
from fleetsyncd.database.views.fleet import vehicles_with_own_key
from fleetsyncd.database.views.lateness import overview_with_reasons
from fleetsyncd.database.views.traffic import with_traffic
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Vehicle
from fleetsyncd.states import VehicleOverview
from fleetsyncd.sync.identity import remark_on_name
from fleetsyncd.terms import NO_TERMS
from fleetsyncd.times import utc_now
from fleetsyncd.vehicle.probe import probe


class ListedVehicle(VehicleOverview, frozen=True, kw_only=True):
    """A vehicle as `vehicle list --json` prints it: `has_own_key`, or it uses the default key."""

    has_own_key: bool


def _listed(known: VehicleOverview, has_own_key: bool) -> ListedVehicle:
    return ListedVehicle(**msgspec.structs.asdict(known), has_own_key=has_own_key)


@click.group()
def vehicle() -> None:
    """Register, change, pause, mute, sync, test, remove and restore vehicles."""


for command in (
    removed_vehicles.remove,
    removed_vehicles.restore,
    removed_vehicles.purge_command,
    vehicle_machines.swap,
    vehicle_machines.accept,
    vehicle_set.set_vehicle,
    vehicle_maintenance.pause,
    vehicle_maintenance.resume,
    vehicle_maintenance.mute,
    vehicle_maintenance.unmute,
):
    vehicle.add_command(command)


@vehicle.command("list")
@click.option("--removed", is_flag=True, help="Those that were removed, and what they left.")
@with_tag_option
@json_option
def list_vehicles(removed: bool, tag: tuple[str, ...], as_json: bool) -> None:
    """List all vehicles with address, key, tags, id and terms of their own.

    KEY shows whether a vehicle has a key of its own; keys themselves are never shown.
    """
    if removed and tag:
        raise click.UsageError("--removed and --tag exclude each other")
    if removed:
        removed_vehicles.print_removed(as_json)
        return
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    interval = settings.sync_interval_sec
    vehicles = database.run(lambda c: with_traffic(c, overview_with_reasons(c, interval, tag)))
    own_key = database.run(vehicles_with_own_key)
    if as_json:
        print_list([_listed(known, known.id in own_key) for known in vehicles])
        return
    rows = [
        [
            known.name,
            known.address,
            "own" if known.id in own_key else "default",
            " ".join(known.tags) or "-",
            str(known.id),
        ]
        for known in vehicles
    ]
    header = ["VEHICLE", "ADDRESS", "KEY", "TAGS", "ID"]
    if any(known.terms for known in vehicles):
        header.append("TERMS")
        for row, known in zip(rows, vehicles, strict=True):
            row.append("-" if known.terms is None else known.terms.text)
    if any(known.maintenance for known in vehicles):
        header.append("MAINTENANCE")
        for row, known in zip(rows, vehicles, strict=True):
            row.append(known.maintenance or "-")
    click.echo(table(header, rows))


@vehicle.command()
@click.argument("name", required=False)
@click.argument("address", required=False)
@click.option("--port", type=port_type, help=f"[default: {validation.DEFAULT_PORT}]")
@key_file_option
@tag_option("--tag", "A tag for it, such as its site; may be given several times.")
@terms_options
@click.option(
    "--from-file",
    "path",
    type=click.Path(allow_dash=True, dir_okay=False),
    help="Register all vehicles of a CSV file, or none: its first line names the columns"
    " name,address[,port][,api_key][,tags][,interval][,timeout][,window][,gap_kbit]. - for standard"
    " input.",
)
@click.pass_context
def add(
    context: click.Context,
    /,
    name: str | None,
    address: str | None,
    port: int | None,
    key_file: str | None,
    tag: tuple[str, ...],
    path: str | None,
    **own: str | None,
) -> None:
    """Register a vehicle, or all of a file.

    NAME is its name, ADDRESS its IPv4 or IPv6 address in the VPN. LENGTH is in seconds, or 90s,
    10m, 1h.
    """
    if path is not None:
        if name or port or key_file or tag or any(own.values()):
            raise click.UsageError("--from-file goes with nothing else", context)
        _add_all(path)
        return
    if name is None or address is None:
        raise click.UsageError("NAME and ADDRESS are missing, or --from-file", context)
    new = (
        validation.parse_name(name),
        validation.parse_host(address),
        port or validation.DEFAULT_PORT,
    )
    key = read_key(key_file)
    terms = given_terms(**own).applied_to(NO_TERMS)
    action = present_action()
    settings = bootstrap.load_settings()

    def work(cursor: Cursor) -> UUID:
        vehicle_id = vehicles.add_vehicle(
            cursor, *new, key, tag, terms, default_sync_interval_sec=settings.sync_interval_sec
        )
        action_log.record_since(cursor, action, {}, [vehicle_id])
        return vehicle_id

    vehicle_id = bootstrap.open_database(settings).run(work)
    click.echo(f"added {new[0]} as {vehicle_id}: the daemon takes it in at its next cycle")


def _add_all(path: str) -> None:
    new_vehicles = vehicle_csv.parse_vehicles(read_text(path, "the vehicles"))
    action = present_action()
    settings = bootstrap.load_settings()

    def work(cursor: Cursor) -> None:
        least = sync_interval(cursor, settings.sync_interval_sec)
        vehicle_csv.raise_faults([*_taken(cursor, new_vehicles), *_odd_terms(new_vehicles, least)])
        added = [
            vehicles.add_vehicle(
                cursor,
                new.name,
                new.host,
                new.port,
                new.key,
                new.tags,
                new.terms,
                default_sync_interval_sec=settings.sync_interval_sec,
            )
            for new in new_vehicles
        ]
        action_log.record_since(cursor, action, {}, added)

    bootstrap.open_database(settings).run(work)
    click.echo(f"added {len(new_vehicles)} vehicle(s): the daemon takes them in at its next cycle")


def _odd_terms(
    new_vehicles: Sequence[vehicle_csv.NewVehicle], sync_interval_sec: float
) -> Iterator[str]:
    """Yield the faults of the lines whose terms cannot go together."""
    for new in new_vehicles:
        try:
            new.terms.check(sync_interval_sec)
        except CommandError as error:
            yield f"line {new.line}: {error}"


def _taken(cursor: Cursor, new_vehicles: Sequence[vehicle_csv.NewVehicle]) -> list[str]:
    """Return the faults of the lines whose name or address is registered already."""
    names = vehicles.taken_names(cursor, [new.name for new in new_vehicles])
    addresses = vehicles.taken_addresses(cursor, [(new.host, new.port) for new in new_vehicles])
    faults = []
    for new in new_vehicles:
        if new.name in names:
            faults.append(f"line {new.line}: {vehicles.name_taken(new.name)}")
        if (new.host, new.port) in addresses:
            where = f"{new.host} port {new.port}"
            faults.append(f"line {new.line}: a vehicle at {where} is registered already")
    return faults


@vehicle.command()
@which_argument
def sync(which: str) -> None:
    """Have a vehicle synced now.

    WHICH is its name or id. A running daemon begins within 2 s.
    """
    action = present_action()

    def request(cursor: Cursor, known: vehicles.RegisteredVehicle) -> None:
        sync_requests.request_sync(cursor, known.id)
        action_log.record(cursor, action, [Change(known.id, after={"sync": "requested"})])

    known = act_on(which, request)
    click.echo(f"requested a sync of {known.name}")


@vehicle.command()
@which_argument
@json_option
def test(which: str, as_json: bool) -> int:
    """Try a vehicle's four calls.

    WHICH is its name or id. A machine of which cycles store nothing, because it is that of another
    vehicle, fails as well. Exit code: 0 all went well, 1 one failed.
    """
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    known = database.run(lambda cursor: _find(cursor, which))
    client = bootstrap.vehicle_client(settings, known)
    verdicts = probe(
        client, utc_now, lambda status: remark_on_name(database, known, status.id_hint)
    )
    client.close()
    if as_json:
        print_list([verdict.result for verdict in verdicts])
    else:
        rows = [["ok" if each.good else "FAILED", each.call, each.text] for each in verdicts]
        click.echo(table(["", "CALL", f"{known.name} AT {known.host} PORT {known.port}"], rows))
    return 0 if all(verdict.good for verdict in verdicts) else 1


def _find(cursor: Cursor, which: str) -> Vehicle:
    """Return a vehicle as cycles know it; raise CommandError if there is none or several."""
    registered = vehicles.find_vehicle(cursor, which)
    for known in loading.load_vehicles(cursor, only=[registered.id]):
        return known
    raise CommandError(f"{registered.name} was removed meanwhile")
