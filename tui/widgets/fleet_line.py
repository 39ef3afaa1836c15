"""One line of the fleet table: what decides how it is painted, and its painting."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from fleetsyncd.states import State
from tui.formatting import STATE_STYLES
from tui.model.columns import PREFIX_WIDTH, Column

MARK = "▪"


@dataclass(frozen=True, slots=True)
class RowLook:
    """How a vehicle's line is painted, apart from the text of its cells."""

    state: State
    marked: bool
    under_cursor: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class FleetLine:
    """A line of the table: the heading and empty lines have no look, empty lines no cells."""

    cells: tuple[str, ...] = ()
    look: RowLook | None = None

    def same_layout(self, other: "FleetLine") -> bool:
        """Whether the two lines differ at most in the text of their cells."""
        return self.look == other.look and len(self.cells) == len(other.cells)


def paint_heading(line: FleetLine, width: int, style: Style) -> Strip:
    """Return the heading, `width` terminal cells wide."""
    return _strip([Segment(" " * PREFIX_WIDTH + " ".join(line.cells), style)], width, style)


def paint_row(
    cells: Sequence[str], look: RowLook, columns: Sequence[Column], width: int, style: Style
) -> Strip:
    """Return a vehicle's line, `width` terminal cells wide; `style` is the background's."""
    if look.stale:
        style += Style(dim=True)
    state = STATE_STYLES[look.state]
    # A state's colour may not be legible on the cursor's background; glyph and word still are.
    coloured = style if look.under_cursor else style + Style(color=state.colour)
    mark = MARK if look.marked else " "
    segments = [Segment(f"{mark}{state.glyph} ", coloured)]
    for column, cell in zip(columns, cells, strict=True):
        segments.append(Segment(cell, coloured if column.state_coloured else style))
        segments.append(Segment(" ", style))
    return _strip(segments, width, style)


def _strip(segments: list[Segment], width: int, style: Style) -> Strip:
    return Strip(segments).adjust_cell_length(width, style).simplify()
