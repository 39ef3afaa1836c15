"""The dialog that pauses or mutes vehicles for a time, with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label, Static

from fleetsyncd import validation
from fleetsyncd.errors import CommandError
from fleetsyncd.states import Pause
from fleetsyncd.time_limits import end_after, end_at
from fleetsyncd.times import parse_length
from tui.context import ScreenContext
from tui.dialogs.dialog import Dialog


class Maintenance(Enum):
    """What is done to vehicles."""

    PAUSE = "pause"
    MUTE = "mute"
    UNMUTE = "unmute"


@dataclass(frozen=True, slots=True)
class WantedMaintenance:
    """What is to be done, until when and why."""

    kind: Maintenance
    why: Pause
    length: str = ""
    """For how long, as it was typed, instead of until when: this host's clock may be wrong."""


class MaintenanceForm(Dialog[WantedMaintenance]):
    """Asks for a length or an end, and a reason; a button each pauses, mutes and unmutes."""

    PRESETS: ClassVar[Sequence[str]] = ("1h", "8h", "24h", "7d")

    def __init__(
        self, context: ScreenContext, whose: str, *, are_muted: bool, notice: str = ""
    ) -> None:
        super().__init__(f"Pause or mute {whose}", "Pause", notice=notice)
        self.context = context
        self.are_muted = are_muted

    def body(self) -> ComposeResult:
        """Lay out presets, fields, meaning, and the buttons beside the one that pauses."""
        with Horizontal(id="presets"):
            for preset in self.PRESETS:
                yield Button(preset, id=f"for-{preset}", classes="preset", compact=True)
        yield Label("For (8h, 3d), or until (2026-11-28 06:00, your clock); empty: no end")
        yield Input("8h", id="for", compact=True)
        yield Label("Reason")
        yield Input(id="reason", placeholder="workshop", compact=True)
        yield Static("", id="meaning")
        with Horizontal(id="mutes"):
            yield Button("Mute: pull on, tell nothing", id="mute", compact=True)
            if self.are_muted:
                yield Button("Unmute", id="unmute", compact=True)

    def on_mount(self) -> None:
        """Say what the proposed length means."""
        self._show_meaning()
        self.query_one("#for").focus()

    def wanted(self, kind: Maintenance) -> WantedMaintenance:
        """Return what the fields say; raise CommandError if it is not valid."""
        text, now = self.query_one("#for", Input).value.strip(), self.context.wall()
        reason = validation.parse_reason(self.query_one("#reason", Input).value)
        if not text:
            return WantedMaintenance(kind, Pause(None, reason))
        try:
            parse_length(text)
        except CommandError:
            return WantedMaintenance(kind, Pause(end_at(text, now), reason))
        return WantedMaintenance(kind, Pause(end_after(text, now), reason), text)

    def on_input_changed(self) -> None:
        """Say while typing what the fields mean."""
        self._show_meaning()

    def _show_meaning(self) -> None:
        try:
            why = self.wanted(Maintenance.PAUSE).why
        except CommandError as error:
            self.show_error(str(error))
            text = ""  # what another text meant
        else:
            self.show_error("")
            text = "without an end" if why.until is None else why.text.strip()
        self.query_one("#meaning", Static).update(Text(text))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Fill in a preset, mute, or unmute; Dialog handles the other buttons."""
        pressed = str(event.button.id)
        if pressed.startswith("for-"):
            self.query_one("#for", Input).value = pressed.removeprefix("for-")
        elif pressed == "mute":
            self._answer(Maintenance.MUTE)
        elif pressed == "unmute":
            self.finish(WantedMaintenance(Maintenance.UNMUTE, Pause()))

    def submit(self) -> None:
        """Answer that the vehicles are to be paused, or show what is wrong with it."""
        self._answer(Maintenance.PAUSE)

    def _answer(self, kind: Maintenance) -> None:
        try:
            self.finish(self.wanted(kind))
        except CommandError as error:
            self.show_error(str(error))
