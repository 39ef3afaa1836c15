"""The base class of pages with one table that is read again with the fleet."""

from collections.abc import Hashable, Sequence
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from tui.background import PartRead, let_keys_wait, read_part
from tui.context import ScreenContext
from tui.model.export_table import ExportTable
from tui.model.tag_text import gone
from tui.screens.page import Page
from tui.widgets.fixed_text import FixedText
from tui.widgets.keyed_table import KeyedTable
from tui.widgets.row_table import GONE, Fields, RowTable


class Room(Page):
    """A table, a filter by vehicle, and a line that says what is shown.

    Without rows it says whether they are being read, could not be read, or do not exist.
    """

    NAME: ClassVar[str] = ""
    """What an exported file is called, and the status line unless it has a LABEL."""
    LABEL: ClassVar[str] = ""
    HEADING: ClassVar[Sequence[str]] = ()
    WRITING: ClassVar[frozenset[str]] = frozenset()
    """The actions that write: absent in read-only mode, disabled while the database is lost."""
    MARKS: ClassVar[bool] = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Vehicle", key_display="/", id="room.filter",
                tooltip="Show only vehicles whose name contains a text"),
        Binding("escape", "leave", "Back", id="room.back",
                tooltip="Clear marks or the filter, or go back"),
        Binding("q", "app.back", "Back", show=False, id="room.leave", tooltip="Go back"),
    ]  # fmt: skip

    class VehicleOpened(Message):
        """The operator wants to see a vehicle."""

        def __init__(self, vehicle_id: UUID) -> None:
            super().__init__()
            self.vehicle_id = vehicle_id

    TELLS_READING: ClassVar[bool] = True
    """Whether the status line says that rows are being read."""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.name_part = ""
        self.is_read = False
        """Whether what is asked for has been read."""

    def body(self) -> ComposeResult:
        """Lay out table, hint, filter and status line."""
        yield KeyedTable([name.upper() for name in self.HEADING], marks=self.MARKS)
        yield FixedText(id="hint")
        yield from self.below_table()
        yield Input(placeholder="part of a vehicle's name", id="filter", compact=True)
        yield FixedText(id="status-line")

    def below_table(self) -> ComposeResult:
        """Lay out what stands between table and filter; subclasses override it."""
        yield from ()

    def on_mount(self) -> None:
        """Hide the filter, and focus the table."""
        self.query_one("#filter").display = False
        self.table.focus()
        self.show_state()

    @property
    def table(self) -> KeyedTable:
        """The page's table."""
        return self.query_one(KeyedTable)

    async def load(self) -> None:
        """Read the rows and show them; subclasses override it."""

    def question(self) -> tuple[Hashable, ...]:
        """Return what decides which rows are read; subclasses add to it."""
        return (self.name_part,)

    def nothing(self) -> str:
        """Return what is said when there is no row; subclasses override it."""
        return ""

    def status(self) -> Sequence[str]:
        """Return the parts of the status line after the page's name; subclasses override it."""
        return ()

    def update_body(self) -> None:
        """Read the rows again."""
        read_part(self, self.load, self.NAME, self.question)

    def ask_anew(self) -> None:
        """Read other rows: until they are there, the page says that it reads."""
        self.is_read = False
        self.table.expect_others()
        self.show_state()
        self.update_body()

    def show_state(self) -> None:
        """Show the status line, and the hint in place of a table without rows."""
        hint = ""
        if not self.table.keys:
            hint = self.nothing() if self.is_read else "reading …"
            if self.unreadable and not self.is_read:
                hint = "could not be read: see above"
        self.query_one("#hint", FixedText).show(Text(hint))
        self.query_one("#hint").display = bool(hint)
        # It is not hidden: without the focus its keys would do nothing.
        self.table.set_class(bool(hint), "-empty")
        parts = [self.LABEL or self.NAME, *self.status()]
        if not self.is_read and self.TELLS_READING:
            parts.append("not read" if self.unreadable else "reading …")
        if self.name_part:
            parts.insert(1, f"vehicles with {self.name_part}")
        if self.table.is_lost and self.table.keys:
            parts.insert(1, GONE)
        line = Text(" " + " · ".join(parts), no_wrap=True, overflow="ellipsis")
        self.query_one("#status-line", FixedText).show(line)

    def on_row_table_pointed(self) -> None:
        """Say no longer that what was chosen is gone."""
        self.show_state()

    def on_part_read(self, event: PartRead) -> None:
        """Tell that the rows were read, or could not be."""
        super().on_part_read(event)
        event.prevent_default()
        self.is_read = self.is_read or event.error is None
        if not self.is_read:
            # Rows of another filter would stand under a name that is not theirs.
            self.table.show_rows([], [])
        self.show_state()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what writes in read-only mode; disable it while the database is lost."""
        if action in self.WRITING:
            if self.context.state.read_only:
                return False
            return None if self.context.state.lost else True
        return super().check_action(action, parameters)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        self.name_part = event.value.strip()
        self.ask_anew()

    def on_input_submitted(self) -> None:
        """Focus the table; the filter stays, and keys wait for what it finds."""
        self.query_one("#filter").display = False
        self.table.focus()
        if not self.is_read:
            let_keys_wait(self, self.NAME)

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one("#filter").display = True
        self.query_one("#filter").focus()

    def action_leave(self) -> None:
        """Leave the filter's field; else clear the marks, else the filter; else go back."""
        field = self.query_one("#filter", Input)
        if field.has_focus:
            self.on_input_submitted()
        elif self.table.clear_marks():
            self.show_state()
        elif self.name_part:
            field.value = ""
        else:
            self.app.pop_screen()

    def action_open_row(self) -> None:
        """Open the line under the cursor; subclasses override it."""

    def open_vehicle_of(self, vehicle_id: UUID, name: str) -> None:
        """Open the page of a vehicle; say so if it is in the fleet no more."""
        snapshot = self.context.state.snapshot
        if snapshot is None or all(each.id != vehicle_id for each in snapshot.vehicles):
            tags = self.context.state.tags
            what = f"{name} {gone(tags)}" if tags else f"{name}: not in the fleet any more"
            self.app.notify(what, markup=False)
            return
        self.post_message(self.VehicleOpened(vehicle_id))

    def show_details(self, fields: Fields) -> None:
        """Show a row in full."""
        self.post_message(RowTable.Opened(fields))

    def copy_text(self) -> str:
        """Return the row under the cursor, its cells separated by tabs."""
        rows, at = self.export_table().rows, self.table.picked_row
        return "\t".join(rows[at]) if at is not None and at < len(rows) else ""

    def export_table(self) -> ExportTable:
        """Return the rows that are shown; subclasses override it."""
        return ExportTable(self.NAME, self.HEADING, [])
