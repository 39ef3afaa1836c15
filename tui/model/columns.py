"""The fleet table's columns: what each says of a vehicle, and which fit into a width."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import set_cell_size

from fleetsyncd.database.views.journal import LastHour
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.text import age
from tui.formatting import STATE_STYLES, lag_spark, percent_text, remaining_text
from tui.model.fleet_view import Sort

WIDE = 120
ROOMY = 140
SIGNS = 3
"""Cells for the mark and the state's glyph at a line's beginning."""
_LEAST_ERROR = 10

Cell = Callable[[VehicleOverview, LastHour | None], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column, `width` cells wide; the last one of a line takes what is left."""

    title: str
    width: int
    cell: Cell
    right: bool = False
    sort: Sort | None = None

    def text(self, vehicle: VehicleOverview, hour: LastHour | None) -> str:
        """Return the vehicle's cell, cut or padded to the column's width."""
        return self.fitted(self.cell(vehicle, hour))

    def heading(self, sort: Sort, falling: bool) -> str:
        """Return the title, with an arrow if the table is sorted by it."""
        arrow = ("▼" if falling else "▲") if sort is self.sort else ""
        return self.fitted(self.title + arrow)

    def fitted(self, text: str) -> str:
        """Return text in exactly this column's cells."""
        if self.right and len(text) < self.width:
            return text.rjust(self.width)
        return set_cell_size(text, self.width)


def status(vehicle: VehicleOverview) -> str:
    """Return the state's word, with how far a gap is pulled or a backfill has come."""
    word = STATE_STYLES[vehicle.state][1]
    if vehicle.state is State.CATCHING_UP and vehicle.catching_up is not None:
        left = vehicle.catching_up.seconds_left
        rest = "" if left is None else f" {age(left)} left"
        return f"{word} {percent_text(vehicle.catching_up.fraction)}{rest}"
    if vehicle.backfill is not None:
        return f"{word} +{percent_text(vehicle.backfill.fraction)}"
    return word


def remark(vehicle: VehicleOverview) -> str:
    """Return the last error; without one, how much of a gap or a backfill is left."""
    return vehicle.last_error or remaining_text(vehicle.catching_up or vehicle.backfill)


def _rows(vehicle: VehicleOverview, _hour: LastHour | None) -> str:
    return "-" if vehicle.rows is None else str(vehicle.rows)


def columns(width: int) -> list[Column]:
    """Return the columns for a table of so many cells; together they fill it."""
    wide, roomy = width >= WIDE - 2, width >= ROOMY
    name = Column("VEHICLE", 22 if roomy else 18, lambda v, _: v.name, sort=Sort.NAME)
    address = Column("ADDRESS", 21 if roomy else 17, lambda v, _: v.address)
    state = Column("STATUS", 22 if roomy else 13, lambda v, _: status(v), sort=Sort.STATE)
    seen = Column("SEEN", 5, lambda v, _: age(v.seen_age), right=True, sort=Sort.SEEN)
    lag = Column("LAG", 5, lambda v, _: age(v.lag), right=True, sort=Sort.LAG)
    data = Column("DATA", 5, lambda v, _: age(v.data_age), right=True)
    rows = Column("ROWS", 6, _rows, right=True)
    hour = Column(
        "LAG 1H",
        12,
        lambda _, hour: "" if hour is None else lag_spark(hour.lags),
    )
    fails = Column("FAIL", 4, lambda _, hour: "" if hour is None else str(hour.failures), True)
    version = Column("VERSION", 10 if roomy else 8, lambda v, _: v.software_version or "-")
    chosen = (
        [name, address, state, seen, lag, data, rows, hour, fails, version]
        if wide
        else [name, state, seen, lag, rows, version]
    )
    used = SIGNS + sum(column.width + 1 for column in chosen)
    rest = max(_LEAST_ERROR, width - used)
    return [*chosen, Column("LAST ERROR", rest, lambda v, _: remark(v))]
