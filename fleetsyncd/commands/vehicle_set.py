"""`fleetsyncd vehicle set`: change what a vehicle is registered with, and its own terms."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

import click

from fleetsyncd import bootstrap, validation
from fleetsyncd.commands.acting import act_on, present_action
from fleetsyncd.commands.input_files import key_file_option, read_key
from fleetsyncd.commands.parameters import complete_name, port_type, tag_option
from fleetsyncd.database import vehicle_tags, vehicle_terms, vehicles
from fleetsyncd.database.action_log import recorded
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicles import RegisteredVehicle, VehicleChange
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import TermsChange, parse_change
from fleetsyncd.text import counted

Command = TypeVar("Command", bound=Callable[..., Any])
_NOTHING = "nothing to change: see `fleetsyncd vehicle set --help`"


def terms_options(command: Command) -> Command:
    """Add the options that set a vehicle's own terms."""
    for option in (
        click.option("--gap-kbit", metavar="RATE", help="Most that the pull of a gap takes of its"
                     " link, in kilobits in a second, such as 256."),
        click.option("--window", metavar="LENGTH", help="Most of its time that one request asks"
                     " for, and its first pull: 2m."),
        click.option("--timeout", metavar="LENGTH", help="In place of PULL_TIMEOUT_SEC: 30."),
        click.option("--interval", metavar="LENGTH", help="Time between its cycles, if longer than"
                     " SYNC_INTERVAL_SEC: 10m."),
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to change of a vehicle's registration, and of its terms."""

    registration: VehicleChange
    terms: TermsChange
    sync_interval_sec: float

    def carry_out(self, cursor: Cursor, vehicle_id: UUID) -> None:
        """Change the vehicle; raise CommandError."""
        if self.registration != VehicleChange():
            vehicles.change_vehicle(cursor, vehicle_id, self.registration)
        if self.terms != TermsChange():
            vehicle_terms.change_terms(cursor, vehicle_id, self.terms, self.sync_interval_sec)


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
    which: str | None,
    name: str | None,
    address: str | None,
    port: int | None,
    key_file: str | None,
    no_key: bool,
    tag: tuple[str, ...],
    untag: tuple[str, ...],
    interval: str | None,
    timeout: str | None,
    window: str | None,
    gap_kbit: str | None,
) -> None:
    """Change a vehicle's name, address, key, tags or own terms.

    WHICH is its name or id. Its terms (--interval, --timeout, --window, --gap-kbit) count in place
    of the settings; "default" takes one back. LENGTH is in seconds, or 90s, 10m, 1h.
    """
    if no_key and key_file:
        raise CommandError("--key-file and --no-key exclude each other")
    if both := {*tag} & {*untag}:
        raise CommandError(f"--tag and --untag exclude each other: {', '.join(sorted(both))}")
    terms = parse_change(
        interval_sec=interval, timeout_sec=timeout, window_sec=window, gap_kbit=gap_kbit
    )
    new = VehicleChange(
        name=None if name is None else validation.parse_name(name),
        host=None if address is None else validation.parse_host(address),
        port=port,
        key=read_key(key_file),
        drop_key=no_key,
        remove_tags=untag,
    )
    if which is None:
        if not tag:
            raise click.UsageError("WHICH is missing, or --tag with terms to set", context)
        if new != VehicleChange() or terms == TermsChange():
            raise click.UsageError("without WHICH, --tag goes with terms alone", context)
        _set_tagged(tag, terms)
        return
    new = replace(new, add_tags=tag)
    if new == VehicleChange() and terms == TermsChange():
        raise CommandError(_NOTHING)
    _set_one(which, _Wanted(new, terms, bootstrap.load_settings().sync_interval_sec))


def _set_one(which: str, wanted: _Wanted) -> None:
    lacked: list[str] = []
    untag = wanted.registration.remove_tags

    def change(cursor: Cursor, known: RegisteredVehicle) -> None:
        lacked[:] = vehicle_tags.lacked_tags(cursor, known.id, untag)
        wanted.carry_out(cursor, known.id)

    known = act_on(which, change)
    for tag_name in lacked:
        click.echo(f"{known.name} has no tag {tag_name}")
    had = tuple(each for each in untag if each not in lacked)
    rest = replace(wanted.registration, remove_tags=had)
    if rest != VehicleChange() or wanted.terms != TermsChange():
        click.echo(f"changed {known.name}")


def _set_tagged(tags: tuple[str, ...], terms: TermsChange) -> None:
    """Set the terms of every vehicle that has one of the tags now, or of none."""
    settings = bootstrap.load_settings()
    action = present_action()

    def work(cursor: Cursor) -> int:
        ids = vehicle_tags.vehicles_with(cursor, tags)
        if not ids:
            raise CommandError(f"no vehicle has the tag {' or '.join(tags)}: nothing was changed")
        with recorded(cursor, action, ids):
            for known in vehicles.read_registered(cursor, ids):
                try:
                    vehicle_terms.change_terms(cursor, known.id, terms, settings.sync_interval_sec)
                except CommandError as error:
                    raise CommandError(f"{known.name}: {error}: nothing was changed") from None
        return len(ids)

    changed = bootstrap.open_database(settings).run(work)
    click.echo(f"changed {counted(changed, 'vehicle')}")
