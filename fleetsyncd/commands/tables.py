"""Plain text tables for the terminal, with columns as wide as their content, within a limit."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from rich.cells import cell_len

from fleetsyncd.cells import cut, padded
from fleetsyncd.states import LinkTraffic, State, VehicleOverview
from fleetsyncd.text import age, known_age, sanitise, size

MAX_CELLS = 48
"""A wider cell is cut, unless it is the last of its line: it would bend every other line."""
MAX_VERSION_CELLS = 20


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a header and rows as text that is harmless for a terminal."""
    return "\n".join(table_lines(header, rows, rows))


def table_lines(
    header: Sequence[str], expected: Sequence[Sequence[str]], rows: Iterable[Sequence[str]]
) -> Iterator[str]:
    """Yield the header, and each row as it comes, in columns as wide as those of `expected`."""
    known = map(_harmless, [header, *expected])
    widths = [max(map(cell_len, column)) for column in zip(*known, strict=True)]
    for row in chain([header], rows):
        yield "  ".join(map(padded, _harmless(row), widths)).rstrip()


def _harmless(row: Sequence[str]) -> list[str]:
    cells = [sanitise(cell) for cell in row]
    return [*(cut(cell, MAX_CELLS) for cell in cells[:-1]), cells[-1]]


def fleet_table(vehicles: Sequence[VehicleOverview]) -> str:
    """Return the fleet as a table; with several replicas, with the one that pulls each vehicle.

    If a vehicle has an interval of its own, with those of all.
    """
    header = ["VEHICLE", "STATE", "SINCE", "SEEN", "LAG", "DATA", "ROWS", "VERSION", "LAST ERROR"]
    lines = [_line(vehicle) for vehicle in vehicles]
    if any(vehicle.traffic is not None for vehicle in vehicles):
        header[-1:-1] = ["MONTH", "LAST MONTH"]
        for line, vehicle in zip(lines, vehicles, strict=True):
            line[-1:-1] = _carried(vehicle.traffic)
    if len({vehicle.replica for vehicle in vehicles}) > 1:
        header.insert(-1, "PULLED BY")
        for line, vehicle in zip(lines, vehicles, strict=True):
            line.insert(-1, vehicle.replica or "-")
    if any(vehicle.own_interval_sec for vehicle in vehicles):
        header.insert(header.index("LAG"), "EVERY")
        for line, vehicle in zip(lines, vehicles, strict=True):
            line.insert(header.index("EVERY"), age(vehicle.interval_sec))
    return table(header, lines)


def _carried(traffic: LinkTraffic | None) -> list[str]:
    if traffic is None:
        return ["-", "-"]
    return [size(traffic.this_month), size(traffic.last_month)]


def _line(vehicle: VehicleOverview) -> list[str]:
    state = vehicle.state.value
    if vehicle.state is State.CATCHING_UP and vehicle.catching_up is not None:
        state = f"{state} {int(100 * vehicle.catching_up.fraction)}%"
    return [
        vehicle.name,
        state,
        age(vehicle.state_age),
        known_age(vehicle.seen_age),
        age(vehicle.lag),
        age(vehicle.data_age),
        "-" if vehicle.rows is None else str(vehicle.rows),
        cut(vehicle.software_version or "-", MAX_VERSION_CELLS),
        vehicle.remark,
    ]
