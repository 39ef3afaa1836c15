"""Options and arguments that several commands have, and the vehicle that one names."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fleetsyncd import bootstrap, validation
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_tags import tags_in_use
from fleetsyncd.database.vehicles import RegisteredVehicle, find_vehicle
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.errors import FleetsyncError

Command = TypeVar("Command", bound=Callable[..., Any])


def complete_name(_context: click.Context, _argument: click.Parameter, start: str) -> list[str]:
    """Return the names that begin so, for the shell's completion; none without a database."""
    try:
        known = bootstrap.configured_database().run(lambda cursor: fleet_overview(cursor, 0))
    except FleetsyncError:
        return []
    return [vehicle.name for vehicle in known if vehicle.name.startswith(start)]


def complete_tag(_context: click.Context, _option: click.Parameter, start: str) -> list[str]:
    """Return the tags that begin so, for the shell's completion; none without a database."""
    try:
        known = bootstrap.configured_database().run(tags_in_use)
    except FleetsyncError:
        return []
    return [tag for tag in known if tag.startswith(start)]


def _parse_tags(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(sorted(set(map(validation.parse_tag, values))))


def tag_option(name: str, help_text: str) -> Callable[[Command], Command]:
    """Return an option that takes a tag, and may be given several times."""
    return click.option(
        name, multiple=True, callback=_parse_tags, shell_complete=complete_tag, help=help_text
    )


def act_on(which: str, action: Callable[[Cursor, RegisteredVehicle], None]) -> RegisteredVehicle:
    """Find the vehicle and act on it in one transaction; return what it was registered as."""

    def work(cursor: Cursor) -> RegisteredVehicle:
        known = find_vehicle(cursor, which)
        action(cursor, known)
        return known

    return bootstrap.configured_database().run(work)


which_argument = click.argument("which", shell_complete=complete_name)
port_type = click.IntRange(1, validation.MAX_PORT)
with_tag_option = tag_option(
    "--tag", "Only vehicles with this tag; given several times, with any of them."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON list instead of a table."
)
