"""The fleet page: vehicles and their filter; on wide screens also the newest journal entries."""

from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from fleetsyncd.states import State
from tui.context import ScreenContext
from tui.day_reader import DayReader
from tui.formatting import STATE_STYLES
from tui.model import filters, view_text
from tui.model.export_table import ExportTable
from tui.model.fleet_export import fleet_row, fleet_table
from tui.model.sorting import Sort
from tui.model.state import DOCTOR
from tui.model.tag_text import with_tags
from tui.model.targets import Targets
from tui.model.typed_filter import TypedFilter
from tui.screens.page import Page, PageNeeds
from tui.widgets.fixed_text import FixedText
from tui.widgets.fleet_table import FleetTable
from tui.widgets.journal_tail import JournalTail


class FleetPage(Page):
    """The first page; closing it quits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="fleet.filter",
                tooltip=f"Show matching vehicles only: {filters.SYNTAX}"),
        Binding("escape", "clear", "Clear", show=False, id="fleet.clear",
                tooltip="Clear the filter, then the marks"),
        Binding("c", "columns", "Columns", show=False, id="fleet.columns",
                tooltip="Choose the columns"),
        Binding("exclamation_mark", "problems", "Problems", key_display="!", show=False,
                id="fleet.problems", tooltip="Show vehicles in trouble only, or all"),
        Binding("N", "sort('name')", "By name", show=False, id="fleet.sort-name"),
        Binding("S", "sort('state')", "By status", show=False, id="fleet.sort-status",
                tooltip="The worst first, from the top"),
        Binding("L", "sort('lag')", "By lag", show=False, id="fleet.sort-lag"),
        Binding("C", "sort('change')", "By change", show=False, id="fleet.sort-change",
                tooltip="By the age of the state, the last change first"),
        Binding("O", "sort('seen')", "By age", show=False, id="fleet.sort-age",
                tooltip="By age of the last answer; the same key again reverses the order"),
    ]  # fmt: skip

    class ColumnsAsked(Message):
        """The operator wants to choose the columns."""

        def __init__(self, page: "FleetPage") -> None:
            super().__init__()
            self.page = page

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.view = context.state.view
        self._typed = TypedFilter(filters.parse_filter, filters.NO_FILTER)
        self._days = DayReader(self, context, self._show_vehicles)

    def body(self) -> ComposeResult:
        """Lay out table, hint, filter, reason, status line and journal tail."""
        yield FleetTable(self.view)
        yield FixedText(id="hint")
        yield Input(placeholder=filters.SYNTAX, id="filter", compact=True)
        yield FixedText(id="reason")
        yield FixedText(id="status-line")
        yield JournalTail(with_tags(self.context.state.tags), id="tail")

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
        if self.fleet_table.shows_day and not state.lost:
            self._days.want(self.fleet_table.on_screen)
        self._show_vehicles()
        self._update_status_line()
        tail = None if state.snapshot is None else state.snapshot.tail
        self.query_one(JournalTail).show_entries(tail)

    def tick(self) -> None:
        """Update the ages, and dim the vehicles if they may be out of date."""
        super().tick()
        self.fleet_table.show_staleness(self.context.state.stale)

    def _show_top(self) -> None:
        """Show the view from its top, after the operator has sorted or filtered."""
        self.fleet_table.show_top()
        self._update_status_line()

    def _show_vehicles(self) -> None:
        state, days = self.context.state, self.context.days
        hours = {} if state.snapshot is None else state.snapshot.hours
        with_days = {key: replace(hour, day=days.day(key)) for key, hour in hours.items()}
        self.fleet_table.show(with_days)

    def _update_status_line(self) -> None:
        """Show what the table shows, why the vehicle under the cursor is so, and a hint."""
        table = self.fleet_table
        line = view_text.view_line(
            self.view, round(table.scroll_y), table.rows_on_screen, self.size.width - 1,
            wrong=bool(self._typed.fault),
        )  # fmt: skip
        self.query_one("#status-line", FixedText).show(_line(line))
        self.query_one("#reason", FixedText).show(self._reason())
        hint = self._hint()
        self.query_one("#hint", FixedText).show(Text(hint))
        self.query_one("#hint").display = bool(hint)

    def _hint(self) -> str:
        """Return why no vehicle is shown; empty if there are some."""
        state = self.context.state
        if state.snapshot is None:
            return f"The fleet has not been read yet: {DOCTOR}" if state.lost else "reading …"
        if self.view.shown:
            return ""
        return view_text.empty_text(
            self.view,
            read_only=state.read_only,
            tags=state.tags,
            known_tags=state.snapshot.known_tags,
        )

    def _reason(self) -> Text:
        """Return what is wrong with the filter; else why the vehicle under the cursor is so."""
        if self._typed.fault:
            return _line(f"✖ {self._typed.fault}", "bold red")
        cursor = self.fleet_table.cursor
        vehicle = None if cursor is None else self.view.get(cursor)
        if vehicle is None:
            return Text("")
        style = STATE_STYLES[vehicle.state]
        return _line("").append(f"{style.glyph} ", style.colour).append(view_text.reason(vehicle))

    def on_fleet_table_changed(self) -> None:
        """Update the status line after the cursor or the marks changed."""
        self._update_status_line()

    def on_fleet_table_sort_asked(self, event: FleetTable.SortAsked) -> None:
        """Sort by the column whose heading was clicked."""
        self.action_sort(event.sort)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        self._typed.type(event.value)
        self._apply_filter()

    def _filter_by(self, text: str) -> None:
        """Filter by a text that was not typed, and leave the field."""
        self._typed.set(filters.parse_filter(text))
        self._apply_filter()
        self._leave_filter()

    def _apply_filter(self) -> None:
        """Show what the filter shows, and what is wrong with it."""
        before = self.view.filter
        self.view.filter_by(self._typed.applies)
        self.query_one("#filter").set_class(bool(self._typed.fault), "-invalid")
        if self.view.filter is not before:
            self.fleet_table.show_top()
        self._update_status_line()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Focus the table, and the filter stays; a wrong filter stays open."""
        if not self._typed.fault:
            self._leave_filter()

    def _leave_filter(self) -> None:
        """Close the filter's field, which holds the filter that applies."""
        field = self.query_one("#filter", Input)
        field.display = False
        with field.prevent(Input.Changed):
            field.value = self.view.filter.text
        self._typed.set(self.view.filter)
        self._apply_filter()
        self.fleet_table.focus()

    def action_filter(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def apply_filter(self, wanted: filters.Filter) -> None:
        """Show the vehicles that match, in any state; the field has the filter's text."""
        self.view.problems_only = False
        self._typed.set(wanted)
        self._apply_filter()
        self._leave_filter()
        self.view.arrange()
        self._show_top()

    def toggle_state(self, state: State) -> None:
        """Show the vehicles in a state; all, if these are shown already."""
        text = f"st:{STATE_STYLES[state].word}"
        is_shown = self.view.filter.text == text and not self.view.problems_only
        self.apply_filter(filters.NO_FILTER if is_shown else filters.parse_filter(text))

    def action_clear(self) -> None:
        """Leave the filter's field; else clear the filter, else problems only, else the marks."""
        view = self.view
        if self.query_one("#filter").display:
            self._leave_filter()
        elif view.filter.text:
            self._filter_by("")
        elif view.problems_only:
            self.action_problems()
        else:
            view.clear_marks()
            self.fleet_table.update_view()
            self._update_status_line()

    def action_problems(self) -> None:
        """Show vehicles in trouble only, or all."""
        self.view.toggle_problems()
        self._show_top()

    def action_sort(self, sort: str) -> None:
        """Sort by `sort`; if the table is sorted by it already, reverse the order."""
        self.view.sort_by(Sort(sort))
        self._show_top()

    def action_columns(self) -> None:
        """Ask which columns to show."""
        self.post_message(self.ColumnsAsked(self))

    def choose_columns(self, choice: dict[str, bool] | None) -> None:
        """Show the columns that the operator has chosen; None leaves them as they are."""
        if choice is not None:
            self.view.columns = choice
            self.fleet_table.choose_columns()

    def needs(self) -> PageNeeds:
        """Return the vehicles whose last hour is shown, and whether the journal's tail is."""
        table = self.fleet_table
        return PageNeeds(table.on_screen if table.shows_last_hour else (), self.wide)

    def targets(self) -> Targets:
        """Return the marked vehicles, else the one under the cursor, of the tail or the table.

        An operator who is in the tail never means the table's cursor.
        """
        tail = self.query_one(JournalTail)
        if tail.is_entered and not (self.view.marked or self.view.lost_marks):
            vehicle = None if tail.vehicle_id is None else self.view.get(tail.vehicle_id)
            return Targets() if vehicle is None else Targets((vehicle,))
        return self.view.targets(self.fleet_table.cursor, self.fleet_table.on_screen)

    def copy_text(self) -> str:
        """Return a line of tab-separated cells for each target."""
        return "\n".join("\t".join(fleet_row(vehicle)) for vehicle in self.targets())

    def export_table(self) -> ExportTable:
        """Return the vehicles that match the filter; it says if marked ones are not among them."""
        table = fleet_table(self.view.shown)
        if not self.targets().hidden:
            return table
        left_out = f"Only what is shown is written, and of the marks: {self.view.marks_text}"
        return replace(table, notice=left_out)


def _line(text: str, style: str = "") -> Text:
    return Text(f" {text}", style, no_wrap=True, overflow="ellipsis")
