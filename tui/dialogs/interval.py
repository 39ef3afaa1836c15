"""The base class of the dialogs that ask for a past interval."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label, Static

from fleetsyncd.database.views.estimates import PullRate
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.text import age, counted
from fleetsyncd.time_limits import backfill_window
from tui.context import ScreenContext
from tui.dialogs.dialog import Dialog
from tui.formatting import count_text, took_text

Wanted = TypeVar("Wanted")


@dataclass(frozen=True, slots=True)
class CancelRunning:
    """The answer that cancels what is running."""


@dataclass(frozen=True, slots=True)
class Work:
    """For whom an interval is asked, what is known of their rows, and whether something runs."""

    vehicles: int
    rate: PullRate
    is_running: bool


class IntervalForm(Dialog[Wanted | CancelRunning]):
    """Asks for an interval, by preset or typed in, and estimates the work.

    While the same kind of work is running, the operator can cancel that instead.
    """

    NOUN: ClassVar[str]
    FROM_LABEL: ClassVar[str] = "From (24h, 7d, or 2026-11-23 14:30, your clock)"
    PRESETS: ClassVar[Sequence[str]] = ("1h", "6h", "24h", "7d", "30d")

    def __init__(self, context: ScreenContext, whose: str, work: Work, *, notice: str = "") -> None:
        verb = self.NOUN.capitalize()
        super().__init__(f"{verb} {whose}", verb, notice=notice)
        self.context = context
        self.work = work

    def body(self) -> ComposeResult:
        """Lay out presets, fields and estimate."""
        with Horizontal(id="presets"):
            for preset in self.PRESETS:
                yield Button(preset, id=f"last-{preset}", classes="preset", compact=True)
        yield Label(self.FROM_LABEL)
        yield Input("24h", id="from", compact=True)
        yield Label("To (now, or as above)")
        yield Input("now", id="to", compact=True)
        yield from self.choices()
        yield Static("", id="estimate")
        if self.work.is_running:
            yield Button(
                f"Cancel the running {self.NOUN}",
                id="cancel-running",
                variant="warning",
                compact=True,
            )

    def choices(self) -> ComposeResult:
        """Lay out what else is asked; subclasses override it."""
        yield from ()

    @abstractmethod
    def wanted(self) -> Wanted:
        """Return what the fields say; raise CommandError if it is not valid."""

    @abstractmethod
    def estimate(self) -> str:
        """Say what the fields mean, and how much work that is; raise CommandError likewise."""

    def on_mount(self) -> None:
        """Show the estimate of the proposed interval."""
        self.update_estimate()
        self.query_one("#from").focus()

    def typed(self, name: str) -> str:
        """Return the text of a field."""
        return self.query_one(f"#{name}", Input).value

    def window(self) -> Window:
        """Return the interval of the fields; raise CommandError if it is not valid."""
        keep_months = self.context.gateway.measurements_keep_months
        return backfill_window(
            self.typed("from"), self.typed("to"), self.context.wall(), keep_months
        )

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Fill in a preset, or cancel what runs; Dialog handles the other buttons."""
        pressed = str(event.button.id)
        if pressed.startswith("last-"):
            self.query_one("#from", Input).value = self.preset(pressed.removeprefix("last-"))
            self.query_one("#to", Input).value = "now"
        elif pressed == "cancel-running":
            self.finish(CancelRunning())

    def preset(self, name: str) -> str:
        """Return where the interval of a preset begins."""
        return name

    def on_input_changed(self) -> None:
        """Update the estimate while typing."""
        self.update_estimate()

    def update_estimate(self) -> None:
        """Show the estimate, or what is wrong with the fields."""
        try:
            text = self.estimate()
        except CommandError as error:
            self.show_error(str(error))
            text = ""  # what another text meant
        else:
            self.show_error("")
        self.query_one("#estimate", Static).update(Text(text))

    def submit(self) -> None:
        """Answer what is wanted, or show what is wrong with it."""
        try:
            self.finish(self.wanted())
        except CommandError as error:
            self.show_error(str(error))


def estimate_text(work: Work, length: timedelta, remark: str = "") -> str:
    """Return how many measurements an interval holds, a remark, and how long it may take."""
    vehicles, rate = work.vehicles, work.rate
    of_vehicles = "" if vehicles == 1 else f" of {counted(vehicles, 'vehicle')}"
    span = f"{age(length.total_seconds())}{of_vehicles}"
    if not rate.rows_per_second:
        return f"{span}; the number of measurements is not known yet"
    rows = count_text(rate.rows_per_second * length.total_seconds())
    noun = "measurement" if rows == "1" else "measurements"
    text = f"{span}: about {rows} {noun}{f'; {remark}' if remark else ''}"
    if not rate.speed:
        return text
    return f"{text}. About {took_text(length.total_seconds() / rate.speed)} per vehicle"
