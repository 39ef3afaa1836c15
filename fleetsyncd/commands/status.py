"""`fleetsyncd status`: the state of the fleet, or of one vehicle with what of it is stored."""

from collections.abc import Iterator

import click
import msgspec

from fleetsyncd import bootstrap
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import complete_name, json_option, with_tag_option
from fleetsyncd.commands.tables import fleet_table, table
from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.vehicles import find_vehicle
from fleetsyncd.database.views.coverage import CoveredInterval, vehicle_coverage
from fleetsyncd.database.views.lateness import overview_with_reasons
from fleetsyncd.database.views.traffic import with_traffic
from fleetsyncd.errors import CommandError
from fleetsyncd.states import GapOverview, VehicleOverview
from fleetsyncd.text import age, sanitise
from fleetsyncd.times import utc_text


class VehicleStatus(VehicleOverview, frozen=True, kw_only=True):
    """A vehicle as `status VEHICLE --json` prints it: with what of its time is stored."""

    coverage: list[CoveredInterval]


@click.command()
@click.argument("which", required=False, shell_complete=complete_name)
@with_tag_option
@json_option
def status(which: str | None, tag: tuple[str, ...], as_json: bool) -> None:
    """Show every vehicle's state, ages, rows and last error.

    SINCE is the age of the state, SEEN the time since the vehicle answered, LAG the age of what is
    live, DATA the age of the newest measurement; ROWS are those of the last cycle. EVERY, the time
    between its cycles, is shown if a vehicle has an interval of its own. MONTH and LAST MONTH are
    the bytes that its link has carried, see `fleetsyncd traffic`. With WHICH, a
    vehicle's name or id, also what of its time is complete, missing or lost. A daemon that cannot
    store what it pulls is named on standard error.
    """
    if which is not None and tag:
        raise CommandError("name a vehicle, or give --tag")
    settings = bootstrap.load_settings()
    interval = settings.sync_interval_sec

    def read(cursor: Cursor) -> tuple[list[VehicleOverview], list[Heartbeat]]:
        known = replicas.heartbeats(cursor)
        if which is None:
            return with_traffic(cursor, overview_with_reasons(cursor, interval, tag)), known
        key = find_vehicle(cursor, which).id
        coverage = vehicle_coverage(cursor, key)
        found = [each for each in overview_with_reasons(cursor, interval) if each.id == key]
        return [
            VehicleStatus(**msgspec.structs.asdict(vehicle), coverage=coverage)
            for vehicle in with_traffic(cursor, found)
        ], known

    vehicles, heartbeats = bootstrap.open_database(settings).run(read)
    for heartbeat in heartbeats:
        if heartbeat.alive and heartbeat.unstored.vehicles:
            click.echo(f"the daemon {heartbeat.name}: {heartbeat.unstored}", err=True)
    if as_json:
        print_list(vehicles)
        return
    click.echo(fleet_table(vehicles))
    for vehicle in vehicles:
        if isinstance(vehicle, VehicleStatus):
            click.echo("\n".join(["", *_detail_lines(vehicle)]))


def _detail_lines(vehicle: VehicleStatus) -> Iterator[str]:
    """Yield a vehicle's terms, gap and remarks, and its intervals as a table."""
    if vehicle.terms is not None:
        yield f"own terms: {vehicle.terms.text}"
        yield ""
    if vehicle.gap is not None:
        yield from _gap_lines(vehicle, vehicle.gap)
    if not vehicle.coverage:
        yield "nothing was pulled yet"
        return
    yield table(
        ["FROM", "TO", "LENGTH", "COVERAGE"],
        [
            [
                "not known" if part.from_at is None else utc_text(part.from_at),
                "not known" if part.to_at is None else utc_text(part.to_at),
                _length(part),
                part.kind.value,
            ]
            for part in vehicle.coverage
        ],
    )


def _gap_lines(vehicle: VehicleStatus, gap: GapOverview) -> Iterator[str]:
    left = None if vehicle.catching_up is None else vehicle.catching_up.seconds_left
    rest = "" if left is None else f", about {age(left)} left"
    yield f"live: {age(vehicle.lag)} behind; missing before that: {age(gap.missing_sec)}{rest}"
    if gap.remark:
        yield sanitise(gap.remark)
    yield ""


def _length(part: CoveredInterval) -> str:
    if part.from_at is None or part.to_at is None:
        return "-"
    return age((part.to_at - part.from_at).total_seconds())
