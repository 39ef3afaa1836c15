"""The newest journal entries below the fleet; each leads to its vehicle."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click

from fleetsyncd.cells import padded
from fleetsyncd.reports import JournalEntry
from tui.formatting import outcome_style, time_text, took_text
from tui.gateway import TAIL_ROWS
from tui.widgets.fixed_text import FixedText
from tui.widgets.vehicle_wanted import VehicleWanted

TITLE = "newest attempts, UTC · Tab, then v opens a vehicle"
READING = " reading …"


class JournalTail(FixedText, can_focus=True):
    """Shows entries, one a line; the cursor stays on its entry until the operator moves it.

    The entry under the cursor stays shown, as the last one, when newer ones have pushed it out. A
    terminal that loses the focus takes it from the tail, but the cursor stays: it goes only when
    the operator focuses something else.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="tail.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="tail.down"),
        Binding("v,enter", "vehicle", "Vehicle", id="tail.vehicle",
                tooltip="The page of the vehicle of the attempt under the cursor"),
        Binding("escape", "leave", "Back", id="tail.back", tooltip="Back to the vehicles"),
    ]  # fmt: skip

    def __init__(self, whose: str = "", *, id: str) -> None:  # noqa: A002  Textual's name
        """Begin without entries; `whose` says which vehicles are shown, if not all are."""
        super().__init__(id=id)
        self.border_title = TITLE
        of_whom = f" of a vehicle{whose}" if whose else ""
        self._empty = f" no attempt{of_whom} in the journal yet"
        self.entries: Sequence[JournalEntry] | None = None
        self.is_entered = False
        """Whether the operator is in the tail, and keys are for the entry under the cursor."""
        self._under_cursor: JournalEntry | None = None

    def show_entries(self, entries: Sequence[JournalEntry] | None) -> None:
        """Replace the entries, newest first; None if they were not read this time."""
        if entries is None and self.entries is not None:
            return
        held = self._under_cursor
        if entries is not None and held is not None and held.id not in _ids(entries):
            entries = [*entries[: TAIL_ROWS - 1], held]
        self.entries = entries
        self._repaint()

    @property
    def vehicle_id(self) -> UUID | None:
        """The vehicle of the entry under the cursor; None if the cursor is on nothing."""
        return None if self._under_cursor is None else self._under_cursor.vehicle_id

    @property
    def _row(self) -> int | None:
        """Index of the cursor in `entries`."""
        ids = _ids(self.entries or ())
        held = self._under_cursor
        return ids.index(held.id) if held is not None and held.id in ids else None

    def _repaint(self) -> None:
        if not self.entries:
            self.show(Text(READING if self.entries is None else self._empty))
            return
        lines = [tail_line(entry) for entry in self.entries]
        if self._row is not None:
            lines[self._row].stylize("reverse")
        self.show(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))

    def _move_to(self, row: int) -> None:
        """Put the cursor on the entry at that index, or at the nearest one that there is."""
        if self.entries:
            self._under_cursor = self.entries[max(0, min(row, len(self.entries) - 1))]
            self._repaint()

    def on_focus(self) -> None:
        """Show the cursor on the newest entry, or where it was when the terminal was left."""
        if not self.is_entered:
            self.is_entered = True
            self._move_to(0)

    def on_blur(self) -> None:
        """Hide the cursor, unless only the terminal has lost the focus."""
        if self.screen.focused not in (None, self):
            self.is_entered, self._under_cursor = False, None
            self._repaint()

    def on_hide(self) -> None:
        """Give keys up on a screen that is too narrow for the tail."""
        self.is_entered, self._under_cursor = False, None

    def on_click(self, event: Click) -> None:
        """Move the cursor to the clicked entry; open its vehicle on a double click."""
        self._move_to(event.y - 1)  # below the title
        if event.chain > 1:
            self.action_vehicle()

    def action_move(self, step: int) -> None:
        """Move the cursor by `step` entries; from nothing, to the newest one."""
        self._move_to(0 if self._row is None else self._row + step)

    def action_vehicle(self) -> None:
        """Open the page of the vehicle of the entry under the cursor."""
        if self.vehicle_id is not None:
            self.post_message(VehicleWanted(self.vehicle_id))

    def action_leave(self) -> None:
        """Go back to the vehicles."""
        self.screen.focus_previous()


def _ids(entries: Sequence[JournalEntry]) -> list[int | None]:
    return [entry.id for entry in entries]


def tail_line(entry: JournalEntry) -> Text:
    """Return an entry as one line."""
    style = outcome_style(entry.status)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f" {time_text(entry.started_at, day=False)}  ")
    line.append(f"{style.glyph} {padded(entry.status, 8)}", style.colour)
    line.append(f"{padded(entry.vehicle_name, 20)} {entry.rows_written:>7} rows  ")
    line.append(f"{took_text(entry.seconds):>4}  ")
    return line.append(entry.error_msg or "")
