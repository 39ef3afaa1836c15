"""`fleetsyncd log`: who did what."""

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option, vehicles_argument
from fleetsyncd.commands.tables import table
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.actions import LoggedAction, find_logged, read_actions
from fleetsyncd.times import parse_length, utc_text

HEADER = ["AT", "WHO", "FROM", "ROLE", "VEHICLE", "WHAT"]
MOST_ROWS = 100_000


@click.command("log")
@vehicles_argument
@click.option("--since", metavar="LENGTH", help="Only of the last 12h, 7d …")
@click.option("--limit", type=click.IntRange(1, MOST_ROWS), default=50, show_default=True)
@json_option
def log_command(vehicles: tuple[str, ...], since: str | None, limit: int, as_json: bool) -> None:
    """Show who did what, the newest first.

    VEHICLE is a name or id, also of a vehicle that was removed or renamed since; without any, all
    actions are shown. WHO is the one who called sudo, or the login name; FROM the address of the
    SSH connection, ROLE that of the database. It is kept for JOURNAL_KEEP_DAYS.
    """
    length = None if since is None else parse_length(since)

    def work(cursor: Cursor) -> list[LoggedAction]:
        chosen = find_logged(cursor, vehicles) if vehicles else None
        return read_actions(cursor, vehicles=chosen, since=length, limit=limit)

    entries = bootstrap.configured_database().run(work)
    if as_json:
        print_list(entries)
    else:
        click.echo(table(HEADER, list(map(_line, entries))))


def _line(entry: LoggedAction) -> list[str]:
    what = f"{entry.action} ({entry.change})" if entry.change else entry.action
    who = [entry.login, entry.address or "-", entry.role]
    return [utc_text(entry.at), *who, entry.vehicle or "-", what]
