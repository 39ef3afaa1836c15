"""The journal page: the journal of the whole fleet, filtered by result and vehicle."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from fleetsyncd.reports import Outcome
from tui.background import PartRead, is_live, let_keys_wait
from tui.context import ScreenContext
from tui.model.export_table import ExportTable
from tui.screens.page import Page
from tui.widgets.fixed_text import FixedText
from tui.widgets.journal_table import JournalTable
from tui.widgets.row_table import GONE

RESULT_FILTERS: tuple[tuple[Outcome, ...], ...] = (
    (),
    (Outcome.TIMEOUT, Outcome.ERROR),
    (Outcome.TIMEOUT,),
    (Outcome.ERROR,),
    (Outcome.OK,),
)
"""The statuses that each result filter shows; empty means all of them."""


class JournalPage(Page):
    """The sync attempts of all vehicles, newest first; its newest page is updated live."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="journal.filter",
                tooltip="Show only vehicles whose name contains a text"),
        Binding("exclamation_mark", "results", "Results", key_display="!", id="journal.results",
                tooltip="Show all, failures, timeouts, errors or successes"),
        Binding("escape", "leave", "Back", id="journal.back",
                tooltip="Clear the filter, or go back"),
        Binding("q", "app.back", "Back", show=False, id="journal.leave"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.result_filter = 0
        """Index into RESULT_FILTERS."""
        self.name_part = ""

    def body(self) -> ComposeResult:
        """Lay out table, filter and status line."""
        yield JournalTable(self.context, None, with_vehicle=True)
        yield Input(placeholder="part of a vehicle's name", id="filter", compact=True)
        yield FixedText(id="status-line")

    def on_mount(self) -> None:
        """Hide the filter, and focus the table."""
        self.query_one("#filter").display = False
        self.query_one(JournalTable).focus()

    def update_body(self) -> None:
        """Read the shown page of the journal again."""
        self.query_one(JournalTable).reload()
        self._update_status_line()

    def tick(self) -> None:
        """Say as well whether the newest page is live: that ends without a read."""
        super().tick()
        if is_live(self):
            self._update_status_line()

    def _update_status_line(self) -> None:
        table = self.query_one(JournalTable)
        parts = ["journal", "/".join(RESULT_FILTERS[self.result_filter]) or "all results"]
        if self.name_part:
            parts.append(f"vehicles with {self.name_part}")
        if table.is_lost:
            parts.insert(1, GONE)
        parts.append(table.page_text)
        if table.is_read and not table.entries:
            parts.append("nothing to show")
        self.query_one("#status-line", FixedText).show(Text(" " + " · ".join(parts), no_wrap=True))

    def on_row_table_pointed(self) -> None:
        """Say no longer that what was chosen is gone."""
        self._update_status_line()

    def _apply_filter(self) -> None:
        table = self.query_one(JournalTable)
        table.set_filter(self.name_part, RESULT_FILTERS[self.result_filter])
        self._update_status_line()

    def on_part_read(self, event: PartRead) -> None:
        """Update the status line after the table has read its rows."""
        super().on_part_read(event)
        event.prevent_default()
        if is_live(self):
            self._update_status_line()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        self.name_part = event.value.strip()
        self._apply_filter()

    def on_input_submitted(self) -> None:
        """Focus the table; the filter stays, and keys wait for what it finds."""
        table = self.query_one(JournalTable)
        self.query_one("#filter").display = False
        table.focus()
        let_keys_wait(table, "journal")

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one("#filter").display = True
        self.query_one("#filter").focus()

    def action_results(self) -> None:
        """Use the next result filter."""
        self.result_filter = (self.result_filter + 1) % len(RESULT_FILTERS)
        self._apply_filter()

    def action_leave(self) -> None:
        """Leave the filter's field; else clear the filter; else go back."""
        field = self.query_one("#filter", Input)
        if field.has_focus:
            self.on_input_submitted()
        elif self.name_part:
            field.value = ""
        else:
            self.app.pop_screen()

    def copy_text(self) -> str:
        """Return the row under the cursor, its cells separated by tabs."""
        table = self.query_one(JournalTable)
        row = table.picked_row
        return "" if row is None else "\t".join(table.rows_for_export()[row])

    def export_table(self) -> ExportTable:
        """Return the rows of the shown page of the journal."""
        return self.query_one(JournalTable).export_table()
