"""`fleetsyncd demo` and `fleetsyncd simulate`."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from gevent.hub import get_hub

from fleetsyncd import bootstrap
from fleetsyncd.commands.tables import table
from fleetsyncd.database import sync_requests, vehicles
from fleetsyncd.database.pool import Cursor
from fleetsyncd.demo.fleet import Fleet, demo_specs
from fleetsyncd.errors import CommandError
from fleetsyncd.signals import EndedBySignal

FOLDER = Path(".demo")

_late = click.option(
    "--late",
    type=click.IntRange(0, 3600),
    multiple=True,
    help="Seconds; the last vehicle commits rows up to so late. May be repeated: one more each.",
)


@click.command()
@click.option("--vehicles", type=click.IntRange(1, 20_000), default=12, show_default=True)
@click.option("--interval", type=click.FloatRange(1), default=5, show_default=True, help="Seconds.")
@click.option(
    "--cycles", type=click.IntRange(1, 1_000_000), help="End after so many cycles and compare."
)
@click.option("--headless", is_flag=True, help="Print the daemon's log, whatever the terminal.")
@click.option("--citus", is_flag=True, help="On a cluster; POSTGRES_BIN has Citus in it.")
@_late
def demo(
    vehicles: int,
    interval: float,
    cycles: int | None,
    headless: bool,
    citus: bool,
    late: tuple[int, ...],
) -> int:
    """Show everything at once, on this machine alone.

    PostgreSQL, a simulated fleet with faults, the daemon and the dashboard need no set-up.
    Without a terminal, or with --headless, the daemon's log is printed instead of the dashboard.
    Quitting the dashboard ends it all. At the end the database is compared with what the vehicles
    generated: exit 1 unless nothing was lost, altered or unexpected.
    """
    _enough(vehicles, late)
    from fleetsyncd.demo.launch import run_demo  # noqa: PLC0415  needs development dependencies

    dashboard = not headless and sys.stdin.isatty() and sys.stdout.isatty()
    return run_demo(
        FOLDER,
        vehicles=vehicles,
        interval=interval,
        cycles=cycles,
        dashboard=dashboard,
        citus=citus,
        late=late,
    )


@click.command()
@click.option("--vehicles", type=click.IntRange(1, 20_000), default=12, show_default=True)
@click.option("--base-port", type=click.IntRange(0, 65535), default=0, help="0: any free ports.")
@click.option("--channels", type=click.IntRange(1, 18), default=18, show_default=True)
@click.option("--healthy", is_flag=True, help="No faults.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line, then serve.")
@click.option("--register", is_flag=True, help="Register the vehicles that are not there yet.")
@_late
def simulate(
    vehicles: int,
    base_port: int,
    channels: int,
    healthy: bool,
    as_json: bool,
    register: bool,
    late: tuple[int, ...],
) -> None:
    """Serve a simulated fleet, to try a daemon on.

    On 127.0.0.1, until interrupted.
    """
    _enough(vehicles, late)
    specs = demo_specs(vehicles, with_faults=not healthy, begin=time.time(), late=late)
    served = Fleet([spec.build(channels=channels) for spec in specs], base_port=base_port)
    try:
        served.start()
    except OSError as error:
        raise CommandError(f"the vehicles cannot listen: {error.strerror}") from error
    known = [
        {"name": spec.name, "host": host, "port": port, "key": spec.key}
        for spec, (host, port) in zip(specs, served.addresses, strict=True)
    ]
    if register:
        _register(known)
    if as_json:
        click.echo(json.dumps(known))
    else:
        rows = [[str(value) for value in vehicle.values()] for vehicle in known]
        click.echo(table(["NAME", "HOST", "PORT", "KEY"], rows))
    with suppress(KeyboardInterrupt, EndedBySignal):
        get_hub().join()
    served.stop()


def _enough(vehicles: int, late: tuple[int, ...]) -> None:
    if len(late) > vehicles:
        raise click.UsageError(f"--late was given {len(late)} times for {vehicles} vehicle(s)")


def _register(known: list[dict[str, Any]]) -> None:
    """Register the vehicles whose address is not registered yet; have all of them pulled at once.

    A daemon that runs already would ask new ones in its next cycle only, and may have asked those
    of an earlier run before they listened.
    """
    addresses = [(each["host"], each["port"]) for each in known]

    def work(cursor: Cursor) -> None:
        taken = vehicles.taken_addresses(cursor, addresses)
        for new in known:
            if (new["host"], new["port"]) not in taken:
                vehicles.add_vehicle(cursor, new["name"], new["host"], new["port"], new["key"])
        for vehicle in vehicles.list_vehicles(cursor):
            if (vehicle.host, vehicle.port) in addresses:
                with suppress(CommandError):  # a paused one stays paused
                    sync_requests.request_sync(cursor, vehicle.id)

    bootstrap.configured_database().run(work)
