"""The vehicle page: one vehicle, with a pane for each tab."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.widgets import ContentSwitcher

from fleetsyncd.cells import cut
from fleetsyncd.database.views.audits import AuditStatus
from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import age, known_age
from tui.background import query, read_part
from tui.context import ScreenContext
from tui.day_reader import DayReader
from tui.formatting import KEY_HIDDEN, STATE_STYLES, progress_text
from tui.model import coverage_strip as week
from tui.model.day_strips import LEGEND, strip
from tui.model.export_table import ExportTable
from tui.model.job_text import job_progress_text
from tui.model.tag_text import gone
from tui.model.targets import Targets
from tui.screens.page import Page
from tui.screens.plot import ZOOM_KEYS, PlotPage
from tui.widgets.fixed_text import FixedText
from tui.widgets.panes.alarms import AlarmsPane
from tui.widgets.panes.channels import ChannelsPane
from tui.widgets.panes.config import ConfigPane
from tui.widgets.panes.history import HistoryPane
from tui.widgets.panes.journal import JournalPane
from tui.widgets.panes.pane import Pane

NAME_WIDTH = 28
VERSION_WIDTH = 20
TAB_KEYS = Binding.Group("Tab", compact=True)


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of the vehicle page: its title, and the id and class of its pane."""

    title: str
    pane_id: str
    pane: type[Pane]


TABS = (
    Tab("History", "history", HistoryPane),
    Tab("Alarms", "alarms", AlarmsPane),
    Tab("Journal", "journal", JournalPane),
    Tab("Channels", "channels", ChannelsPane),
    Tab("Config", "config-pane", ConfigPane),
)


class TabLine(FixedText):
    """The titles of the tabs in one line; a click opens a tab."""

    def show_open_tab(self, open_index: int) -> None:
        """Show which tab is open."""
        line = Text(" ", no_wrap=True)
        for index, tab in enumerate(TABS):
            style = "reverse bold" if index == open_index else ""
            line.append(_label(index, tab), style).append(" ")
        self.show(line)

    def on_click(self, event: Click) -> None:
        """Open the tab whose title was clicked."""
        end = 1
        for index, tab in enumerate(TABS):
            end += len(_label(index, tab)) + 1
            if event.x < end:
                self.screen.call_next(self.screen.run_action, f"tab({index})")
                return


def _label(index: int, tab: Tab) -> str:
    return f" {index + 1} {tab.title} "


def _reasons(vehicle: VehicleOverview) -> Iterator[tuple[str, str]]:
    """Yield what explains the vehicle's state, each with its colour."""
    if vehicle.paused:
        yield vehicle.paused, "yellow"
    if vehicle.late_because:
        yield vehicle.late_because, "magenta"
    if vehicle.gap is not None and vehicle.gap.remark:
        yield vehicle.gap.remark, "red"
    if vehicle.last_error and vehicle.failures:
        yield vehicle.last_error, "red"


