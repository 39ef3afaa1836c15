"""The journal of the whole fleet: newest first, filtered by result and vehicle, following live."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.background import PartRead
from tui.context import ScreenContext
from tui.screens.page import Page, Table
from tui.widgets.fixed_text import FixedText
from tui.widgets.journal_table import HEADING, JournalTable

RESULTS: tuple[tuple[str, ...], ...] = ((), ("timeout", "error"), ("timeout",), ("error",), ("ok",))


class JournalPage(Page):
    """Every vehicle's attempts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Vehicle", key_display="/", id="journal.filter",
                tooltip="Show attempts of some vehicles only, by a part of their names"),
        Binding("exclamation_mark", "results", "Results", key_display="!", id="journal.results",
                tooltip="Go through: all, failures, timeouts, errors, good ones"),
        Binding("escape", "leave", "Back", id="journal.back", tooltip="Clear the filter, or back"),
        Binding("q", "app.back", "Back", show=False, id="journal.leave"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.results = 0
        self.name_part = ""

    def body(self) -> ComposeResult:
        """Lay out table, filter and the line of what is shown."""
        yield JournalTable(self.context, None, named=True)
        yield Input(placeholder="part of a vehicle's name", id="filter", compact=True)
        yield FixedText(id="shown")

    def on_mount(self) -> None:
        """Let the table have the keys."""
        self.query_one("#filter").display = False
        self.query_one(JournalTable).focus()

    def update_body(self) -> None:
        """Read the page anew."""
        self.query_one(JournalTable).reload()
        self._tell()

    def _tell(self) -> None:
        table = self.query_one(JournalTable)
        parts = ["journal", "/".join(RESULTS[self.results]) or "all results"]
        if self.name_part:
            parts.append(f"vehicles with {self.name_part}")
        parts.append(table.place)
        if table.is_read and not table.attempts:
            parts.append("nothing to show")
        self.query_one("#shown", FixedText).show(Text(" " + " · ".join(parts), no_wrap=True))

    def _ask(self) -> None:
        snapshot = self.context.state.snapshot
        wanted = self.name_part.lower()
        vehicles = None
        if wanted and snapshot is not None:
            vehicles = [v.id for v in snapshot.vehicles if wanted in v.name.lower()]
        self.query_one(JournalTable).ask_for(vehicles, RESULTS[self.results])
        self._tell()

    def on_part_read(self, event: PartRead) -> None:
        """Say anew what is shown once it is."""
        super().on_part_read(event)
        event.prevent_default()
        self._tell()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        self.name_part = event.value.strip()
        self._ask()

    def on_input_submitted(self) -> None:
        """Go back to the table; the filter stays."""
        self.query_one("#filter").display = False
        self.query_one(JournalTable).focus()

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one("#filter").display = True
        self.query_one("#filter").focus()

    def action_results(self) -> None:
        """Show other results."""
        self.results = (self.results + 1) % len(RESULTS)
        self._ask()

    def action_leave(self) -> None:
        """Leave the filter, clear it, or go back."""
        field = self.query_one("#filter", Input)
        if field.has_focus:
            self.on_input_submitted()
        elif self.name_part:
            field.value = ""
        else:
            self.app.pop_screen()

    def copied(self) -> str:
        """Return the row under the cursor."""
        table = self.query_one(JournalTable)
        rows = table.rows_for_export()
        return "\t".join(rows[table.cursor_row]) if rows else ""

    def table(self) -> Table:
        """Return this page's rows."""
        return "journal", HEADING, self.query_one(JournalTable).rows_for_export()
