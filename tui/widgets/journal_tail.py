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
from tui.widgets.fixed_text import FixedText
from tui.widgets.vehicle_wanted import VehicleWanted

TITLE = "newest attempts, UTC · Tab, then v opens a vehicle"
READING, EMPTY = " reading …", " no attempt in the journal yet"


class JournalTail(FixedText, can_focus=True):
    """Shows entries, one a line; while it has the focus, the cursor stays on its entry."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="tail.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="tail.down"),
        Binding("v,enter", "vehicle", "Vehicle", id="tail.vehicle",
                tooltip="The page of the vehicle of the attempt under the cursor"),
        Binding("escape", "leave", "Back", id="tail.back", tooltip="Back to the vehicles"),
    ]  # fmt: skip

    def __init__(self, *, id: str) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.border_title = TITLE
        self.entries: Sequence[JournalEntry] | None = None
        self._cursor = 0
        """Index of the cursor in `entries`."""

    def show_entries(self, entries: Sequence[JournalEntry] | None) -> None:
        """Replace the entries, newest first; None if they were not read this time."""
        if entries is None and self.entries is not None:
            return
        ids = [entry.id for entry in entries or ()]
        before = self._under_cursor
        if self.has_focus and before is not None and before.id in ids:
            self._cursor = ids.index(before.id)
        self.entries = entries
        self._repaint()

    @property
    def vehicle_id(self) -> UUID | None:
        """The vehicle of the entry under the cursor; None without the focus."""
        entry = self._under_cursor if self.has_focus else None
        return None if entry is None else entry.vehicle_id

    @property
    def _under_cursor(self) -> JournalEntry | None:
        entries = self.entries or ()
        return entries[self._cursor] if self._cursor < len(entries) else None

    def _repaint(self) -> None:
        if not self.entries:
            self.show(Text(READING if self.entries is None else EMPTY))
            return
        lines = [tail_line(entry) for entry in self.entries]
        if self.has_focus:
            self._cursor = min(self._cursor, len(lines) - 1)
            lines[self._cursor].stylize("reverse")
        self.show(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))

    def on_focus(self) -> None:
        """Show the cursor on the newest entry."""
        self._cursor = 0
        self._repaint()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self._repaint()

    def on_click(self, event: Click) -> None:
        """Move the cursor to the clicked entry; open its vehicle on a double click."""
        self._cursor = max(0, event.y - 1)  # below the title
        self._repaint()
        if event.chain > 1:
            self.action_vehicle()

    def action_move(self, step: int) -> None:
        """Move the cursor by `step` entries."""
        self._cursor = max(0, min(self._cursor + step, len(self.entries or ()) - 1))
        self._repaint()

    def action_vehicle(self) -> None:
        """Open the page of the vehicle of the entry under the cursor."""
        if self.vehicle_id is not None:
            self.post_message(VehicleWanted(self.vehicle_id))

    def action_leave(self) -> None:
        """Go back to the vehicles."""
        self.screen.focus_previous()


def tail_line(entry: JournalEntry) -> Text:
    """Return an entry as one line."""
    style = outcome_style(entry.status)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f" {time_text(entry.started_at, day=False)}  ")
    line.append(f"{style.glyph} {padded(entry.status, 8)}", style.colour)
    line.append(f"{padded(entry.vehicle_name, 20)} {entry.rows_written:>7} rows  ")
    line.append(f"{took_text(entry.seconds):>4}  ")
    return line.append(entry.error_msg or "")
