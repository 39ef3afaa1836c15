"""The table of vehicles: any number of them, painted line by line, the cursor pinned to one."""

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fleetsyncd.database.views.journal import LastHour
from fleetsyncd.states import VehicleOverview
from tui.formatting import STATE_STYLES
from tui.model.columns import SIGNS, Column, columns
from tui.model.fleet_view import FleetView

MARK = "▪"
HEADING = 1


class FleetTable(ScrollView, can_focus=True):
    """Shows a FleetView; repaints only the cells on the screen that changed.

    The first line is the heading. The cursor stays on its vehicle through every refresh, sort and
    filter, and on its line of the screen.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "fleet-table--heading",
        "fleet-table--cursor",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="table.page-up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="table.page-down"),
        Binding("home,g", "jump(0)", "First", show=False, id="table.first"),
        Binding("end,G", "jump(-1)", "Last", show=False, id="table.last"),
        Binding("enter", "open", "Open", id="table.open", tooltip="Show the vehicle's history"),
        Binding(
            "space", "mark", "Mark", show=False, id="table.mark", tooltip="Mark it for an action"
        ),
        Binding(
            "asterisk",
            "mark_all",
            "Mark all",
            show=False,
            id="table.mark-all",
            tooltip="Mark all vehicles that are shown, or none",
        ),
    ]

    class Opened(Message):
        """A vehicle is to be shown."""

        def __init__(self, vehicle_id: UUID) -> None:
            super().__init__()
            self.vehicle_id = vehicle_id

    class Changed(Message):
        """The cursor moved, or marks changed."""

    def __init__(self, view: FleetView) -> None:
        super().__init__()
        self.view = view
        self.cursor: UUID | None = None
        self.stale = False
        self._place = 0
        self._hours: Mapping[UUID, LastHour] = {}
        self._columns: list[Column] = columns(80)
        self._painted: dict[int, tuple[str, ...]] = {}

    @property
    def lines(self) -> int:
        """How many vehicles fit on the screen."""
        return max(0, self.scrollable_content_region.height - HEADING)

    @property
    def on_screen(self) -> list[UUID]:
        """The vehicles on the screen."""
        top = round(self.scroll_y)
        return [vehicle.id for vehicle in self.view.shown[top : top + self.lines]]

    def on_resize(self, _event: Resize) -> None:
        """Choose the columns that fit."""
        self._columns = columns(self.scrollable_content_region.width)
        self.arranged()
        self._keep_in_sight()

    def show(self, hours: Mapping[UUID, LastHour], *, stale: bool) -> None:
        """Show the view after it took in news; `stale` dims what may no longer be true."""
        self._hours = hours
        if stale != self.stale:
            self.stale = stale
            self.refresh()
        self.arranged()

    def arranged(self) -> None:
        """Show the view after it was changed."""
        shown = self.view.shown
        place = self.view.place_of(self.cursor, self._place)
        if place is None and shown:
            place = min(self._place, len(shown) - 1)
            self.cursor = shown[place].id
        self.virtual_size = Size(self.size.width, len(shown) + HEADING)
        before, self._place = self._place, place or 0
        # Who scrolled away from the cursor is looking at something else: that stays.
        if 0 <= before - round(self.scroll_y) < max(1, self.lines):
            self._scroll(self.scroll_y + self._place - before)
            self._keep_in_sight()
        self._repaint()

    def _keep_in_sight(self) -> None:
        last_top = self._place - self.lines + 1
        if not last_top <= self.scroll_y <= self._place and self.lines:
            self._scroll(self._place if self.scroll_y > self._place else last_top)

    def _scroll(self, top: float) -> None:
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)

    def _repaint(self) -> None:
        """Ask for the cells that differ from what was painted last to be painted again."""
        top = round(self.scroll_y)
        lines = range(HEADING + self.lines)
        for y in lines:
            cells = self._cells(top, y)
            painted = self._painted.get(y)
            if painted == cells:
                continue
            self._painted[y] = cells
            if painted is None or len(painted) != len(cells) or painted[0] != cells[0]:
                self.refresh(Region(0, y, self.size.width, 1))
            else:
                self._repaint_cells(y, painted, cells)
        for y in [y for y in self._painted if y not in lines]:
            del self._painted[y]

    def _repaint_cells(self, y: int, painted: tuple[str, ...], cells: tuple[str, ...]) -> None:
        """Ask for the part of a line from its first changed column to its last."""
        x, start, end = SIGNS, 0, 0
        for column, old, new in zip(self._columns, painted[1:], cells[1:], strict=True):
            if old != new:
                start, end = start or x, x + column.width
            x += column.width + 1
        self.refresh(Region(start, y, end - start, 1))

    def _cells(self, top: int, y: int) -> tuple[str, ...]:
        """Return what line `y` of the screen says: how it looks, then its columns."""
        if y < HEADING:
            titles = [c.heading(self.view.sort, self.view.falling) for c in self._columns]
            return ("heading", *titles)
        place = top + y - HEADING
        if place >= len(self.view.shown):
            return ("",)
        vehicle = self.view.shown[place]
        hour = self._hours.get(vehicle.id)
        return (self._look(vehicle), *(c.text(vehicle, hour) for c in self._columns))

    def _look(self, vehicle: VehicleOverview) -> str:
        mark = MARK if vehicle.id in self.view.marked else " "
        under = ">" if vehicle.id == self.cursor else " "
        return f"{under}{mark}{STATE_STYLES[vehicle.state][0]}{'~' if self.stale else ''}"

    def render_line(self, y: int) -> Strip:
        """Paint one line of the screen."""
        top = round(self.scroll_y)
        cells = self._cells(top, y)
        width = self.size.width
        if cells == ("",):
            return Strip.blank(width, self.rich_style)
        if y < HEADING:
            style = self.get_component_rich_style("fleet-table--heading")
            return _strip([Segment(" " * SIGNS + " ".join(cells[1:]), style)], width, style)
        vehicle = self.view.shown[top + y - HEADING]
        under_cursor = vehicle.id == self.cursor
        base = (
            self.get_component_rich_style("fleet-table--cursor")
            if under_cursor
            else self.rich_style
        )
        if self.stale:
            base += Style(dim=True)
        glyph, _word, colour = STATE_STYLES[vehicle.state]
        mark = MARK if vehicle.id in self.view.marked else " "
        # On the cursor's own ground a state's colour may not be legible: its glyph and word are.
        coloured = base if under_cursor else base + Style(color=colour)
        segments = [Segment(mark + glyph + " ", coloured)]
        for column, cell in zip(self._columns, cells[1:], strict=True):
            segments.append(Segment(cell, coloured if column.title == "STATUS" else base))
            segments.append(Segment(" ", base))
        return _strip(segments, width, base)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Paint everything after the lines moved."""
        super().watch_scroll_y(old, new)
        if round(old) != round(new):
            self._painted.clear()
            self.refresh()

    def _go(self, place: int) -> None:
        if not self.view.shown:
            return
        self._place = max(0, min(place, len(self.view.shown) - 1))
        self.cursor = self.view.shown[self._place].id
        self._keep_in_sight()
        self._repaint()
        self.post_message(self.Changed())

    def action_move(self, steps: int) -> None:
        """Move the cursor by so many vehicles."""
        self._go(self._place + steps)

    def action_page(self, pages: int) -> None:
        """Move the cursor by a screenful."""
        self._go(self._place + pages * max(1, self.lines - 1))

    def action_jump(self, place: int) -> None:
        """Move the cursor to the first vehicle (0) or the last one (-1)."""
        self._go(place if place >= 0 else len(self.view.shown) - 1)

    def action_mark(self) -> None:
        """Mark the vehicle under the cursor, or take its mark away, and go to the next."""
        if self.cursor is not None:
            self.view.toggle_mark(self.cursor)
            self._go(self._place + 1)

    def action_mark_all(self) -> None:
        """Mark all vehicles that are shown, or none."""
        self.view.mark_all(vehicle.id for vehicle in self.view.shown)
        self._go(self._place)

    def action_open(self) -> None:
        """Show the vehicle under the cursor."""
        if self.cursor is not None:
            self.post_message(self.Opened(self.cursor))

    def on_click(self, event: Click) -> None:
        """Move the cursor to where the mouse points; open the vehicle on a double click."""
        place = round(self.scroll_y) + event.y - HEADING
        if event.y < HEADING or place >= len(self.view.shown):
            return
        self._go(place)
        if event.chain > 1:
            self.action_open()


def _strip(segments: list[Segment], width: int, style: Style) -> Strip:
    return Strip(segments).adjust_cell_length(width, style).simplify()
