"""`fleetsyncd storage`: what the database takes, how fast it grows, and when the disk is full."""

import re
from collections.abc import Sequence

import click
import msgspec

from fleetsyncd import bootstrap
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option
from fleetsyncd.commands.tables import table
from fleetsyncd.database.views.storage import Keep, Storage, storage
from fleetsyncd.database.views.stored_tables import StoredTable
from fleetsyncd.database.views.worker_storage import StoringNode
from fleetsyncd.text import listed, size
from fleetsyncd.times import ZonedTime, utc_day, utc_now

HEADER = ["TABLE", "ROWS", "BYTES", "OF KEYS", "BYTES A ROW", "TIDIED"]
NODES_HEADER = ["NODE", "SHARDS", "BYTES"]
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class DiskSize(click.ParamType[int]):
    """A number of bytes with a unit."""

    name = "size"

    def convert(
        self, value: object, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        """Return the bytes; what is none is a usage error."""
        if isinstance(value, int):
            return value
        told = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([KMGT]B|)", str(value).upper())
        if told is None:
            self.fail(f"{value} is no size: write 500GB or 2TB", parameter, context)
        return round(float(told[1]) * _UNITS[told[2]])


class TableOnDisk(msgspec.Struct, frozen=True, rename={"begins": "from", "ends": "to"}):
    """A table, or a part of the measurements."""

    name: str
    is_measurements: bool
    begins: ZonedTime | None
    ends: ZonedTime | None
    estimated_rows: int
    bytes: int
    key_bytes: int
    bytes_a_row: float | None
    tidied_at: ZonedTime | None


class StorageReport(msgspec.Struct, frozen=True):
    """What a database takes, as `storage --json` prints it."""

    database: str
    database_bytes: int
    measurements_bytes: int
    rows_a_day: float
    bytes_a_day: float
    sending_vehicles: int
    levels_off_at_bytes: float | None
    room_bytes: int | None
    full_at: ZonedTime | None
    tables: list[TableOnDisk]
    nodes: list[StoringNode]


@click.command("storage")
@click.option("--disk", type=DiskSize(), help="What the database may take in all: 500GB, 2TB.")
@json_option
def storage_command(disk: int | None, as_json: bool) -> None:
    """Show what the database takes, how it grows, and when its disk is full.

    Rows are estimates of PostgreSQL. The growth is what vehicles measure in a day of theirs, at the
    pace of today and yesterday, so that a gap that is caught up does not count as growth, and their
    minutes, where they are kept. Give this command the daemon's settings: MEASUREMENTS_KEEP_MONTHS
    and MINUTES_KEEP_MONTHS say where the growth ends. Without --disk, the room is that of the
    database's disk, if it is on this machine and the role may read its setting data_directory.
    """
    settings = bootstrap.load_settings()
    found = bootstrap.open_database(settings).run(storage)
    room = found.free_bytes if disk is None else disk - found.total_bytes
    keep = Keep(settings.measurements_keep_months, settings.minutes_keep_months)
    report = _report(found, room, keep)
    if as_json:
        print_list([report])
    else:
        click.echo(_text(report, keep, drops_months=found.drops_months))


def _report(found: Storage, room: int | None, keep: Keep) -> StorageReport:
    room = room if found.is_whole else None
    left = None if room is None else found.full_in(room, keep)
    return StorageReport(
        database=found.database,
        database_bytes=found.database_bytes,
        measurements_bytes=found.measurement_bytes,
        rows_a_day=found.rows_a_day,
        bytes_a_day=found.growth_a_day(keep),
        sending_vehicles=found.vehicles,
        levels_off_at_bytes=found.levels_off_at(keep),
        room_bytes=room,
        full_at=None if left is None else utc_now() + left,
        tables=list(map(_on_disk, found.tables)),
        nodes=list(found.nodes),
    )


def _on_disk(each: StoredTable) -> TableOnDisk:
    return TableOnDisk(
        name=each.name,
        is_measurements=each.is_measurements,
        begins=each.begins,
        ends=each.ends,
        estimated_rows=each.rows,
        bytes=each.total_bytes,
        key_bytes=each.key_bytes,
        bytes_a_row=each.row_bytes,
        tidied_at=each.tidied_at,
    )


def _text(report: StorageReport, keep: Keep, *, drops_months: bool = True) -> str:
    rows = [_line(each) for each in report.tables]
    nodes = [
        [each.address, f"{each.shards:,}", size(each.bytes) if each.is_reachable else "-"]
        for each in report.nodes
    ]
    parts = [table(HEADER, rows), *([table(NODES_HEADER, nodes)] if nodes else [])]
    return "\n".join([*parts, *_summary(report, keep, drops_months=drops_months)])


def _line(each: TableOnDisk) -> list[str]:
    a_row = "-" if each.bytes_a_row is None else f"{each.bytes_a_row:.1f}"
    tidied = "-" if each.tidied_at is None else utc_day(each.tidied_at)
    sizes = [size(each.bytes), size(each.key_bytes), a_row]
    return [each.name, f"{each.estimated_rows:,}", *sizes, tidied]


def _summary(report: StorageReport, keep: Keep, *, drops_months: bool) -> Sequence[str]:
    where = " on the coordinator; on the workers are" if report.nodes else ", of which"
    growth = f"{_growing(keep)} grow by {size(report.bytes_a_day)} a day"
    lines = [
        f"{report.database}: {size(report.database_bytes)}{where} measurements"
        f" {size(report.measurements_bytes)}",
        f"{growth}: {report.rows_a_day:,.0f} rows of {report.sending_vehicles:,} vehicle(s) that"
        " sent some today or yesterday",
    ]
    lines += _ends(report, keep, drops_months=drops_months)
    if lost := [node.address for node in report.nodes if not node.is_reachable]:
        text = f"out of reach, and not counted: {listed(lost)}"
        return [*lines, f"{text}; so it is not known when a disk is full"]
    if report.room_bytes is None:
        return [*lines, "when a disk is full is told with --disk: it is not known from here"]
    full_at = report.full_at
    when = "enough" if full_at is None else f"full on {utc_day(full_at)}"
    return [*lines, f"{size(max(0, report.room_bytes))} are left: {when} at this pace"]


def _growing(keep: Keep) -> str:
    return "measurements" if keep.minutes_months is None else "measurements with their minutes"


def _ends(report: StorageReport, keep: Keep, *, drops_months: bool) -> Sequence[str]:
    """Say where the growth ends if measurements are not kept for ever."""
    if keep.measurements_months is None:
        return []
    setting = f"MEASUREMENTS_KEEP_MONTHS={keep.measurements_months}"
    if not drops_months:
        return [f"{setting} drops nothing here: measurements has no months that retention drops"]
    if report.levels_off_at_bytes is None:
        return [f"{setting} does not end the growth of minutes: MINUTES_KEEP_MONTHS=0 keeps them"]
    if keep.minutes_months is not None:
        setting += f" and MINUTES_KEEP_MONTHS={keep.minutes_months}"
        return [f"{setting} end the growth at about {size(report.levels_off_at_bytes)}"]
    return [f"{setting} ends the growth at about {size(report.levels_off_at_bytes)}"]
