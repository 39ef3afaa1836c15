"""`fleetsyncd vehicle set`: change what a vehicle is registered with, and its own terms."""

from dataclasses import replace
from uuid import UUID

import click

from fleetsyncd import bootstrap, validation
from fleetsyncd.commands.acting import act_on, present_action
from fleetsyncd.commands.input_files import key_file_option, read_key
from fleetsyncd.commands.parameters import (
    complete_name,
    given_terms,
    port_type,
    tag_option,
    terms_options,
)
from fleetsyncd.database import bulk_edits, vehicle_changes, vehicle_tags, vehicles
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import UNCHANGED, TermsChange
from fleetsyncd.text import counted


@click.command("set")
@click.argument("which", required=False, shell_complete=complete_name)
@click.option("--name", help="New name.")
@click.option("--address", help="New VPN address.")
@click.option("--port", type=port_type, help="New port.")
@key_file_option
@click.option("--no-key", is_flag=True, help="Use VEHICLE_DEFAULT_API_KEY from now on.")
@tag_option(
    "--tag",
    "Add a tag; may be given several times. Without WHICH: the vehicles that have one of these tags"
    " now, to set their terms.",
)
@tag_option("--untag", "Remove a tag; may be given several times.")
@terms_options
@click.pass_context
def set_vehicle(
    context: click.Context,
    /,
    which: str | None,
    name: str | None,
    address: str | None,
    port: int | None,
    key_file: str | None,
    no_key: bool,
    tag: tuple[str, ...],
    untag: tuple[str, ...],
    **own: str | None,
) -> None:
    """Change a vehicle's name, address, key, tags or own terms.

    WHICH is its name or id. Its terms (--interval, --timeout, --window, --gap-kbit) count in place
    of the settings; "default" takes one back. LENGTH is in seconds, or 90s, 10m, 1h.
    """
    if no_key and key_file:
        raise CommandError("--key-file and --no-key exclude each other")
    if both := {*tag} & {*untag}:
        raise CommandError(f"--tag and --untag exclude each other: {', '.join(sorted(both))}")
    terms = given_terms(**own)
    new = VehicleChange(
        name=None if name is None else validation.parse_name(name),
        host=None if address is None else validation.parse_host(address),
        port=port,
        key=read_key(key_file),
        drop_key=no_key,
        remove_tags=untag,
        terms=terms,
    )
    if which is None:
        if not tag:
            raise click.UsageError("WHICH is missing, or --tag with terms to set", context)
        if terms == UNCHANGED or new != VehicleChange(terms=terms):
            raise click.UsageError("without WHICH, --tag goes with terms alone", context)
        _set_tagged(tag, terms)
        return
    new = replace(new, add_tags=tag)
    if new == VehicleChange():
        raise CommandError("nothing to change: see `fleetsyncd vehicle set --help`")
    _set_one(which, new)


def _set_one(which: str, new: VehicleChange) -> None:
    lacked: list[str] = []
    untag = new.remove_tags
    interval = bootstrap.load_settings().sync_interval_sec

    def change(cursor: Cursor, known: RegisteredVehicle) -> None:
        lacked[:] = vehicle_tags.lacked_tags(cursor, known.id, untag)
        vehicle_changes.change_vehicle(cursor, known.id, new, interval)

    known = act_on(which, change)
    for tag_name in lacked:
        click.echo(f"{known.name} has no tag {tag_name}")
    had = tuple(each for each in untag if each not in lacked)
    if replace(new, remove_tags=had) != VehicleChange():
        click.echo(f"changed {known.name}")


def _set_tagged(tags: tuple[str, ...], terms: TermsChange) -> None:
    """Set the terms of every vehicle that has one of the tags now."""
    settings = bootstrap.load_settings()

    def read(cursor: Cursor) -> dict[UUID, str]:
        ids = vehicle_tags.vehicles_with(cursor, tags)
        return {known.id: known.name for known in vehicles.read_registered(cursor, ids)}

    database = bootstrap.open_database(settings)
    names = database.run(read)
    if not names:
        raise CommandError(f"no vehicle has the tag {' or '.join(tags)}: nothing was changed")
    least = settings.sync_interval_sec
    changed = bulk_edits.set_terms(database, names, terms, present_action(), least)
    click.echo(f"changed {counted(changed, 'vehicle')}")
