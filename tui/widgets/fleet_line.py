"""One line of the fleet table: what it shows, what of it has changed, and its painting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from fleetsyncd.database.views.journal import LastHour
from fleetsyncd.states import State
from tui.formatting import STATE_STYLES
from tui.model.columns import PREFIX_WIDTH, Column
from tui.model.fleet_view import FleetView

MARK = "▪"


@dataclass(frozen=True, slots=True)
class RowState:
    """How a vehicle's line is painted, apart from the text of its cells."""

    state: State
    marked: bool
    under_cursor: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class FleetLine:
    """A line of the table: the heading and empty lines have no state, empty lines no cells."""

    cells: tuple[str, ...] = ()
    row_state: RowState | None = None

    def same_layout(self, other: "FleetLine") -> bool:
        """Whether the two lines differ at most in the text of their cells."""
        return self.row_state == other.row_state and len(self.cells) == len(other.cells)


def heading_line(view: FleetView, columns: Sequence[Column]) -> FleetLine:
    """Return what the heading shows."""
    return FleetLine(tuple(column.heading(view.sort, view.descending) for column in columns))


def vehicle_line(
    view: FleetView,
    row: int,
    columns: Sequence[Column],
    hours: Mapping[UUID, LastHour],
    *,
    stale: bool,
) -> FleetLine:
    """Return what the line of the vehicle in a row of the view shows."""
    vehicle = view.shown[row]
    row_state = RowState(
        state=vehicle.state,
        marked=vehicle.id in view.marked,
        under_cursor=vehicle.id == view.cursor,
        stale=stale,
    )
    hour = hours.get(vehicle.id)
    return FleetLine(tuple(column.text(vehicle, hour) for column in columns), row_state)


def changed_part(
    columns: Sequence[Column], painted: Sequence[str], cells: Sequence[str]
) -> tuple[int, int]:
    """Return where the first changed column of a line begins, and where the last one ends."""
    x, start, end = PREFIX_WIDTH, 0, 0
    for column, old, new in zip(columns, painted, cells, strict=True):
        if old != new:
            start, end = start or x, x + column.width
        x += column.width + 1
    return start, end


def paint_heading(line: FleetLine, width: int, style: Style) -> Strip:
    """Return the heading, `width` terminal cells wide."""
    return _strip([Segment(" " * PREFIX_WIDTH + " ".join(line.cells), style)], width, style)


def paint_row(
    cells: Sequence[str], row_state: RowState, columns: Sequence[Column], width: int, style: Style
) -> Strip:
    """Return a vehicle's line, `width` terminal cells wide; `style` is the background's."""
    if row_state.stale:
        style += Style(dim=True)
    state = STATE_STYLES[row_state.state]
    # A state's colour may not be legible on the cursor's background; glyph and word still are.
    coloured = style if row_state.under_cursor else style + Style(color=state.colour)
    mark = MARK if row_state.marked else " "
    segments = [Segment(f"{mark}{state.glyph} ", coloured)]
    for column, cell in zip(columns, cells, strict=True):
        painted = coloured if column.state_coloured else style
        if column.text_colour is not None and not row_state.under_cursor:
            painted += Style(color=column.text_colour(cell))
        segments.append(Segment(cell, painted))
        segments.append(Segment(" ", style))
    return _strip(segments, width, style)


def _strip(segments: list[Segment], width: int, style: Style) -> Strip:
    return Strip(segments).adjust_cell_length(width, style).simplify()
