"""A table whose cursor and marks stay on their rows, whatever is read again."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import Binding, BindingType

from tui.widgets.row_table import Rows, RowTable, fill

MARK = "▪"
NARROWEST, SCROLLBAR = 8, 2
"""Cells of the last column at least, and of the scroll bar."""


class KeyedTable(RowTable):
    """Rows with a key each; with `marks`, a first column that shows which are marked.

    When all rows that are marked go, the cursor is on nothing too.
    Enter is the screen's: its action is `open_row`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.open_row", "Open", id="rows.open",
                tooltip="Open the line under the cursor, or show it in full"),
    ]  # fmt: skip

    def __init__(self, heading: Sequence[str | Text], *, marks: bool = False) -> None:
        super().__init__()
        self.heading = heading
        self.marked: set[Hashable] = set()
        self.keys: list[Hashable] = []
        self._is_anew = False
        self._has_marks = marks
        self._cells: list[Sequence[Text]] = []

    def on_mount(self) -> None:
        """Add the columns."""
        self.set_heading(self.heading)

    def set_heading(self, heading: Sequence[str | Text]) -> None:
        """Show other columns, without rows and marks."""
        self.clear(columns=True)
        self.heading, self.keys, self._cells = heading, [], []
        self.marked.clear()
        self._set_lost(False)
        self.add_columns(*([" "] if self._has_marks else []), *heading)

    def show_rows(self, keys: Sequence[Hashable], cells: Rows) -> None:
        """Show rows; the cursor stays on its row, else it is on nothing; marks of others go."""
        had_marks, before, at = bool(self.marked), self.cursor_key, self.cursor_row
        is_moved = list(keys) != self.keys
        self.keys, self._cells = list(keys), list(cells)
        self.marked.intersection_update(keys)
        self._paint()
        if is_moved and keys:
            row = self.keys.index(before) if before in self.keys else min(at, len(keys) - 1)
            self.move_cursor(row=row, animate=False)
            is_gone = before is not None and before not in self.keys
            if is_gone or (had_marks and not self.marked):
                self._set_lost(not self._is_anew)
        self._is_anew = False

    def expect_others(self) -> None:
        """Take the next rows for what the operator has asked for: no row of before is lost."""
        self._is_anew = True
        self._set_lost(False)

    def on_resize(self) -> None:
        """Cut the rows for the new width."""
        self._paint()

    def _paint(self) -> None:
        rows = self._cells
        if self._has_marks:
            marks = [Text(MARK if key in self.marked else " ") for key in self.keys]
            rows = [[mark, *row] for mark, row in zip(marks, rows, strict=True)]
        # As narrow as its title and cells are by now: the other columns may have become wider.
        last = self.ordered_columns[-1]
        last.content_width = cell_len(str(last.label))
        fill(self, self._fitting(rows))

    def _fitting(self, rows: Rows) -> Rows:
        """Return the rows with a last cell that ends, with an ellipsis, where the screen ends."""
        titles = [cell_len(str(column.label)) for column in self.ordered_columns[:-1]]
        widths = [max(title, *(row[n].cell_len for row in rows)) if rows else title
                  for n, title in enumerate(titles)]  # fmt: skip
        taken = sum(width + 2 * self.cell_padding for width in widths) + 2 * self.cell_padding
        left = max(NARROWEST, self.app.size.width - taken - SCROLLBAR)
        return [[*row[:-1], _cut(row[-1], left)] for row in rows]

    @property
    def cursor_key(self) -> Hashable | None:
        """The key of the row under the cursor; None if the cursor is on nothing."""
        return None if self.picked_row is None else self.keys[self.picked_row]

    @property
    def chosen(self) -> list[Hashable]:
        """The keys of the marked rows, else of the one under the cursor."""
        marked = [key for key in self.keys if key in self.marked]
        return marked or [key for key in [self.cursor_key] if key is not None]

    def toggle_mark(self) -> None:
        """Mark the row under the cursor or remove its mark, and move to the next one."""
        if self.cursor_key is not None:
            self.marked ^= {self.cursor_key}
            self._paint()
            self.action_cursor_down()

    def toggle_all(self) -> None:
        """Mark all rows; if all are marked, none."""
        everything = set(self.keys)
        self.marked = set() if self.marked == everything else everything
        self._paint()

    def clear_marks(self) -> bool:
        """Remove all marks; tell whether there were any."""
        were_any = bool(self.marked)
        self.marked.clear()
        self._paint()
        return were_any


def _cut(text: Text, cells: int) -> Text:
    cut = text.copy()
    cut.truncate(cells, overflow="ellipsis")
    return cut
