"""`fleetsyncd traffic`: what the vehicles' links have carried, by month or by day."""

import click

from fleetsyncd import bootstrap
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option, vehicles_argument, with_tag_option
from fleetsyncd.commands.tables import table
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_tags import vehicles_with
from fleetsyncd.database.vehicles import find_vehicles
from fleetsyncd.database.views.traffic import TrafficPeriod, traffic_by_day, traffic_by_month
from fleetsyncd.errors import CommandError
from fleetsyncd.text import size
from fleetsyncd.times import months_before, utc_now

MOST_MONTHS = 14
"""So many are kept, the present one included."""
HEADER = ["VEHICLE", "{}", "RECEIVED", "SENT", "BOTH", "REQUESTS"]


@click.command("traffic")
@vehicles_argument
@with_tag_option
@click.option(
    "--months",
    type=click.IntRange(1, MOST_MONTHS),
    default=2,
    show_default=True,
    help="The present one and those before it.",
)
@click.option("--days", is_flag=True, help="A line a day instead of one a month.")
@json_option
def traffic_command(
    vehicles: tuple[str, ...], tag: tuple[str, ...], months: int, days: bool, as_json: bool
) -> None:
    """Show what the link of each vehicle has carried, by month, the newest first.

    Bytes of answers and requests above TCP, compressed as they came, also of answers that broke
    off: what the daemons asked for. A provider counts more: the heads of TCP, IP and the VPN,
    connecting, what was sent twice. Months and days are those of UTC; a running daemon adds what
    it counts once a minute.
    """
    if vehicles and tag:
        raise CommandError("name vehicles, or give --tag")
    begins = months_before(utc_now(), months - 1).date()
    read = traffic_by_day if days else traffic_by_month

    def work(cursor: Cursor) -> list[TrafficPeriod]:
        if tag:
            return read(cursor, begins, vehicles_with(cursor, tag))
        if not vehicles:
            return read(cursor, begins)
        found = find_vehicles(cursor, vehicles, all_vehicles=False)
        return read(cursor, begins, [vehicle.id for vehicle in found])

    periods = bootstrap.configured_database().run(work)
    if as_json:
        print_list(periods)
        return
    header = [each.format("DAY" if days else "MONTH") for each in HEADER]
    click.echo(table(header, list(map(_line, periods))))


def _line(each: TrafficPeriod) -> list[str]:
    received, sent = each.received_bytes, each.sent_bytes
    sizes = [size(received), size(sent), size(received + sent)]
    return [each.name, each.period, *sizes, f"{each.requests:,}"]
