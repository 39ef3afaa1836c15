"""Options and arguments that several commands have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fleetsyncd import bootstrap, validation
from fleetsyncd.database.vehicle_tags import tags_in_use
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.terms import TermsChange, parse_change
from fleetsyncd.time_limits import MAX_AGE
from fleetsyncd.times import parse_length

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


def given_terms(
    interval: str | None, timeout: str | None, window: str | None, gap_kbit: str | None
) -> TermsChange:
    """Return what the options of `terms_options` say; raise CommandError."""
    return parse_change(
        interval_sec=interval, timeout_sec=timeout, window_sec=window, gap_kbit=gap_kbit
    )


which_argument = click.argument("which", shell_complete=complete_name)
port_type = click.IntRange(1, validation.MAX_PORT)
with_tag_option = tag_option(
    "--tag", "Only vehicles with this tag; given several times, with any of them."
)
vehicles_argument = click.argument(
    "vehicles", nargs=-1, metavar="[VEHICLE]...", shell_complete=complete_name
)
all_vehicles_option = click.option(
    "--all", "all_vehicles", is_flag=True, help="Every vehicle of the fleet."
)
to_option = click.option(
    "--to", "end", metavar="TIME", default="now", show_default=True, help="Written as --from."
)
no_wait_option = click.option("--no-wait", is_flag=True, help="Only request it; do not watch.")
wait_option = click.option(
    "--wait", metavar="LENGTH", help="Watch no longer than that: 90m, 1h, 2d."
)
FROM_FORMS = (
    "24h, 7d, 2026-11-23 14:30 by this host's clock and zone, or 2026-11-23T14:30Z in UTC;"
    f" up to {MAX_AGE.days} days ago."
)
"""How the beginning of an interval is written."""


def wait_seconds(
    context: click.Context, wait: str | None, *, no_wait: bool, cancel: bool
) -> float | None:
    """Return for how long at most a command watches; None: until the end.

    Raises UsageError if it is not to watch at all, and CommandError for what is no length.
    """
    if wait is None:
        return None
    if no_wait or cancel:
        raise click.UsageError("--wait goes with neither --no-wait nor --cancel", context)
    return parse_length(wait).total_seconds()


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON list instead of a table."
)
