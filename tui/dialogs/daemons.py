"""The daemons that pull the fleet: which of them run, and how much of the fleet each pulls."""

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from fleetsyncd.database.replicas import FRESH_SEC, Heartbeat
from fleetsyncd.database.shard_locks import SHARDS, shard_of
from fleetsyncd.text import age
from tui.context import ScreenContext
from tui.formatting import took_text
from tui.model.daemons import LATE_SEC, Daemons
from tui.model.state import FleetState
from tui.model.tag_text import with_tags

TICK_SEC = 1.0
HEADING = ("", "DAEMON", "VERSION", "SEEN", "CYCLE", "EVERY", "VEHICLES", "SHARDS")
_FRESH = "●"
TEXT_COLUMNS = 3
"""The first columns are text, aligned left; the others are numbers."""


class DaemonsDialog(ModalScreen[None]):
    """Shows the daemons that sent a heartbeat within a day, the newest heartbeat first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,D", "dismiss", "Back", id="daemons.back"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self.context = context

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        with VerticalScroll(id="box") as box:
            box.border_subtitle = "Esc or q goes back"
            yield Static(id="daemons")

    def on_mount(self) -> None:
        """Show the table, and update its ages every second."""
        self._update_table()
        self.set_interval(TICK_SEC, self._update_table)

    def _update_table(self) -> None:
        state = self.context.state
        self.query_one("#daemons", Static).update(
            _table(state.daemons(self.context.now()), state, _why_none(state))
        )


def _why_none(state: FleetState) -> str:
    """Return why no daemon is listed."""
    if state.snapshot is not None:
        return "no daemon has sent a heartbeat for a day: start one with `fleetsyncd run`"
    return "reading …" if state.error is None else f"not read: {state.error}"


def _table(daemons: Daemons, state: FleetState, why_none: str) -> RenderableType:
    heartbeats = daemons.heartbeats
    if not heartbeats:
        return Text(why_none)
    grid = Table(box=None, padding=(0, 1), header_style="bold")
    for index, title in enumerate(HEADING):
        grid.add_column(title, justify="left" if index < TEXT_COLUMNS else "right")
    for heartbeat in heartbeats:
        seconds = daemons.age(heartbeat)
        glyph, style = _style(heartbeat, seconds)
        grid.add_row(
            Text(glyph, style),
            Text(heartbeat.name),
            Text(heartbeat.version),
            Text(_seen(heartbeat, seconds), "" if glyph == _FRESH else style),
            Text(took_text(heartbeat.cycle_sec)),
            Text(took_text(heartbeat.sync_interval_sec)),
            Text(_pulled(heartbeat, state)),
            Text(f"{len(heartbeat.shards)} of {SHARDS}"),
        )
    notes = [Text(f"\nVEHICLES: those{with_tags(state.tags)}")] if state.tags else []
    notes += [
        Text(f"\n! {each.name}: heartbeat is {each.ahead_text}, which was set back", "bold yellow")
        for each in daemons.ahead
    ]
    notes += [
        Text(f"\n✖ {each.name}: {each.unstored}", "bold red")
        for each in daemons.running
        if each.unstored.vehicles
    ]
    return Group(grid, *notes)


def _pulled(heartbeat: Heartbeat, state: FleetState) -> str:
    """Return how many vehicles a daemon pulls, of those that are shown."""
    if not state.tags or state.snapshot is None:
        return "-" if heartbeat.vehicles is None else str(heartbeat.vehicles)
    shards = set(heartbeat.shards)
    return str(sum(shard_of(vehicle.id) in shards for vehicle in state.snapshot.vehicles))


def _seen(heartbeat: Heartbeat, age_sec: float) -> str:
    return "ahead" if heartbeat.is_ahead else age(age_sec)


def _style(heartbeat: Heartbeat, age_sec: float) -> tuple[str, str]:
    """Return the glyph and the style of a daemon whose heartbeat is now so old."""
    if age_sec >= FRESH_SEC:
        return "✖", "bold red"
    is_late = heartbeat.is_ahead or age_sec >= LATE_SEC
    return ("◔", "bold yellow") if is_late else (_FRESH, "green")
