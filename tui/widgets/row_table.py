"""The base class of tables of rows, and functions that fill them."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widgets import DataTable

from fleetsyncd.cells import cut

Rows = Sequence[Sequence[Text]]
Fields = Sequence[tuple[str, str]]
"""A row in full, as (name, text) pairs."""
READING = "reading …"
GONE = "what was chosen is gone"
"""What a status line says while the cursor is on nothing."""


def unread(reason: str) -> str:
    """Return the notice of a table that could not be read."""
    return f"not read: {reason}"


def fill(table: "DataTable[Text]", rows: Rows) -> None:
    """Replace the rows, updating only the cells that changed; the cursor stays on its line."""
    widen(table, rows)
    if table.row_count == len(rows):
        for index, (key, row) in enumerate(zip(list(table.rows), rows, strict=True)):
            if table.get_row_at(index) != list(row):
                for column, cell in zip(table.columns, row, strict=True):
                    table.update_cell(key, column, cell)
        return
    cursor_row = table.cursor_row
    table.clear()
    table.add_rows(rows)
    table.move_cursor(row=min(cursor_row, len(rows) - 1), animate=False)


def widen(table: "DataTable[Text]", rows: Rows) -> None:
    """Widen the columns for rows that will be added.

    DataTable measures new rows itself, but only after it has painted them once.
    """
    for index, column in enumerate(table.ordered_columns):
        widths = [row[index].cell_len for row in rows]
        column.content_width = max(column.content_width, *widths, 0)


class RowTable(DataTable[Text]):
    """A table of rows, with the same keys to move the cursor as the fleet table.

    When the row under the cursor goes, the cursor is on nothing until the operator moves it: a key
    that was meant for a row is for no other.
    """

    class Opened(Message):
        """The operator wants to see a row in full."""

        def __init__(self, fields: Fields) -> None:
            super().__init__()
            self.fields = fields

    class Pointed(Message):
        """The operator has moved the cursor, which was on nothing, to a row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "cursor_up", "Up", show=False, id="rows.up"),
        Binding("j", "cursor_down", "Down", show=False, id="rows.down"),
        Binding("home,g", "scroll_top", "First", show=False, id="rows.first"),
        Binding("end,G", "scroll_bottom", "Last", show=False, id="rows.last"),
    ]

    notice = READING
    """What an empty table shows instead of rows: that it is being read, or why it is empty."""

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
        self.is_lost = False
        """Whether the cursor is on nothing, because what it was for is gone."""

    @property
    def picked_row(self) -> int | None:
        """Index of the row under the cursor; None if the cursor is on nothing."""
        is_on_row = not self.is_lost and 0 <= self.cursor_row < self.row_count
        return self.cursor_row if is_on_row else None

    def _set_lost(self, is_lost: bool) -> None:
        self.is_lost, self.show_cursor = is_lost, not is_lost

    def _point(self) -> None:
        """Take the cursor back to its line, as the operator moves it."""
        if self.is_lost:
            self._set_lost(False)
            self.post_message(self.Pointed())

    def action_cursor_up(self) -> None:
        """Move the cursor up."""
        self._point()
        super().action_cursor_up()

    def action_cursor_down(self) -> None:
        """Move the cursor down."""
        self._point()
        super().action_cursor_down()

    def action_page_up(self) -> None:
        """Move the cursor a page up."""
        self._point()
        super().action_page_up()

    def action_page_down(self) -> None:
        """Move the cursor a page down."""
        self._point()
        super().action_page_down()

    def action_scroll_top(self) -> None:
        """Move the cursor to the first row."""
        self._point()
        super().action_scroll_top()

    def action_scroll_bottom(self) -> None:
        """Move the cursor to the last row."""
        self._point()
        super().action_scroll_bottom()

    def on_click(self) -> None:
        """Let a click move the cursor."""
        self._point()

    def show_notice(self, text: str) -> None:
        """Say why the table has no rows; shown only while it has none."""
        if text != self.notice:
            self.notice = text
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return a line of the screen; an ellipsis ends a row that goes on beyond its right end.

        Without rows, the first line below the heading is the notice.
        """
        if not self.row_count and y == self.header_height:
            return self._notice_line()
        strip = super().render_line(y)
        end = self.scrollable_content_region.width  # the strip goes on below a scroll bar
        row = y - self.header_height + self.scroll_offset.y
        if y < self.header_height or not self._goes_on(row, self.scroll_offset.x + end):
            return strip
        ellipsis = Segment("…", [segment.style for segment in strip][-1])
        return Strip.join([strip.crop(0, end - 1), Strip([ellipsis]), strip.crop(end)])

    def _notice_line(self) -> Strip:
        line = Strip([Segment(cut(f" {self.notice}", self.size.width), self.rich_style)])
        return line.adjust_cell_length(self.size.width, self.rich_style)

    def _goes_on(self, row: int, end: int) -> bool:
        """Whether the text of a row goes on beyond `end`, in cells from the row's beginning."""
        if row >= self.row_count:
            return False
        *others, _ = (column.get_render_width(self) for column in self.ordered_columns)
        last_cell: Text = self.get_row_at(row)[-1]
        return sum(others) + self.cell_padding + last_cell.cell_len > end
