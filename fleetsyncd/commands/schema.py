"""`fleetsyncd schema`: the schemas of what commands print as JSON."""

import json

import click

from fleetsyncd.commands.json_output import OUTPUTS, schema
from fleetsyncd.commands.tables import table


@click.command("schema")
@click.argument("output", required=False, type=click.Choice(list(OUTPUTS)))
def schema_command(output: str | None) -> None:
    """Print the JSON Schema of what a command prints with --json.

    Without OUTPUT the outputs are listed with their versions. Within a version fields are only
    added.
    """
    if output is not None:
        click.echo(json.dumps(schema(output), indent=2))
        return
    rows = [[name, str(each.version), each.command] for name, each in OUTPUTS.items()]
    click.echo(table(["OUTPUT", "VERSION", "COMMAND"], rows))
