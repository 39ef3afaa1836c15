"""The daemons that pull the fleet: which are alive, and what each has of it."""

from typing import ClassVar

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
HEADING = ("", "DAEMON", "VERSION", "BEAT", "CYCLE", "EVERY", "VEHICLES", "SHARDS")


class DaemonsDialog(ModalScreen[None]):
    """Every daemon that was heard of within a day, the freshest first."""

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
            yield Static(Text("\nEsc goes back", "dim"))

    def on_mount(self) -> None:
        """Show the table, and keep it true."""
        self._show()
        self.set_interval(TICK_SEC, self._show)

    def _show(self) -> None:
        state = self.context.state
        beats = () if state.snapshot is None else state.snapshot.heartbeats
        since = state.since_read(self.context.now())
        shown = _table([(beat, beat.age + since) for beat in beats])
        self.query_one("#daemons", Static).update(shown)


def _table(daemons: list[tuple[Heartbeat, float]]) -> Table | Text:
    if not daemons:
        return Text("no daemon has been heard of: start one with `fleetsyncd run`")
    grid = Table(box=None, padding=(0, 1), header_style="bold")
    for place, title in enumerate(HEADING):
        grid.add_column(title, justify="left" if place < HEADING.index("BEAT") else "right")
    for beat, since in daemons:
        alive = since < FRESH_SEC
        cycle = "-" if beat.cycle_sec is None else f"{beat.cycle_sec:.1f}s"
        grid.add_row(
            Text("●", "green") if alive else Text("✖", "bold red"),
            Text(beat.name),
            Text(beat.version),
            Text(age(since), "" if alive else "bold red"),
            Text(cycle),
            Text(age(beat.interval)),
            Text("-" if beat.vehicles is None else str(beat.vehicles)),
            Text(f"{len(beat.shards)} of {SHARDS}"),
        )
    return grid
