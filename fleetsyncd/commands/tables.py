"""Plain text tables for the terminal, with columns as wide as their content."""

from collections.abc import Sequence

from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.text import age, sanitise


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a header and rows as text that is harmless for a terminal."""
    cells = [list(header), *([sanitise(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def fleet_table(vehicles: Sequence[VehicleOverview]) -> str:
    """Return the fleet as a table; with several replicas, with the one that pulls each vehicle."""
    header = ["VEHICLE", "STATE", "SEEN", "LAG", "DATA", "ROWS", "VERSION", "LAST ERROR"]
    lines = [_line(vehicle) for vehicle in vehicles]
    if len({vehicle.replica for vehicle in vehicles}) > 1:
        header.insert(-1, "PULLED BY")
        for line, vehicle in zip(lines, vehicles, strict=True):
            line.insert(-1, vehicle.replica or "-")
    return table(header, lines)


def _line(vehicle: VehicleOverview) -> list[str]:
    state = vehicle.state.value
    if vehicle.state is State.CATCHING_UP and vehicle.catching_up is not None:
        state = f"{state} {vehicle.catching_up.fraction:.0%}"
    return [
        vehicle.name,
        state,
        age(vehicle.seen_age),
        age(vehicle.lag),
        age(vehicle.data_age),
        "-" if vehicle.rows is None else str(vehicle.rows),
        vehicle.software_version or "-",
        vehicle.last_error or "",
    ]
