"""The page of open alarms: those of the whole fleet, filtered by text, severity and vehicle."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from fleetsyncd.database.views.alarms import Order
from fleetsyncd.severities import Severity
from fleetsyncd.text import age
from tui.background import PartRead, let_keys_wait
from tui.context import ScreenContext
from tui.formatting import SEVERITY_STYLES
from tui.model.alarm_filter import NO_ALARM_FILTER, SYNTAX, at_least, parse_alarm_filter
from tui.model.export_table import ExportTable
from tui.model.tag_text import with_tags
from tui.model.typed_filter import TypedFilter
from tui.screens.alarm_plot import plot_of_alarm
from tui.screens.page import Page
from tui.screens.vehicle import VehiclePage
from tui.widgets.alarm_cells import ahead_text, channel_text, export_row, is_doubtful
from tui.widgets.alarm_table import AlarmTable
from tui.widgets.fixed_text import FixedText
from tui.widgets.row_table import GONE

LOWEST_SEVERITIES: tuple[Severity, ...] = (
    Severity.INFO, Severity.CRITICAL, Severity.ALARM, Severity.WARNING,
)  # fmt: skip
"""What the severity key steps through: all, critical ones, and more and more."""


class AlarmsPage(Page):
    """The open alarms of all vehicles; its first page is updated live."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "vehicle", "Vehicle", id="open-alarms.vehicle",
                tooltip="The page of the alarm's vehicle"),
        Binding("slash", "filter", "Filter", key_display="/", id="open-alarms.filter",
                tooltip=f"Show matching alarms only: {SYNTAX}"),
        Binding("exclamation_mark", "severities", "Severity", key_display="!",
                id="open-alarms.severities",
                tooltip="Show all, critical ones, alarms and worse, warnings and worse"),
        Binding("S", "order", "Order", id="open-alarms.order",
                tooltip="Order by severity and then the newest first, or the newest first"),
        Binding("escape", "leave", "Back", id="open-alarms.back",
                tooltip="Clear the filter, or go back"),
        Binding("q", "app.back", "Back", show=False, id="open-alarms.leave"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.order = Order.SEVERITY
        self._typed = TypedFilter(
            lambda text: parse_alarm_filter(text, self.alarm_table.severity_names), NO_ALARM_FILTER
        )
        self.lowest = 0
        """Index into LOWEST_SEVERITIES."""

    @property
    def filter_text(self) -> str:
        """The text of the filter that applies."""
        return self._typed.applies.text

    @property
    def filter_error(self) -> str:
        """What is wrong with the text in the field; empty if nothing is."""
        return self._typed.fault

    def body(self) -> ComposeResult:
        """Lay out table, hint, alarm under the cursor, filter and status line."""
        yield AlarmTable(self.context)
        yield FixedText(id="hint")
        yield FixedText(id="headline")
        yield Input(placeholder=SYNTAX, id="filter", compact=True)
        yield FixedText(id="status-line")

    def on_mount(self) -> None:
        """Hide the filter, and focus the table."""
        self.query_one("#filter").display = False
        self.alarm_table.focus()

    @property
    def alarm_table(self) -> AlarmTable:
        """The table of alarms."""
        return self.query_one(AlarmTable)

    def update_body(self) -> None:
        """Read the shown page of alarms again."""
        self.alarm_table.show_stale(self.context.state.lost)
        self.alarm_table.reload()
        self._update_lines()

    def on_part_read(self, event: PartRead) -> None:
        """Update the lines below the table after it has read its rows."""
        super().on_part_read(event)
        event.prevent_default()
        self._update_lines()

    def on_alarm_table_moved(self) -> None:
        """Show the alarm under the cursor in full width."""
        self._update_lines()

    def on_row_table_pointed(self) -> None:
        """Say no longer that what was chosen is gone."""
        self._update_lines()

    def _update_lines(self) -> None:
        table = self.alarm_table
        is_empty = table.page is not None and not table.page.rows
        self.query_one("#hint", FixedText).show(Text(self._hint() if is_empty else ""))
        self.query_one("#hint").display = is_empty
        table.display = not is_empty
        if not is_empty and self.focused is None:
            table.focus()  # a table that is hidden loses the focus
        self.query_one("#headline", FixedText).show(self._headline())
        self.query_one("#status-line", FixedText).show(self._status_line())
        # Textual takes the class away when a text is submitted.
        self.query_one("#filter", Input).set_class(bool(self.filter_error), "-invalid")

    def _hint(self) -> str:
        if self.filter_text or self.lowest:
            whose = with_tags(self.context.state.tags)
            of_whom = f" of a vehicle{whose}" if whose else ""
            return f"No open alarm{of_whom} matches: Esc shows all"
        return f"No vehicle{with_tags(self.context.state.tags)} has an open alarm"

    def _headline(self) -> Text:
        """Return the alarm under the cursor, which the table's columns may cut."""
        alarm = self.alarm_table.alarm
        line = Text(no_wrap=True, overflow="ellipsis")
        if alarm is None:
            return line
        style = SEVERITY_STYLES[alarm.rank]
        line.append(f" {style.glyph} ", style.colour)
        if is_doubtful(alarm):
            known = "?" if alarm.known_age is None else f"{age(alarm.known_age)} ago"
            line.append(f"as of {known} · ", "yellow")
        if ahead := ahead_text(alarm):
            line.append(f"{ahead} · ", "yellow")
        line.append(alarm.message, "bold")
        return line.append(f" · {alarm.vehicle_name} · channel {channel_text(alarm)}")

    def _status_line(self) -> Text:
        if self.filter_error:
            return Text(f" {self.filter_error}", "bold red", no_wrap=True, overflow="ellipsis")
        parts = [f"open alarms {self.alarm_table.position_text}", self.order.value]
        if self.alarm_table.is_lost:
            parts.insert(1, GONE)
        if self.lowest:
            lowest = LOWEST_SEVERITIES[self.lowest]
            worse = "" if lowest is Severity.CRITICAL else " and worse"
            parts.append(f"{SEVERITY_STYLES[lowest].word}{worse}")
        if self.filter_text:
            parts.append(f"filter: {self.filter_text}")
        return Text(" " + " · ".join(parts), no_wrap=True, overflow="ellipsis")

    def _choose(self) -> None:
        chosen = self._typed.applies.chosen
        if self.lowest:
            chosen = at_least(chosen, LOWEST_SEVERITIES[self.lowest])
        self.alarm_table.choose(self.order, chosen)
        self._update_lines()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing; while the text is not valid, the last valid filter applies."""
        before = self._typed.applies
        self._typed.type(event.value)
        if self._typed.applies != before:
            self._choose()
        else:
            self._update_lines()

    def on_input_submitted(self) -> None:
        """Focus the table; the filter stays, and keys wait for what it finds.

        A text that is not valid stays in its field.
        """
        if self.filter_error:
            self._update_lines()
        else:
            self._leave_filter()
            let_keys_wait(self.alarm_table, "alarms")

    def _leave_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = False
        with field.prevent(Input.Changed):
            field.value = self.filter_text
        self._typed.set(self._typed.applies)
        self.alarm_table.focus()
        self._update_lines()

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one("#filter").display = True
        self.query_one("#filter").focus()

    def action_severities(self) -> None:
        """Show the next choice of severities."""
        self.lowest = (self.lowest + 1) % len(LOWEST_SEVERITIES)
        self._choose()

    def action_order(self) -> None:
        """Use the other order."""
        self.order = Order.NEWEST if self.order is Order.SEVERITY else Order.SEVERITY
        self._choose()

    def action_leave(self) -> None:
        """Leave the filter's field; else clear filter and severities; else go back."""
        if self.query_one("#filter", Input).has_focus:
            self._leave_filter()
        elif self.filter_text or self.lowest:
            self._typed.set(NO_ALARM_FILTER)
            self.lowest = 0
            self._leave_filter()
            self._choose()
        else:
            self.app.pop_screen()

    def action_plot(self) -> None:
        """Open the plot of the alarm's channel."""
        alarm = self.alarm_table.alarm
        if alarm is None:
            return
        page = plot_of_alarm(self.context, alarm)
        if page is None:
            self.app.notify("this alarm names no channel: v opens its vehicle", markup=False)
        else:
            if ahead := ahead_text(alarm):
                self.app.notify(f"{ahead}: the plot ends at present", markup=False)
            self.app.push_screen(page)

    def action_vehicle(self) -> None:
        """Open the page of the alarm's vehicle."""
        alarm = self.alarm_table.alarm
        if alarm is not None:
            self.app.push_screen(VehiclePage(self.context, alarm.vehicle_id))

    def copy_text(self) -> str:
        """Return the alarm under the cursor, its cells separated by tabs."""
        alarm = self.alarm_table.alarm
        return "" if alarm is None else "\t".join(export_row(alarm))

    def export_table(self) -> ExportTable:
        """Return the alarms of the shown page."""
        return self.alarm_table.export_table()
