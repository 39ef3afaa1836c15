"""The fleet page: vehicles and their filter; on wide screens also the newest journal entries."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from fleetsyncd.errors import CommandError
from fleetsyncd.states import VehicleOverview
from tui.context import ScreenContext
from tui.model import filters
from tui.model.columns import status
from tui.model.export_table import ExportTable
from tui.model.fleet_view import SORT_TITLES, Sort
from tui.model.state import DOCTOR
from tui.screens.page import Page, PageNeeds
from tui.widgets.fixed_text import FixedText
from tui.widgets.fleet_table import FleetTable
from tui.widgets.journal_tail import JournalTail

EXPORT_HEADING = [
    "vehicle", "id", "address", "state", "seen_s", "lag_s", "data_s", "rows", "failures",
    "version", "last_error",
]  # fmt: skip


class FleetPage(Page):
    """The first page; closing it quits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="fleet.filter",
                tooltip=f"Show matching vehicles only: {filters.SYNTAX}"),
        Binding("escape", "clear", "Clear", show=False, id="fleet.clear",
                tooltip="Clear the filter, then the marks"),
        Binding("exclamation_mark", "problems", "Problems", key_display="!", show=False,
                id="fleet.problems", tooltip="Show vehicles in trouble only, or all"),
        Binding("N", "sort('name')", "By name", show=False, id="fleet.sort-name"),
        Binding("S", "sort('state')", "By status", show=False, id="fleet.sort-status"),
        Binding("L", "sort('lag')", "By lag", show=False, id="fleet.sort-lag"),
        Binding("A", "sort('seen')", "By age", show=False, id="fleet.sort-age",
                tooltip="By age of the last answer; the same key again reverses the order"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.view = context.state.view

    def body(self) -> ComposeResult:
        """Lay out table, hint, filter, status line and journal tail."""
        yield FleetTable(self.view)
        yield FixedText(id="hint")
        yield Input(placeholder=filters.SYNTAX, id="filter", compact=True)
        yield FixedText(id="status-line")
        yield JournalTail(id="tail")

    def on_mount(self) -> None:
        """Hide the filter, and focus the table."""
        self.query_one("#filter").display = False
        self.query_one(FleetTable).focus()

    @property
    def fleet_table(self) -> FleetTable:
        """The table of vehicles."""
        return self.query_one(FleetTable)

    def update_body(self) -> None:
        """Show the last snapshot."""
        state = self.context.state
        hours = {} if state.snapshot is None else state.snapshot.hours
        self.fleet_table.show(hours)
        self._update_status_line()
        tail = None if state.snapshot is None else state.snapshot.tail
        self.query_one(JournalTail).show_entries(tail)

    def tick(self) -> None:
        """Update the ages, and dim the vehicles if they may be out of date."""
        super().tick()
        self.fleet_table.show_staleness(self.context.state.stale)

    def _show_view(self) -> None:
        self.fleet_table.update_view()
        self._update_status_line()

    def _update_status_line(self) -> None:
        """Show what the table shows, and a hint if it shows nothing."""
        self.query_one("#status-line", FixedText).show(self._status_line())
        hint = self._hint()
        self.query_one("#hint", FixedText).show(Text(hint))
        self.query_one("#hint").display = bool(hint)

    def _hint(self) -> str:
        state = self.context.state
        if state.snapshot is None:
            return f"The fleet has not been read yet: {DOCTOR}" if state.lost else "reading …"
        if self.view.shown:
            return ""
        if not self.view.total:
            hint = "" if state.read_only else ": press a to add one"
            return f"No vehicles yet{hint}"
        if self.view.problems_only and not self.view.filter.text:
            return "No vehicle is in trouble: ! shows all"
        return "No vehicle matches the filter: Esc clears it"

    def _status_line(self) -> Text:
        view, table = self.view, self.fleet_table
        parts = []
        if view.problems_only:
            parts.append("problems only")
        if view.filter.text:
            parts.append(f"filter: {view.filter.text}")
        parts.append(f"sort {SORT_TITLES[view.sort]}{'▼' if view.descending else '▲'}")
        top = round(table.scroll_y)
        last = min(top + table.rows_on_screen, len(view.shown))
        total = f" ({view.total})" if len(view.shown) != view.total else ""
        parts.append(f"{min(top + 1, last)}-{last} of {len(view.shown)}{total}")
        if view.marked:
            parts.append(f"{len(view.marked)} marked")
        return Text(" " + " · ".join(parts), no_wrap=True, overflow="ellipsis")

    def on_fleet_table_changed(self) -> None:
        """Update the status line after the cursor or the marks changed."""
        self._update_status_line()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing; while the text is not valid, the last valid filter applies."""
        try:
            self.view.filter = filters.parse_filter(event.value)
        except CommandError as error:
            event.input.add_class("-invalid")
            self.query_one("#status-line", FixedText).show(
                Text(f" {error}", "bold red", no_wrap=True)
            )
            return
        event.input.remove_class("-invalid")
        self.view.arrange()
        self._show_view()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Focus the table; the filter stays."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = False
        with field.prevent(Input.Changed):
            field.value = self.view.filter.text
        field.remove_class("-invalid")
        self.fleet_table.focus()
        self._update_status_line()

    def action_filter(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_clear(self) -> None:
        """Leave the filter's field; else clear the filter, else problems only, else the marks."""
        if self.query_one("#filter").has_focus:
            self._leave_filter()
            return
        view = self.view
        if view.filter.text:
            self.query_one("#filter", Input).value = ""
        elif view.problems_only:
            self.action_problems()
        else:
            view.marked.clear()
            self._show_view()

    def action_problems(self) -> None:
        """Show vehicles in trouble only, or all."""
        self.view.problems_only = not self.view.problems_only
        self.view.arrange()
        self._show_view()

    def action_sort(self, sort: str) -> None:
        """Sort by `sort`; if the table is sorted by it already, reverse the order."""
        self.view.sort_by(Sort(sort))
        self._show_view()

    def needs(self) -> PageNeeds:
        """Return the vehicles on the screen and the journal's tail; nothing on a narrow screen."""
        return PageNeeds(self.fleet_table.on_screen, True) if self.wide else PageNeeds()

    def targets(self) -> list[VehicleOverview]:
        """Return the marked vehicles, else the one under the cursor, of the table or the tail."""
        return self.view.targets(self.query_one(JournalTail).vehicle_id or self.fleet_table.cursor)

    def copy_text(self) -> str:
        """Return a line of tab-separated cells for each target."""
        return "\n".join("\t".join(_row(vehicle)) for vehicle in self.targets())

    def export_table(self) -> ExportTable:
        """Return the vehicles that match the filter."""
        return ExportTable("fleet", EXPORT_HEADING, [_row(vehicle) for vehicle in self.view.shown])


def _row(vehicle: VehicleOverview) -> list[str]:
    ages = [vehicle.seen_age, vehicle.lag, vehicle.data_age]
    return [
        vehicle.name,
        str(vehicle.id),
        vehicle.address,
        status(vehicle),
        *("" if seconds is None else f"{seconds:.0f}" for seconds in ages),
        "" if vehicle.rows is None else str(vehicle.rows),
        str(vehicle.failures),
        vehicle.software_version or "",
        vehicle.last_error or "",
    ]
