"""Options and arguments that several commands have."""

import click

from fleetsyncd import bootstrap, validation
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.errors import FleetsyncError


def complete_name(_context: click.Context, _argument: click.Parameter, start: str) -> list[str]:
    """Return the names that begin so, for the shell's completion; none without a database."""
    try:
        known = bootstrap.configured_database().run(lambda cursor: fleet_overview(cursor, 0))
    except FleetsyncError:
        return []
    return [vehicle.name for vehicle in known if vehicle.name.startswith(start)]


which_argument = click.argument("which", shell_complete=complete_name)
port_type = click.IntRange(1, validation.MAX_PORT)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON list instead of a table."
)
