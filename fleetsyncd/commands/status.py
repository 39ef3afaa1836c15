"""`fleetsyncd status`: the state of the fleet."""

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option, with_tag_option
from fleetsyncd.commands.tables import fleet_table
from fleetsyncd.database import replicas
from fleetsyncd.database.views.lateness import overview_with_reasons


@click.command()
@with_tag_option
@json_option
def status(tag: tuple[str, ...], as_json: bool) -> None:
    """Show every vehicle's state, ages, rows and last error.

    SINCE is the age of the state, SEEN the time since the vehicle answered, LAG the age of the
    watermark, DATA the age of the newest measurement; ROWS are those of the last cycle. A daemon
    that cannot store what it pulls is named on standard error.
    """
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    vehicles, heartbeats = database.run(
        lambda cursor: (
            overview_with_reasons(cursor, settings.sync_interval_sec, tag),
            replicas.heartbeats(cursor),
        )
    )
    for heartbeat in heartbeats:
        if heartbeat.alive and heartbeat.unstored.vehicles:
            click.echo(f"the daemon {heartbeat.name}: {heartbeat.unstored}", err=True)
    if as_json:
        print_list(vehicles)
    else:
        click.echo(fleet_table(vehicles))
