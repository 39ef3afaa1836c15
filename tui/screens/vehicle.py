"""One vehicle: history, alarms, journal, channels, configuration."""

from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.widgets import ContentSwitcher, DataTable

from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import age
from tui.context import ScreenContext
from tui.formatting import KEY_HIDDEN, STATE_STYLES, cut, number_text, progress_text
from tui.screens.page import Page, Table
from tui.screens.plot import ZOOM, PlotPage
from tui.widgets.fixed_text import FixedText
from tui.widgets.journal_table import HEADING, JournalTable
from tui.widgets.panes.alarms import AlarmsPane
from tui.widgets.panes.channels import ChannelsPane
from tui.widgets.panes.config import ConfigPane
from tui.widgets.panes.history import HistoryPane
from tui.widgets.panes.journal import JournalPane
from tui.widgets.panes.pane import Pane

NAME_CELLS = 28
TAB = Binding.Group("Tab", compact=True)
TABS = ("History", "Alarms", "Journal", "Channels", "Config")


class TabLine(FixedText):
    """The panes' names in one line; a click shows one."""

    def show_tab(self, current: int) -> None:
        """Show which pane is open."""
        line = Text(" ", no_wrap=True)
        for place, name in enumerate(TABS):
            line.append(f" {place + 1} {name} ", "reverse bold" if place == current else "")
            line.append(" ")
        self.show(line)

    def on_click(self, event: Click) -> None:
        """Show the pane whose name was clicked."""
        x = 1
        for place, name in enumerate(TABS):
            x += len(name) + 5
            if event.x < x:
                self.screen.call_next(self.screen.run_action, f"tab({place})")
                return


class VehiclePage(Page):
    """Everything about one vehicle."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "step(-1)", "Tab", key_display="[", group=TAB,
                id="vehicle.previous", tooltip="The part before this one"),
        Binding("right_square_bracket", "step(1)", "Tab", key_display="]", group=TAB,
                id="vehicle.next", tooltip="The part after this one"),
        *(
            Binding(str(place + 1), f"tab({place})", name, show=False, id=f"vehicle.{name.lower()}")
            for place, name in enumerate(TABS)
        ),
        Binding("minus", "zoom(1)", "Zoom out", key_display="-", group=ZOOM,
                id="vehicle.zoom-out", tooltip="A longer span of the history"),
        Binding("equals_sign,plus", "zoom(-1)", "Zoom in", key_display="=", group=ZOOM,
                id="vehicle.zoom-in", tooltip="A shorter span of the history"),
        Binding("escape,q", "leave", "Back", id="vehicle.back"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext, vehicle_id: UUID) -> None:
        super().__init__(context)
        self.vehicle_id = vehicle_id
        self.current = 0

    def body(self) -> ComposeResult:
        """Lay out headline, tabs and panes."""
        yield FixedText(id="headline")
        yield TabLine(id="tabs")
        with ContentSwitcher(initial="history"):
            yield HistoryPane(self.context, self.vehicle_id, id="history")
            yield AlarmsPane(self.context, self.vehicle_id, id="alarms")
            yield JournalPane(self.context, self.vehicle_id, id="journal")
            yield ChannelsPane(self.context, self.vehicle_id, id="channels")
            yield ConfigPane(self.context, self.vehicle_id, id="config-pane")

    def on_mount(self) -> None:
        """Open the first pane."""
        self.action_tab(0)

    @property
    def vehicle(self) -> VehicleOverview | None:
        """The vehicle as it was read last; None if it is gone."""
        return self.context.state.view.get(self.vehicle_id)

    @property
    def pane(self) -> Pane:
        """The pane that is open."""
        return self.query(Pane).filter(f"#{_pane_id(self.current)}").first(Pane)

    def update_body(self) -> None:
        """Show the headline, and the open pane anew."""
        self.query_one("#headline", FixedText).show(self._headline())
        if self.pane.size:
            self.pane.refresh_data()

    def _headline(self) -> Text:
        vehicle = self.vehicle
        if vehicle is None:
            return Text(" this vehicle was removed: Esc goes back", "bold red")
        glyph, word, colour = STATE_STYLES[vehicle.state]
        line = Text(f" {cut(vehicle.name, NAME_CELLS)}", "bold", no_wrap=True, overflow="ellipsis")
        line.append(f" · {vehicle.address} · {vehicle.software_version or '-'} · ", "not bold")
        line.append(f"{glyph} {word.upper()}", colour)
        line.append(f" seen {age(vehicle.seen_age)} · lag {age(vehicle.lag)}", "not bold")
        for name, gap in (("gap", vehicle.catching_up), ("backfill", vehicle.backfill)):
            if gap is not None:
                line.append(f" · {name} {progress_text(gap)}", "cyan not bold")
        line.append(f" · key {KEY_HIDDEN}", "not bold")
        if vehicle.last_error and vehicle.failures:
            line.append(f" · {vehicle.last_error}", "red not bold")
        return line

    def action_tab(self, place: int) -> None:
        """Open a pane."""
        self.current = place
        self.query_one(ContentSwitcher).current = _pane_id(place)
        self.query_one(TabLine).show_tab(place)
        self.unread.clear()
        self.refresh_bindings()
        self.pane.take_focus()
        self.call_after_refresh(self.pane.refresh_data)

    def action_step(self, step: int) -> None:
        """Open the next pane, or the one before."""
        self.action_tab((self.current + step) % len(TABS))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer zooming where there is something to zoom."""
        if action == "zoom" and self.current != 0:
            return False
        return super().check_action(action, parameters)

    def action_zoom(self, step: int) -> None:
        """Change the span of the history."""
        self.query_one(HistoryPane).change_zoom(step)

    def action_leave(self) -> None:
        """Go back to the fleet."""
        self.app.pop_screen()

    def on_channels_pane_plotted(self, event: ChannelsPane.Plotted) -> None:
        """Plot a channel over time."""
        self.app.push_screen(PlotPage(self.context, self.vehicle_id, event.channel))

    def targets(self) -> list[VehicleOverview]:
        """Return this vehicle."""
        return [] if self.vehicle is None else [self.vehicle]

    def copied(self) -> str:
        """Return the row under the cursor, or the vehicle's name and address."""
        table = self.table()
        cursor = next((t.cursor_row for t in self.pane.query(DataTable)), -1)
        if table is not None and 0 <= cursor < len(table[2]):
            return "\t".join(table[2][cursor])
        vehicle = self.vehicle
        return "" if vehicle is None else f"{vehicle.name}\t{vehicle.address}\t{vehicle.id}"

    def table(self) -> Table | None:
        """Return the open pane's rows."""
        pane = self.pane
        if isinstance(pane, ChannelsPane):
            rows = [
                [str(c.channel_id), c.name, number_text(c.value), c.unit] for c in pane.channels
            ]
            return "channels", ["channel", "name", "value", "unit"], rows
        if isinstance(pane, AlarmsPane):
            alarms = [
                [str(a.alarm_id), str(a.triggered_at), str(a.resolved_at or ""), a.message]
                for a in pane.alarms or ()
            ]
            return "alarms", ["alarm", "triggered", "resolved", "message"], alarms
        journal = next(iter(pane.query(JournalTable)), None)
        return None if journal is None else ("journal", HEADING, journal.rows_for_export())


def _pane_id(place: int) -> str:
    return ("history", "alarms", "journal", "channels", "config-pane")[place]
