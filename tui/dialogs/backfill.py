"""The dialog that asks for a past interval."""

from datetime import timedelta

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label, Static

from fleetsyncd.database.views.estimates import PullRate
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.text import age
from fleetsyncd.times import parse_time
from tui.context import ScreenContext
from tui.dialogs.dialog import Dialog
from tui.formatting import count_text

PRESETS = ("1h", "6h", "24h", "7d", "30d")


class BackfillForm(Dialog[Window]):
    """Asks for an interval, by preset or by hand, and estimates what it will take."""

    def __init__(
        self, context: ScreenContext, title: str, vehicles: int, pace: PullRate, running: bool
    ) -> None:
        super().__init__(title, "Backfill")
        self.context = context
        self.vehicles = vehicles
        self.pace = pace
        self.running = running

    def body(self) -> ComposeResult:
        """Lay out presets, fields and estimate."""
        with Horizontal(id="presets"):
            for preset in PRESETS:
                yield Button(preset, id=f"last-{preset}", classes="preset", compact=True)
        yield Label("From (24h, 7d, or 2026-11-23 14:30, your clock)")
        yield Input("24h", id="from", compact=True)
        yield Label("To (now, or likewise)")
        yield Input("now", id="to", compact=True)
        yield Static("", id="estimate")
        if self.running:
            yield Button(
                "Call off the one that runs", id="call-off", variant="warning", compact=True
            )

    def on_mount(self) -> None:
        """Estimate what is proposed."""
        self._estimate()
        self.query_one("#from").focus()

    def window(self) -> Window:
        """Return the interval; raise CommandError if it is none."""
        now = self.context.wall()
        start = parse_time(self.query_one("#from", Input).value, now)
        end = min(now, parse_time(self.query_one("#to", Input).value, now))
        if start >= end:
            raise CommandError("the interval must begin before it ends, and before now")
        return Window(start, end)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Fill a preset in, or call off; what all dialogs have, their own handler does."""
        pressed = str(event.button.id)
        if pressed.startswith("last-"):
            self.query_one("#from", Input).value = pressed.removeprefix("last-")
            self.query_one("#to", Input).value = "now"
        elif pressed == "call-off":
            moment = self.context.wall()
            self.finish(Window(moment, moment))

    def on_input_changed(self) -> None:
        """Estimate anew."""
        self._estimate()

    def _estimate(self) -> None:
        try:
            window = self.window()
        except CommandError as error:
            self.show_error(str(error))
            return
        self.show_error("")
        told = estimate(self.pace, window.length, self.vehicles)
        self.query_one("#estimate", Static).update(Text(told))

    def submit(self) -> None:
        """Hand the interval over, or say what is wrong."""
        try:
            self.finish(self.window())
        except CommandError as error:
            self.show_error(str(error))


def estimate(pace: PullRate, length: timedelta, vehicles: int) -> str:
    """Say how many measurements an interval holds, and how long pulling it may take."""
    many = "" if vehicles == 1 else f" of {vehicles} vehicles"
    span = f"{age(length.total_seconds())}{many}"
    if not pace.rows_per_second:
        return f"{span}; how many measurements is not known yet"
    rows = pace.rows_per_second * length.total_seconds()
    told = f"{span}: about {count_text(rows)} measurements; what is stored already is not doubled"
    if not pace.speed:
        return told
    return f"{told}. About {age(length.total_seconds() / pace.speed)} a vehicle"
