"""The table of vehicles; its cursor stays on a vehicle, not on a line."""

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fleetsyncd.database.views.journal import LastHour
from tui.model.columns import Column, column_sort, columns, idle_columns
from tui.model.fleet_view import FleetView
from tui.model.sorting import Sort
from tui.model.tag_text import gone
from tui.widgets.fleet_line import (
    FleetLine,
    changed_part,
    heading_line,
    paint_heading,
    paint_row,
    vehicle_line,
)

HEADING_LINES = 1


class FleetTable(ScrollView, can_focus=True):
    """Shows a FleetView; repaints only the cells on the screen that changed.

    The first line is the heading. After every refresh, the cursor is on the same vehicle as before,
    and on the same line of the screen.
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
        Binding("space", "mark", "Mark", show=False, id="table.mark",
                tooltip="Mark the vehicle for an action"),
        Binding("asterisk", "mark_all", "Mark all", show=False, id="table.mark-all",
                tooltip="Mark all vehicles that are shown, or none"),
    ]  # fmt: skip

    class Opened(Message):
        """The operator wants the page of a vehicle."""

        def __init__(self, vehicle_id: UUID) -> None:
            super().__init__()
            self.vehicle_id = vehicle_id

    class Changed(Message):
        """The cursor moved, the marks changed, or other vehicles are on the screen."""

    class SortAsked(Message):
        """The operator clicked the heading of a column that the table can be sorted by."""

        def __init__(self, sort: Sort) -> None:
            super().__init__()
            self.sort = sort

    def __init__(self, view: FleetView) -> None:
        super().__init__()
        self.view = view
        self.stale = False
        self._cursor_row = 0
        """The view's `cursor_row` as it was shown last."""
        self._hours: Mapping[UUID, LastHour] = {}
        self._idle = idle_columns(())
        self._columns: list[Column] = columns(80, idle=self._idle)
        self._painted: dict[int, FleetLine] = {}
        """The lines as they were painted last, by line of the screen."""

    @property
    def cursor(self) -> UUID | None:
        """The vehicle under the cursor."""
        return self.view.cursor

    @property
    def shows_last_hour(self) -> bool:
        """Whether a column needs the last hour of the vehicles on the screen."""
        return any(column.last_hour for column in self._columns)

    @property
    def shows_day(self) -> bool:
        """Whether a column needs the last day of the vehicles on the screen."""
        return any(column.last_day for column in self._columns)

    @property
    def shown_columns(self) -> list[str]:
        """The titles of the columns."""
        return [column.title for column in self._columns]

    @property
    def rows_on_screen(self) -> int:
        """The number of vehicles that fit on the screen."""
        return max(0, self.scrollable_content_region.height - HEADING_LINES)

    @property
    def on_screen(self) -> list[UUID]:
        """The vehicles on the screen."""
        top = round(self.scroll_y)
        return [vehicle.id for vehicle in self.view.shown[top : top + self.rows_on_screen]]

    def on_resize(self, _event: Resize) -> None:
        """Choose the columns that fit."""
        self.choose_columns()
        self._scroll_to_cursor()
        self.post_message(self.Changed())

    def choose_columns(self) -> None:
        """Show the columns that the operator wants, and those that fit."""
        width = self.scrollable_content_region.width
        self._columns = columns(width, self.view.columns, self._idle)
        self._painted.clear()
        self.refresh()
        self.update_view()

    def show(self, hours: Mapping[UUID, LastHour]) -> None:
        """Show a new snapshot."""
        self._hours = hours
        idle = idle_columns(self.view.vehicles)
        if idle == self._idle:
            self.update_view()
        else:
            self._idle = idle
            self.choose_columns()

    def show_staleness(self, stale: bool) -> None:
        """Dim the vehicles if they may be out of date."""
        if stale != self.stale:
            self.stale = stale
            self.refresh()

    def update_view(self) -> None:
        """Show the view after a refresh or a change of its marks."""
        self.virtual_size = Size(self.size.width, len(self.view.shown) + HEADING_LINES)
        before, self._cursor_row = self._cursor_row, self.view.cursor_row
        # If the operator scrolled the cursor off the screen, the scroll position stays.
        if 0 <= before - round(self.scroll_y) < max(1, self.rows_on_screen):
            self._scroll(self.scroll_y + self._cursor_row - before)
            self._scroll_to_cursor()
        self._repaint()

    def show_top(self) -> None:
        """Show the first vehicles, after a sort or a filter that the operator asked for."""
        self.update_view()
        self._scroll(0)
        self._repaint()

    def _scroll_to_cursor(self) -> None:
        """Scroll as little as possible so that the cursor is on the screen."""
        row, lowest_top = self._cursor_row, self._cursor_row - self.rows_on_screen + 1
        if not lowest_top <= self.scroll_y <= row and self.rows_on_screen:
            self._scroll(row if self.scroll_y > row else lowest_top)

    def _scroll(self, top: float) -> None:
        self.scroll_to(y=max(0, top), animate=False, immediate=True, force=True)

    def _repaint(self) -> None:
        """Repaint the cells on the screen that differ from what was painted last."""
        lines = range(HEADING_LINES + self.rows_on_screen)
        for y in lines:
            line = self._line(y)
            painted = self._painted.get(y)
            if painted == line:
                continue
            self._painted[y] = line
            if painted is None or not painted.same_layout(line):
                self.refresh(Region(0, y, self.size.width, 1))
            else:
                start, end = changed_part(self._columns, painted.cells, line.cells)
                self.refresh(Region(start, y, end - start, 1))
        for y in [y for y in self._painted if y not in lines]:
            del self._painted[y]

    def _line(self, y: int) -> FleetLine:
        """Return what line `y` of the screen shows."""
        if y < HEADING_LINES:
            return heading_line(self.view, self._columns)
        row = round(self.scroll_y) + y - HEADING_LINES
        if row >= len(self.view.shown):
            return FleetLine()
        return vehicle_line(self.view, row, self._columns, self._hours, stale=self.stale)

    def render_line(self, y: int) -> Strip:
        """Return line `y` of the screen."""
        line, width = self._line(y), self.size.width
        if y < HEADING_LINES:
            style = self.get_component_rich_style("fleet-table--heading")
            return paint_heading(line, width, style)
        if line.row_state is None:
            return Strip.blank(width, self.rich_style)
        style = self.rich_style
        if line.row_state.under_cursor:
            style = self.get_component_rich_style("fleet-table--cursor")
        return paint_row(line.cells, line.row_state, self._columns, width, style)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Repaint everything after the table was scrolled."""
        super().watch_scroll_y(old, new)
        if round(old) != round(new):
            self._painted.clear()
            self.refresh()
            self.post_message(self.Changed())

    def _move_cursor(self, row: int) -> None:
        if not self.view.shown:
            return
        self.view.move_cursor(row)
        self._cursor_row = self.view.cursor_row
        self._scroll_to_cursor()
        self._repaint()
        self.post_message(self.Changed())

    def action_move(self, steps: int) -> None:
        """Move the cursor by `steps` vehicles."""
        self._move_cursor(self._cursor_row + steps)

    def action_page(self, pages: int) -> None:
        """Move the cursor by `pages` screens."""
        self._move_cursor(self._cursor_row + pages * max(1, self.rows_on_screen - 1))

    def action_jump(self, row: int) -> None:
        """Move the cursor to the first vehicle (0) or the last one (-1)."""
        self._move_cursor(row if row >= 0 else len(self.view.shown) - 1)

    def _pointed_at(self) -> UUID | None:
        """Return the vehicle that a key is for: the one under the cursor.

        After the removal of the one that was there, the first key is for none: it tells so.
        """
        lost = self.view.lost_cursor
        if lost:
            text = f"{lost} {gone(self.view.tags)}: nothing was done"
            self.notify(text, severity="error", markup=False)
            self._move_cursor(self._cursor_row)
        return None if lost or not self.view.shown else self.cursor

    def action_mark(self) -> None:
        """Mark the vehicle under the cursor, or remove its mark; move to the next one."""
        if (pointed_at := self._pointed_at()) is not None:
            self.view.toggle_mark(pointed_at)
            self._move_cursor(self._cursor_row + 1)

    def action_mark_all(self) -> None:
        """Mark all vehicles that are shown, or none."""
        self.view.mark_all(vehicle.id for vehicle in self.view.shown)
        self._move_cursor(self._cursor_row)

    def action_open(self) -> None:
        """Open the page of the vehicle under the cursor."""
        if (pointed_at := self._pointed_at()) is not None:
            self.post_message(self.Opened(pointed_at))

    def on_click(self, event: Click) -> None:
        """Move the cursor to the clicked vehicle; open its page on a double click.

        A click on a column's heading sorts by it.
        """
        row = round(self.scroll_y) + event.y - HEADING_LINES
        if event.y < HEADING_LINES:
            sort = column_sort(self._columns, event.x)
            if sort is not None:
                self.post_message(self.SortAsked(sort))
            return
        if row >= len(self.view.shown):
            return
        self._move_cursor(row)
        if event.chain > 1:
            self.action_open()