class VehiclePage(Page):
    """Everything about one vehicle."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "step(-1)", "Tab", key_display="[", group=TAB_KEYS,
                id="vehicle.previous", tooltip="Open the previous tab"),
        Binding("right_square_bracket", "step(1)", "Tab", key_display="]", group=TAB_KEYS,
                id="vehicle.next", tooltip="Open the next tab"),
        *(
            Binding(str(index + 1), f"tab({index})", tab.title, show=False,
                    id=f"vehicle.{tab.title.lower()}")
            for index, tab in enumerate(TABS)
        ),
        Binding("minus", "zoom(1)", "Zoom out", key_display="-", group=ZOOM_KEYS,
                id="vehicle.zoom-out", tooltip="A longer span of the history"),
        Binding("equals_sign,plus", "zoom(-1)", "Zoom in", key_display="=", group=ZOOM_KEYS,
                id="vehicle.zoom-in", tooltip="A shorter span of the history"),
        Binding("escape,q", "leave", "Back", id="vehicle.back"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext, vehicle_id: UUID) -> None:
        super().__init__(context)
        self.vehicle_id = vehicle_id
        self.open_index = 0
        """Index of the open tab in TABS."""
        self._days = DayReader(self, context, self._show_day)
        self._audit: AuditStatus | None = None
        """The last audit of an operator, as it was read last."""

    def body(self) -> ComposeResult:
        """Lay out headline, tabs and panes."""
        yield FixedText(id="headline")
        yield FixedText(id="day")
        yield FixedText(id="coverage")
        yield TabLine(id="tabs")
        with ContentSwitcher(initial=TABS[0].pane_id):
            for tab in TABS:
                yield tab.pane(self.context, self.vehicle_id, id=tab.pane_id)

    def on_mount(self) -> None:
        """Open the first tab."""
        self.action_tab(0)

    @property
    def vehicle(self) -> VehicleOverview | None:
        """The vehicle as it was read last; None if it was removed."""
        return self.context.state.view.get(self.vehicle_id)

    @property
    def pane(self) -> Pane:
        """The pane of the open tab."""
        return self.query_one(f"#{TABS[self.open_index].pane_id}", Pane)

    def update_body(self) -> None:
        """Update the headline, and read the open pane's data again."""
        self.query_one("#headline", FixedText).show(self._headline())
        if self.vehicle is not None and not self.context.state.lost:
            self._days.want([self.vehicle_id])
            read_part(self, self._load_coverage, "coverage", keys_wait=False)
            read_part(self, self._load_audit, "audit", keys_wait=False)
        self._show_day()
        if self.pane.size:
            self.pane.refresh_data()

    def _show_day(self) -> None:
        """Show how the attempts of the last 24 hours ended, with what the signs mean."""
        day = self.context.days.day(self.vehicle_id)
        line = Text(" 24 h ", no_wrap=True, overflow="ellipsis")
        if day is not None:
            line.append_text(strip(day)).append(f"  {LEGEND}")
        self.query_one("#day", FixedText).show(line)

    async def _load_coverage(self) -> None:
        """Show what of the last week is stored, if that is not all."""
        gateway = self.context.gateway
        coverage, now = await query(lambda: gateway.coverage(self.vehicle_id))
        line = Text(" 7 d  ", no_wrap=True, overflow="ellipsis")
        drawn = week.coverage_strip(coverage, now)
        line.append_text(drawn).append(f"  {week.legend(drawn)}")
        widget = self.query_one("#coverage", FixedText)
        widget.show(line)
        widget.display = week.has_holes(coverage, now)

    async def _load_audit(self) -> None:
        """Show how far the vehicle's audit is, while one is running."""
        audits = self.context.gateway.audits
        statuses = await query(lambda: audits.statuses([self.vehicle_id]))
        self._audit = statuses.get(self.vehicle_id)
        self.query_one("#headline", FixedText).show(self._headline())

    def _headline(self) -> Text:
        vehicle = self.vehicle
        if vehicle is None:
            return Text(f" this vehicle {gone(self.context.state.tags)}: Esc goes back", "bold red")
        style = STATE_STYLES[vehicle.state]
        line = Text(f" {cut(vehicle.name, NAME_WIDTH)}", "bold", no_wrap=True, overflow="ellipsis")
        since = "" if vehicle.state_age is None else f" {age(vehicle.state_age)}"
        line.append(" · ", "not bold")
        line.append(f"{style.glyph} {style.word.upper()}{since}", style.colour)
        # Before all else: on a small screen the line is cut.
        for text, colour in _reasons(vehicle):
            line.append(f" · {text}", f"{colour} not bold")
        line.append(f" · seen {known_age(vehicle.seen_age)} · lag {age(vehicle.lag)}", "not bold")
        line.append_text(self._progress(vehicle))
        if vehicle.muted:
            line.append(f" · {vehicle.muted}", "yellow not bold")
        version = cut(vehicle.software_version or "-", VERSION_WIDTH)
        return line.append(f" · {vehicle.address} · {version} · key {KEY_HIDDEN}", "not bold")

    def _progress(self, vehicle: VehicleOverview) -> Text:
        """Return how far gap, backfill and audit are."""
        line = Text()
        for name, gap in (("gap", vehicle.catching_up), ("backfill", vehicle.backfill)):
            if gap is not None:
                line.append(f" · {name} {progress_text(gap)}", "cyan not bold")
        if self._audit is not None and not self._audit.finished:
            line.append(f" · audit {job_progress_text(self._audit)}", "cyan not bold")
        if vehicle.gap is not None:
            line.append(f" · {age(vehicle.gap.missing_sec)} missing", "cyan not bold")
        return line

    def action_tab(self, index: int) -> None:
        """Open a tab by its index in TABS."""
        self.open_index = index
        self.query_one(ContentSwitcher).current = TABS[index].pane_id
        self.query_one(TabLine).show_open_tab(index)
        self.unreadable.clear()
        self.refresh_bindings()
        self.pane.take_focus()
        self.call_after_refresh(self.pane.refresh_data)

    def action_step(self, step: int) -> None:
        """Open the next tab (1) or the previous one (-1)."""
        self.action_tab((self.open_index + step) % len(TABS))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the zoom keys only where the open pane has a span."""
        if action == "zoom" and not TABS[self.open_index].pane.ZOOMABLE:
            return False
        return super().check_action(action, parameters)

    def action_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1)."""
        self.pane.change_zoom(step)

    def action_leave(self) -> None:
        """Go back to the fleet."""
        self.app.pop_screen()

    def on_channels_pane_plotted(self, event: ChannelsPane.Plotted) -> None:
        """Open the plot page of a channel."""
        self.app.push_screen(PlotPage(self.context, self.vehicle_id, event.channels))

    def targets(self) -> Targets:
        """Return this vehicle; nothing if it was removed."""
        return Targets() if self.vehicle is None else Targets((self.vehicle,))

    def copy_text(self) -> str:
        """Return the row under the cursor, or the vehicle's name, address and id."""
        table, row = self.pane.export_table(), self.pane.cursor_row
        if table is not None and row is not None and row < len(table.rows):
            return "\t".join(table.rows[row])
        vehicle = self.vehicle
        return "" if vehicle is None else f"{vehicle.name}\t{vehicle.address}\t{vehicle.id}"

    def export_table(self) -> ExportTable | None:
        """Return the open pane's rows; None if it has no table."""
        return self.pane.export_table()
