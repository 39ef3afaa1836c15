"""The daemons that pull the fleet: which of them run, and how much of the fleet each pulls."""

from collections.abc import Sequence
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
from fleetsyncd.database.shard_locks import SHARDS
from fleetsyncd.text import age
from tui.context import ScreenContext

TICK_SEC = 1.0
HEADING = ("", "DAEMON", "VERSION", "SEEN", "CYCLE", "EVERY", "VEHICLES", "SHARDS")
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
        with VerticalScroll(id="box"):
            yield Static(id="daemons")
            yield Static(Text("\nEsc or q goes back", "dim"))

    def on_mount(self) -> None:
        """Show the table, and update its ages every second."""
        self._update_table()
        self.set_interval(TICK_SEC, self._update_table)

    def _update_table(self) -> None:
        state = self.context.state
        heartbeats = () if state.snapshot is None else state.snapshot.heartbeats
        since_read = state.since_read(self.context.now())
        self.query_one("#daemons", Static).update(_table(heartbeats, since_read))


def _table(heartbeats: Sequence[Heartbeat], since_read: float) -> RenderableType:
    if not heartbeats:
        return Text("no daemon has sent a heartbeat: start one with `fleetsyncd run`")
    grid = Table(box=None, padding=(0, 1), header_style="bold")
    for index, title in enumerate(HEADING):
        grid.add_column(title, justify="left" if index < TEXT_COLUMNS else "right")
    for heartbeat in heartbeats:
        seconds = heartbeat.age + since_read
        alive = seconds < FRESH_SEC
        cycle = "-" if heartbeat.cycle_sec is None else f"{heartbeat.cycle_sec:.1f}s"
        grid.add_row(
            Text("●", "green") if alive else Text("✖", "bold red"),
            Text(heartbeat.name),
            Text(heartbeat.version),
            Text(age(seconds), "" if alive else "bold red"),
            Text(cycle),
            Text(age(heartbeat.sync_interval_sec)),
            Text("-" if heartbeat.vehicles is None else str(heartbeat.vehicles)),
            Text(f"{len(heartbeat.shards)} of {SHARDS}"),
        )
    unstored = [
        Text(f"\n✖ {each.name}: {each.unstored}", "bold red")
        for each in heartbeats
        if each.alive and each.unstored.vehicles
    ]
    return Group(grid, *unstored)
