"""The fleet: totals, the table of vehicles, what it shows, and on wide screens the journal."""

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from fleetsyncd.errors import CommandError
from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import age
from tui.context import ScreenContext
from tui.formatting import OUTCOME_STYLES, UNKNOWN_STYLE, time_text
from tui.model import filters
from tui.model.columns import status
from tui.model.fleet_view import Sort
from tui.screens.page import Needs, Page, Table
from tui.widgets.fixed_text import FixedText
from tui.widgets.fleet_table import FleetTable

if TYPE_CHECKING:
    from fleetsyncd.models import JournalEntry

HEADING = [
    "vehicle", "id", "address", "state", "seen_s", "lag_s", "data_s", "rows", "failures",
    "version", "last_error",
]  # fmt: skip


class FleetPage(Page):
    """The first screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="fleet.filter",
                tooltip=f"Show some vehicles only: {filters.SYNTAX}"),
        Binding("escape", "clear", "Clear", show=False, id="fleet.clear",
                tooltip="Clear filter, then marks"),
        Binding("exclamation_mark", "problems", "Problems", key_display="!", show=False,
                id="fleet.problems", tooltip="Show vehicles in trouble only, or all"),
        Binding("N", "sort('vehicle')", "By name", show=False, id="fleet.sort-name"),
        Binding("S", "sort('status')", "By status", show=False, id="fleet.sort-status"),
        Binding("L", "sort('lag')", "By lag", show=False, id="fleet.sort-lag"),
        Binding("A", "sort('seen')", "By age", show=False, id="fleet.sort-age",
                tooltip="By when it was seen last; the same key again turns the order round"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.view = context.state.view

    def body(self) -> ComposeResult:
        """Lay out table, hint, filter, line of what is shown, and tail."""
        yield FleetTable(self.view)
        yield FixedText(id="hint")
        yield Input(placeholder=filters.SYNTAX, id="filter", compact=True)
        yield FixedText(id="shown")
        yield FixedText(id="tail")

    def on_mount(self) -> None:
        """Hide what is not needed yet, and let the table have the keys."""
        self.query_one("#filter").display = False
        self.query_one(FleetTable).focus()

    @property
    def fleet_table(self) -> FleetTable:
        """The table of vehicles."""
        return self.query_one(FleetTable)

    def update_body(self) -> None:
        """Show the vehicles as they are now."""
        state = self.context.state
        hours = {} if state.snapshot is None else state.snapshot.hours
        self.fleet_table.show(hours, stale=state.stale)
        self._tell()
        tail = () if state.snapshot is None else state.snapshot.tail
        lines = Text("\n", no_wrap=True, overflow="ellipsis").join(map(tail_line, tail))
        self.query_one("#tail", FixedText).show(lines)

    def _rearranged(self) -> None:
        self.fleet_table.arranged()
        self._tell()

    def _tell(self) -> None:
        """Say what the table shows, and what to do if that is nothing."""
        self.query_one("#shown", FixedText).show(self._shown_line())
        hint = self._hint()
        self.query_one("#hint", FixedText).show(Text(hint))
        self.query_one("#hint").display = bool(hint)

    def _hint(self) -> str:
        state = self.context.state
        if state.snapshot is None or self.view.shown:
            return ""
        if not self.view.total:
            press = "" if state.read_only else ": press a to add one"
            return f"No vehicles yet{press}"
        if self.view.problems_only and not self.view.filter.text:
            return "No vehicle is in trouble: ! shows all"
        return "No vehicle fits the filter: Esc clears it"

    def _shown_line(self) -> Text:
        view, table = self.view, self.fleet_table
        parts = []
        if view.problems_only:
            parts.append("problems only")
        if view.filter.text:
            parts.append(f"filter: {view.filter.text}")
        parts.append(f"sort {view.sort}{'▼' if view.falling else '▲'}")
        top = round(table.scroll_y)
        last = min(top + table.lines, len(view.shown))
        some = f" ({view.total})" if len(view.shown) != view.total else ""
        parts.append(f"{min(top + 1, last)}-{last} of {len(view.shown)}{some}")
        if view.marked:
            parts.append(f"{len(view.marked)} marked")
        return Text(" " + " · ".join(parts), no_wrap=True, overflow="ellipsis")

    def on_fleet_table_changed(self) -> None:
        """Say anew which part of the fleet is on the screen."""
        self._tell()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing; what cannot be understood leaves the last filter as it is."""
        try:
            self.view.filter = filters.parse_filter(event.value)
        except CommandError as error:
            event.input.add_class("-invalid")
            self.query_one("#shown", FixedText).show(Text(f" {error}", "bold red", no_wrap=True))
            return
        event.input.remove_class("-invalid")
        self.view.arrange()
        self._rearranged()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Go back to the table; the filter stays."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = False
        with field.prevent(Input.Changed):
            field.value = self.view.filter.text
        field.remove_class("-invalid")
        self.fleet_table.focus()
        self._tell()

    def action_filter(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_clear(self) -> None:
        """Leave the filter's field; else clear the filter; else the problems; else the marks."""
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
            self._rearranged()

    def action_problems(self) -> None:
        """Show vehicles in trouble only, or all."""
        self.view.problems_only = not self.view.problems_only
        self.view.arrange()
        self._rearranged()

    def action_sort(self, sort: str) -> None:
        """Order by something else, or turn the order round."""
        self.view.sort_by(Sort(sort))
        self._rearranged()

    def needs(self) -> Needs:
        """Return the vehicles on a wide screen, and that their journal is shown beneath."""
        return (self.fleet_table.on_screen, True) if self.wide else ([], False)

    def targets(self) -> list[VehicleOverview]:
        """Return the marked vehicles, else the one under the cursor."""
        return self.view.targets(self.fleet_table.cursor)

    def copied(self) -> str:
        """Return the targets' lines."""
        return "\n".join("\t".join(_row(vehicle)) for vehicle in self.targets())

    def table(self) -> Table:
        """Return every vehicle that is shown."""
        return "fleet", HEADING, [_row(vehicle) for vehicle in self.view.shown]


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


def tail_line(attempt: "JournalEntry") -> Text:
    """Return one row of the journal as a line."""
    glyph, colour = OUTCOME_STYLES.get(attempt.status, UNKNOWN_STYLE)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f" {time_text(attempt.started_at, day=False)}  ")
    line.append(f"{glyph} {attempt.status:<8}", colour)
    line.append(
        f"{attempt.vehicle_name:<20.20} {attempt.rows_written:>7} rows  {age(attempt.seconds):>4}  "
    )
    line.append(attempt.error_msg or "")
    return line
