"""`fleetsyncd access ...`: which user of the other services may see which vehicle."""

from uuid import UUID

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import complete_name, json_option
from fleetsyncd.commands.tables import table
from fleetsyncd.database import access, vehicles
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor

_user = click.argument("user", type=click.UUID)
_vehicles = click.argument("names", nargs=-1, metavar="[VEHICLE]...", shell_complete=complete_name)


@click.group("access")
def access_group() -> None:
    """Say which user may see which vehicle.

    The table vehicle_access decides it for services that work under row level security. To be
    changed as the tables' owner: the daemon's role may only read it.
    """


@access_group.command("list")
@click.option("--user", type=click.UUID, help="Only what this user may see.")
@json_option
def list_command(user: UUID | None, as_json: bool) -> None:
    """List who may see which vehicle."""
    entries = bootstrap.configured_database().run(lambda c: access.list_access(c, user))
    if as_json:
        print_list(entries)
        return
    rows = [[str(each.user_id), each.vehicle or "-", str(each.vehicle_id)] for each in entries]
    click.echo(table(["USER", "VEHICLE", "ID"], rows))


@access_group.command()
@_user
@_vehicles
@click.option("--all", "all_vehicles", is_flag=True, help="Every vehicle of the fleet.")
def grant(user: UUID, names: tuple[str, ...], all_vehicles: bool) -> None:
    """Let a user see vehicles.

    USER is the user's id, a UUID; VEHICLE a name or id. Vehicles that are registered later have to
    be granted then.
    """
    action = present_action()

    def work(cursor: Cursor) -> int:
        chosen = vehicles.find_vehicles(cursor, names, all_vehicles=all_vehicles)
        granted = access.grant(cursor, user, [vehicle.id for vehicle in chosen])
        record(cursor, action, [Change(key, after={"seen_by": str(user)}) for key in granted])
        return len(granted)

    count = bootstrap.configured_database().run(work)
    click.echo(f"granted: {user} sees {count} vehicle(s) more")


@access_group.command()
@_user
@_vehicles
@click.option("--all", "all_vehicles", is_flag=True, help="Everything that the user may see.")
def revoke(user: UUID, names: tuple[str, ...], all_vehicles: bool) -> None:
    """Hide vehicles from a user.

    USER is the user's id, a UUID; VEHICLE a name or id.
    """
    action = present_action()

    def work(cursor: Cursor) -> int:
        if all_vehicles and not names:
            # Also vehicles that are gone: without a foreign key their rows stay.
            chosen = [entry.vehicle_id for entry in access.list_access(cursor, user)]
        else:
            found = vehicles.find_vehicles(cursor, names, all_vehicles=all_vehicles)
            chosen = [vehicle.id for vehicle in found]
        revoked = access.revoke(cursor, user, chosen)
        record(cursor, action, [Change(key, before={"seen_by": str(user)}) for key in revoked])
        return len(revoked)

    count = bootstrap.configured_database().run(work)
    click.echo(f"revoked: {user} sees {count} vehicle(s) fewer")
