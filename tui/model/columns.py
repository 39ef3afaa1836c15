"""The columns of the fleet table, and which of them fit into a width."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import set_cell_size

from fleetsyncd.cells import padded
from fleetsyncd.database.views.journal import HOUR_BUCKETS, LastHour
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.text import age
from tui.formatting import STATE_STYLES, percent_text, remaining_text
from tui.model.fleet_view import Sort
from tui.model.sparks import lag_scale, lag_scale_text, spark, thinned

WIDE = 120
"""From this width of the terminal on, the fleet page shows more columns and the journal."""
EXTRA_WIDE = 140
"""From this width of the table on, columns are wider."""
PREFIX_WIDTH = 3
"""Terminal cells at the start of a row: the mark, the state's glyph, a space."""
_MIN_ERROR_WIDTH = 10
_LONG_SPARKS = 150
"""From this width of the table on, sparks have a cell for each slice of the last hour."""
_LAG_SCALE_WIDTH = 7
"""Cells of the bounds behind a spark of lags."""

CellText = Callable[[VehicleOverview, LastHour | None], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `width` in terminal cells."""

    title: str
    width: int
    cell_text: CellText
    right: bool = False
    """Whether the text is right-aligned."""
    sort: Sort | None = None
    """The order that sorts by this column, if there is one."""
    state_coloured: bool = False
    """Whether the text has the colour of the vehicle's state."""

    def text(self, vehicle: VehicleOverview, hour: LastHour | None) -> str:
        """Return the vehicle's cell, cut or padded to the column's width."""
        return self.fitted(self.cell_text(vehicle, hour))

    def heading(self, sort: Sort, descending: bool) -> str:
        """Return the title, with an arrow if the table is sorted by this column."""
        arrow = ("▼" if descending else "▲") if sort is self.sort else ""
        return self.fitted(self.title + arrow)

    def fitted(self, text: str) -> str:
        """Return `text`, cut or padded to the column's width."""
        if self.right:
            return padded(text, self.width, right=True)
        return set_cell_size(text, self.width)


def status(vehicle: VehicleOverview) -> str:
    """Return the state's word, with the progress of a gap or of a backfill."""
    word = STATE_STYLES[vehicle.state].word
    if vehicle.state is State.CATCHING_UP and vehicle.catching_up is not None:
        seconds_left = vehicle.catching_up.seconds_left
        left = "" if seconds_left is None else f" {age(seconds_left)} left"
        return f"{word} {percent_text(vehicle.catching_up.fraction)}{left}"
    if vehicle.backfill is not None:
        return f"{word} +{percent_text(vehicle.backfill.fraction)}"
    return word


def remark(vehicle: VehicleOverview) -> str:
    """Return the last error; without one, the time left of a gap or of a backfill."""
    return vehicle.last_error or remaining_text(vehicle.catching_up or vehicle.backfill)


def _rows(vehicle: VehicleOverview, _hour: LastHour | None) -> str:
    return "-" if vehicle.rows is None else str(vehicle.rows)


def _lags(width: int) -> CellText:
    """Return a cell's text: a spark of `width` cells, and its scale."""

    def cell_text(_vehicle: VehicleOverview, hour: LastHour | None) -> str:
        if hour is None:
            return ""
        scale = lag_scale(hour.lags)
        return f"{spark(thinned(hour.lags, width), scale)} {lag_scale_text(scale)}"

    return cell_text


def _failures(_vehicle: VehicleOverview, hour: LastHour | None) -> str:
    return "" if hour is None else str(hour.failures)


def columns(width: int) -> list[Column]:
    """Return the columns of a table that is `width` cells wide; the last one fills the rest."""
    wide, extra_wide = width >= WIDE - 2, width >= EXTRA_WIDE
    name = Column("VEHICLE", 22 if extra_wide else 18, lambda v, _: v.name, sort=Sort.NAME)
    address = Column("ADDRESS", 21 if extra_wide else 17, lambda v, _: v.address)
    state = Column(
        "STATUS",
        22 if extra_wide else 13,
        lambda v, _: status(v),
        sort=Sort.STATE,
        state_coloured=True,
    )
    seen = Column("SEEN", 5, lambda v, _: age(v.seen_age), right=True, sort=Sort.SEEN)
    lag = Column("LAG", 5, lambda v, _: age(v.lag), right=True, sort=Sort.LAG)
    data = Column("DATA", 5, lambda v, _: age(v.data_age), right=True)
    rows = Column("ROWS", 6, _rows, right=True)
    lag_cells = HOUR_BUCKETS if width >= _LONG_SPARKS else HOUR_BUCKETS // 2
    lag_hour = Column("LAG 1H", lag_cells + _LAG_SCALE_WIDTH, _lags(lag_cells))
    fails = Column("FAIL", 4, _failures, right=True)
    version = Column("VERSION", 10 if extra_wide else 8, lambda v, _: v.software_version or "-")
    fitting = (
        [name, address, state, seen, lag, data, rows, lag_hour, fails, version]
        if wide
        else [name, state, seen, lag, rows, version]
    )
    used = PREFIX_WIDTH + sum(column.width + 1 for column in fitting)
    rest = max(_MIN_ERROR_WIDTH, width - used)
    return [*fitting, Column("LAST ERROR", rest, lambda v, _: remark(v))]
