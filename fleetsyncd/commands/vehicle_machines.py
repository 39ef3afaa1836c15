"""`fleetsyncd vehicle swap/accept`: say which machine is which vehicle."""

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.parameters import complete_name
from fleetsyncd.database import machines, vehicles
from fleetsyncd.database.action_log import recorded
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicles import RegisteredVehicle


@click.command()
@click.argument("first", shell_complete=complete_name)
@click.argument("second", shell_complete=complete_name)
def swap(first: str, second: str) -> None:
    """Exchange the machines of two vehicles.

    FIRST and SECOND are names or ids. Address, port and key change places; each vehicle keeps its
    name, its history, and the moment up to which it is pulled. What is stored already stays where
    it is.
    """
    database = bootstrap.configured_database()
    pair = database.run(
        lambda c: (vehicles.find_vehicle(c, first), vehicles.find_vehicle(c, second))
    )
    action = present_action()

    def work(cursor: Cursor) -> None:
        with recorded(cursor, action, [vehicle.id for vehicle in pair]):
            machines.swap(cursor, *pair)

    database.run(work)
    for vehicle, other in (pair, pair[::-1]):
        click.echo(f"{vehicle.name} is at {other.host} port {other.port} from now on")


@click.command()
@click.argument("names", nargs=-1, metavar="[VEHICLE]...", shell_complete=complete_name)
@click.option("--all", "all_vehicles", is_flag=True, help="Every vehicle of the fleet.")
def accept(names: tuple[str, ...], all_vehicles: bool) -> None:
    """Accept the machines that answer for vehicles by now.

    VEHICLE is a name or id. For a vehicle that calls itself otherwise than before: its machine was
    replaced, or its software renamed it.
    """
    action = present_action()

    def work(cursor: Cursor) -> list[tuple[RegisteredVehicle, str | None]]:
        chosen = vehicles.find_vehicles(cursor, names, all_vehicles=all_vehicles)
        with recorded(cursor, action, [vehicle.id for vehicle in chosen]):
            return [(vehicle, machines.accept(cursor, vehicle.id)) for vehicle in chosen]

    results = bootstrap.configured_database().run(work)
    accepted = [(vehicle.name, hint) for vehicle, hint in results if hint is not None]
    for name, hint in accepted:
        click.echo(f"accepted {name}: it calls itself {hint}")
    if len(accepted) < len(results):
        click.echo(f"nothing to accept of {len(results) - len(accepted)} vehicle(s)")
