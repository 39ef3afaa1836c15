"""Rows of plain text in a DataTable."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

Rows = Sequence[Sequence[Text]]
Facts = Sequence[tuple[str, str]]


def fill(table: "DataTable[Text]", rows: Rows) -> None:
    """Show rows anew, writing only what changed; the cursor stays on its line."""
    widen(table, rows)
    if table.row_count == len(rows):
        for place, (key, row) in enumerate(zip(list(table.rows), rows, strict=True)):
            if table.get_row_at(place) != list(row):
                for column, cell in zip(table.columns, row, strict=True):
                    table.update_cell(key, column, cell)
        return
    under = table.cursor_row
    table.clear()
    table.add_rows(rows)
    table.move_cursor(row=min(under, len(rows) - 1), animate=False)


def widen(table: "DataTable[Text]", rows: Rows) -> None:
    """Make room for rows before they are added: the table itself measures after its first paint."""
    for place, column in enumerate(table.ordered_columns):
        widths = [row[place].cell_len for row in rows]
        column.content_width = max(column.content_width, *widths, 0)


class RowTable(DataTable[Text]):
    """A table of rows with the moving keys of the fleet's table."""

    class Opened(Message):
        """A row is to be shown in full, as (name, fact) pairs."""

        def __init__(self, facts: Facts) -> None:
            super().__init__()
            self.facts = facts

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "cursor_up", "Up", show=False, id="rows.up"),
        Binding("j", "cursor_down", "Down", show=False, id="rows.down"),
        Binding("home,g", "scroll_top", "First", show=False, id="rows.first"),
        Binding("end,G", "scroll_bottom", "Last", show=False, id="rows.last"),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row")
