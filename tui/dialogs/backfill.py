"""The dialog that asks for a past interval."""

from dataclasses import dataclass
from datetime import timedelta

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label, Static

from fleetsyncd.database.views.estimates import PullRate
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.text import age, counted
from fleetsyncd.time_limits import backfill_window
from fleetsyncd.times import utc_span
from tui.context import ScreenContext
from tui.dialogs.dialog import Dialog
from tui.formatting import count_text, took_text

PRESETS = ("1h", "6h", "24h", "7d", "30d")


@dataclass(frozen=True, slots=True)
class CancelBackfill:
    """The answer that cancels the running backfill."""


class BackfillForm(Dialog[Window | CancelBackfill]):
    """Asks for an interval, by preset or typed in, and estimates the work.

    With `running`, the operator can cancel the running backfill instead.
    """

    def __init__(
        self,
        context: ScreenContext,
        title: str,
        vehicles: int,
        rate: PullRate,
        *,
        running: bool,
        notice: str = "",
    ) -> None:
        super().__init__(title, "Backfill", notice=notice)
        self.context = context
        self.vehicles = vehicles
        self.rate = rate
        self.running = running

    def body(self) -> ComposeResult:
        """Lay out presets, fields and estimate."""
        with Horizontal(id="presets"):
            for preset in PRESETS:
                yield Button(preset, id=f"last-{preset}", classes="preset", compact=True)
        yield Label("From (24h, 7d, or 2026-11-23 14:30, your clock)")
        yield Input("24h", id="from", compact=True)
        yield Label("To (now, or as above)")
        yield Input("now", id="to", compact=True)
        yield Static("", id="estimate")
        if self.running:
            yield Button(
                "Cancel the running backfill",
                id="cancel-backfill",
                variant="warning",
                compact=True,
            )

    def on_mount(self) -> None:
        """Show the estimate of the proposed interval."""
        self._update_estimate()
        self.query_one("#from").focus()

    def window(self) -> Window:
        """Return the interval of the fields; raise CommandError if it is not valid."""
        start, end = (self.query_one(name, Input).value for name in ("#from", "#to"))
        keep_months = self.context.gateway.measurements_keep_months
        return backfill_window(start, end, self.context.wall(), keep_months)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Fill in a preset, or cancel the backfill; Dialog handles the other buttons."""
        pressed = str(event.button.id)
        if pressed.startswith("last-"):
            self.query_one("#from", Input).value = pressed.removeprefix("last-")
            self.query_one("#to", Input).value = "now"
        elif pressed == "cancel-backfill":
            self.finish(CancelBackfill())

    def on_input_changed(self) -> None:
        """Update the estimate while typing."""
        self._update_estimate()

    def _update_estimate(self) -> None:
        try:
            window = self.window()
        except CommandError as error:
            self.show_error(str(error))
            return
        self.show_error("")
        text = estimate_text(self.rate, window.length, self.vehicles)
        span = utc_span(window.start, window.end)
        self.query_one("#estimate", Static).update(Text(f"{span}\n{text}"))

    def submit(self) -> None:
        """Answer the interval, or show what is wrong with it."""
        try:
            self.finish(self.window())
        except CommandError as error:
            self.show_error(str(error))


def estimate_text(rate: PullRate, length: timedelta, vehicles: int) -> str:
    """Return how many measurements an interval holds, and how long pulling it may take."""
    of_vehicles = "" if vehicles == 1 else f" of {counted(vehicles, 'vehicle')}"
    span = f"{age(length.total_seconds())}{of_vehicles}"
    if not rate.rows_per_second:
        return f"{span}; the number of measurements is not known yet"
    rows = count_text(rate.rows_per_second * length.total_seconds())
    noun = "measurement" if rows == "1" else "measurements"
    text = f"{span}: about {rows} {noun}; rows already stored are not doubled"
    if not rate.speed:
        return text
    return f"{text}. About {took_text(length.total_seconds() / rate.speed)} per vehicle"
