"""`fleetsyncd quarantine ...`: show quarantined rows, try them again, delete them."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import complete_name, json_option
from fleetsyncd.commands.questions import confirm
from fleetsyncd.commands.tables import table
from fleetsyncd.database import quarantine, vehicles
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.quarantine import QuarantinedRow, ReasonCount
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.sync.replay import replay
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.times import iso_ms, parse_time, utc_now

EXCERPT = 60
MAX_ID = 2**63 - 1
"""Of a bigserial."""

_vehicle = click.argument("vehicle", required=False, shell_complete=complete_name)


@click.group("quarantine")
def quarantine_group() -> None:
    """Show the rows that were refused, try them again, delete them."""


def _id_of(cursor: Cursor, vehicle: str | None) -> UUID | None:
    return None if vehicle is None else vehicles.find_vehicle(cursor, vehicle).id


@quarantine_group.command("list")
@_vehicle
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option("--count", is_flag=True, help="Count by vehicle, call and reason instead.")
@json_option
def list_rows(vehicle: str | None, limit: int, count: bool, as_json: bool) -> None:
    """List refused rows, the newest first, of a vehicle or of all."""
    database = bootstrap.configured_database()
    entries: Sequence[QuarantinedRow] | Sequence[ReasonCount]
    if count:
        counts = database.run(lambda c: quarantine.count_by_reason(c, _id_of(c, vehicle)))
        header = ["VEHICLE", "CALL", "ROWS", "NEWEST", "REASON"]
        lines = [[c.vehicle, c.call, str(c.rows), iso_ms(c.newest), c.reason] for c in counts]
        entries = counts
    else:
        rows = database.run(lambda c: quarantine.list_rows(c, _id_of(c, vehicle), limit))
        header = ["ID", "VEHICLE", "CALL", "AT", "REASON", "ROW"]
        lines = [
            [str(r.id), r.vehicle, r.call, iso_ms(r.at), r.reason, r.raw[:EXCERPT]] for r in rows
        ]
        entries = rows
    if as_json:
        print_list(entries)
    else:
        click.echo(table(header, lines))


@quarantine_group.command()
@click.argument("number", metavar="ID", type=click.IntRange(1, MAX_ID))
def show(number: int) -> None:
    """Show one refused row and why it was refused.

    ID is its number in the list; of a long row only the start is kept.
    """
    database = bootstrap.configured_database()
    row = database.run(lambda cursor: quarantine.find_row(cursor, number))
    if row is None:
        raise CommandError(f"no refused row has the id {number}: see `fleetsyncd quarantine list`")
    click.echo(f"{row.vehicle}  {row.call}  {iso_ms(row.at)}\n{row.reason}\n{row.raw}")


@quarantine_group.command("replay")
@_vehicle
@click.option(
    "--id",
    "numbers",
    metavar="ID",
    type=click.IntRange(1, MAX_ID),
    multiple=True,
    help="Only this row; may be given several times.",
)
def replay_rows(vehicle: str | None, numbers: tuple[int, ...]) -> None:
    """Try refused rows again, of a vehicle or of all.

    Rows that are valid now are stored: an upgrade, or a correction of this host's clock, can make
    them valid.
    """
    settings = bootstrap.load_settings()
    database = bootstrap.open_database(settings)
    vehicle_id = database.run(lambda cursor: _id_of(cursor, vehicle))

    def bounds() -> Window:
        return accepted_interval(utc_now(), settings.measurements_keep_months)

    result = replay(
        database, Partitions(database), bounds, vehicle_id, numbers or None, present_action()
    )
    rest = result.tried - result.valid
    known = result.valid - result.added
    click.echo(
        f"tried {result.tried}: {result.added} stored, {known} were stored already,"
        f" {rest} are still refused"
    )


@quarantine_group.command("purge")
@_vehicle
@click.option("--all", "all_vehicles", is_flag=True, help="The rows of every vehicle.")
@click.option("--older", metavar="AGE", default="0s", show_default=True, help="7d, 12h …")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_rows(vehicle: str | None, all_vehicles: bool, older: str, yes: bool) -> None:
    """Delete refused rows for good, of a vehicle or of --all.

    It counts them and asks first; without a terminal it needs --yes.
    """
    if all_vehicles == (vehicle is not None):
        raise CommandError("name the vehicle, or give --all")
    now = utc_now()
    age = now - parse_time(older, now)
    if age < timedelta(0):
        raise CommandError("--older is an age, such as 7d")
    database = bootstrap.configured_database()
    vehicle_id = database.run(lambda cursor: _id_of(cursor, vehicle))
    found = database.run(lambda cursor: quarantine.purgeable(cursor, vehicle_id, age))
    if found.rows and not yes:
        whose = f"{found.vehicles} vehicle(s)" if vehicle is None else sanitise(vehicle)
        aged = f" that are older than {sanitise(older)}" if age else ""
        confirm(f"Delete {found.rows:,} refused row(s) of {whose}{aged} for good?")
    action = present_action()

    def work(cursor: Cursor) -> int:
        deleted = quarantine.purge(cursor, vehicle_id, found.until)
        changes = [Change(key, before={"refused_rows": rows}) for key, rows in deleted.items()]
        record(cursor, action, changes)
        return sum(deleted.values())

    click.echo(f"deleted {database.run(work)} refused row(s)")
