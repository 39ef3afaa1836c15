"""`fleetsyncd status` and `fleetsyncd health`: the state of the fleet and of its daemons."""

import json

import click
import msgspec

from fleetsyncd import bootstrap
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.commands.tables import fleet_table
from fleetsyncd.database import replicas
from fleetsyncd.database.views.fleet import fleet_overview


@click.command()
@click.option("--any-host", is_flag=True, help="Accept a daemon on any host, not only this one.")
def health(any_host: bool) -> int:
    """Tell whether a daemon is alive.

    Exit code: 0 while a daemon on this host shows a fresh heartbeat in the database, else 1.
    """
    database = bootstrap.configured_database()
    host = None if any_host else replicas.this_host()
    age = database.run(lambda cursor: replicas.newest_heartbeat_age(cursor, host))
    if age is None:
        click.echo("no daemon has shown a heartbeat")
        return EXIT_FAILED
    fresh = age < replicas.FRESH_SEC
    click.echo(f"{'healthy' if fresh else 'stale'}: last heartbeat {age:.0f} s ago")
    return 0 if fresh else EXIT_FAILED


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def status(as_json: bool) -> None:
    """Show every vehicle's state, ages, rows and last error.

    SEEN is the time since the vehicle answered, LAG the age of the watermark, DATA the age of
    the newest measurement; ROWS are those of the last cycle.
    """
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    vehicles = database.run(lambda cursor: fleet_overview(cursor, settings.sync_interval_sec))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(vehicles), indent=2))
    else:
        click.echo(fleet_table(vehicles))
