"""The fleet at a glance: every vehicle's state, ages and last error, read-only, always fresh."""

from collections import Counter
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import DataTable, Footer, Static

from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseError
from fleetsyncd.settings import Settings
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.tables import age
from fleetsyncd.text import clean
from tui.gateway import Gateway, Snapshot

REFRESH_SEC = 2.0
COLUMNS = ("VEHICLE", "STATE", "SEEN", "LAG", "DATA", "ROWS", "VERSION", "LAST ERROR")
LOOKS = {
    State.ONLINE: ("●", "green"),
    State.CATCHING_UP: ("◐", "cyan"),
    State.TIMEOUT: ("◌", "yellow"),
    State.ERROR: ("✖", "red"),
    State.LATE: ("◔", "yellow"),
    State.NEVER: ("?", "magenta"),
    State.PAUSED: ("‖", "blue"),
}


class Refreshed(Message):
    """A snapshot was read, or could not be."""

    def __init__(self, snapshot: Snapshot | None, fault: str | None) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.fault = fault


class FleetApp(App[None]):
    """One screen: a line of totals above the table of vehicles."""

    CSS_PATH = "app.tcss"
    TITLE = "fleetsyncd"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("ctrl+r", "refresh", "Refresh"),
        ("q", "quit", "Quit"),
    ]

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    def compose(self) -> ComposeResult:
        """Lay out totals, table and keys."""
        yield Static("reading …", id="totals")
        yield DataTable(cursor_type="row", zebra_stripes=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Start reading."""
        self.query_one(DataTable).add_columns(*COLUMNS)
        self.action_refresh()

    @work(thread=True, exclusive=True, exit_on_error=False)
    def action_refresh(self) -> None:
        """Read a snapshot in a thread; the next one is armed when this one is shown."""
        try:
            self.post_message(Refreshed(self._gateway.snapshot(), None))
        except DatabaseError as fault:
            self.post_message(Refreshed(None, str(fault)))

    def on_refreshed(self, news: Refreshed) -> None:
        """Show what was read; rows on the screen stay when the database is lost."""
        if news.snapshot is None:
            lost = Text(f" database lost: {clean(news.fault or '', 200)}", "bold red")
            self.query_one("#totals", Static).update(lost)
        else:
            self.query_one("#totals", Static).update(totals(news.snapshot))
            self._show(news.snapshot)
        self.set_timer(REFRESH_SEC, self.action_refresh)

    def _show(self, snapshot: Snapshot) -> None:
        table: DataTable[Text] = self.query_one(DataTable)
        row, left = table.cursor_row, table.scroll_x
        table.clear()
        for vehicle in snapshot.vehicles:
            table.add_row(*cells(vehicle), key=str(vehicle.id))
        table.move_cursor(row=row)
        table.scroll_to(x=left, animate=False)


def cells(vehicle: VehicleOverview) -> list[Text]:
    """Return a vehicle's row; everything from outside is plain text, never markup."""
    glyph, colour = LOOKS[vehicle.state]
    word = vehicle.state.value
    if vehicle.state is State.CATCHING_UP and vehicle.catching_up is not None:
        word = f"{word} {vehicle.catching_up.fraction:.0%}"
    return [
        Text(clean(vehicle.name, 60)),
        Text(f"{glyph} {word}", colour),
        Text(age(vehicle.seen_age), justify="right"),
        Text(age(vehicle.lag), justify="right"),
        Text(age(vehicle.data_age), justify="right"),
        Text("-" if vehicle.rows is None else str(vehicle.rows), justify="right"),
        Text(clean(vehicle.software_version or "-", 30)),
        Text(clean(vehicle.last_error or "", 200)),
    ]


def totals(snapshot: Snapshot) -> Text:
    """Return the headline: is a daemon alive, and how many vehicles are in which state."""
    alive = f"● live, heartbeat {age(snapshot.heartbeat)} ago" if snapshot.daemon_alive else None
    line = Text(f" fleetsyncd  {alive}" if alive else " fleetsyncd  ")
    if alive is None:
        last = (
            "never seen"
            if snapshot.heartbeat is None
            else f"last seen {age(snapshot.heartbeat)} ago"
        )
        line.append(f"✖ daemon not running, {last}: every state below is old", "bold red")
    counts = Counter(vehicle.state for vehicle in snapshot.vehicles)
    line.append(f"   {len(snapshot.vehicles)} vehicles")
    for state, (glyph, colour) in LOOKS.items():
        if counts[state]:
            line.append(f"  {glyph} {counts[state]} {state.value}", colour)
    return line


def build(settings: Settings) -> FleetApp:
    """Return the dashboard over the database that the daemon is configured for."""
    database = Database(settings.database, application="fleetsync-tui")
    return FleetApp(Gateway(database, settings.sync_interval))
