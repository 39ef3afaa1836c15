"""The findings page: what doctor's checks of the database say, as far as they can be made here."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetsyncd.cells import cut
from fleetsyncd.database.schema.fleet_checks import Unchecked
from fleetsyncd.errors import DatabaseError
from fleetsyncd.findings import Finding, Level, fault
from fleetsyncd.text import counted
from fleetsyncd.times import utc_text
from tui.background import in_thread, internal_error, is_live
from tui.context import ScreenContext
from tui.model.export_table import ExportTable
from tui.screens.room import Room
from tui.widgets.in_full import InFull

Line = Finding | Unchecked
ELSEWHERE = (
    Unchecked("vehicles", "t on a vehicle tries its four calls"),
    Unchecked("configuration", "run `fleetsyncd doctor` on the daemon's host"),
    Unchecked("host", "run `fleetsyncd doctor` on it"),
)
"""What only another process, or another host, can tell."""
FIELDS = ("level", "check", "what", "remedy")
STYLES = {Level.FAULT: "bold red", Level.WARNING: "yellow", Level.OK: "green"}
WORDS = {Level.FAULT: "✖ FAULT", Level.WARNING: "! warning", Level.OK: "● ok"}
NOT_CHECKED = "? unknown"
CHECK_WIDTH = 16


class FindingsPage(Room):
    """The findings, the worst first; they are looked for once, and again when a key asks for it."""

    TELLS_READING = False
    NAME = "findings"
    HEADING = ("level", "check", "what")

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "Check again", id="findings.again",
                tooltip="Make all checks again"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.lines: list[Line] = []
        self.checked_at: datetime | None = None
        """When the last check ended; None while they are made."""
        self._round = 0

    def below_table(self) -> ComposeResult:
        """Lay out the finding under the cursor."""
        yield InFull()

    def on_mount(self) -> None:
        """Make the checks."""
        super().on_mount()
        self.action_again()

    def update_body(self) -> None:
        """Leave the findings as they are: the checks are not cheap enough for every read."""

    def action_again(self) -> None:
        """Make all checks in a thread, and show each finding when it is there."""
        self._round += 1
        self.lines, self.checked_at = [], None
        self.is_read = False
        self._show_lines()
        self.run_worker(self._check(self._round), group="findings", exclusive=True,
                        exit_on_error=False)  # fmt: skip

    async def _check(self, round_number: int) -> None:
        loop = asyncio.get_running_loop()
        state, rooms = self.context.state, self.context.gateway.rooms

        def examine() -> None:
            for line in rooms.examine(as_viewer=state.read_only):
                if round_number != self._round or not is_live(self):
                    return
                loop.call_soon_threadsafe(self._add_line, round_number, line)

        try:
            await in_thread(examine)
        except DatabaseError as error:
            self._add_line(round_number, fault("database", str(error), "look at its log"))
        except Exception as error:
            self._add_line(round_number, fault("checks", internal_error(error), "report it"))
        if round_number == self._round and is_live(self):
            self.lines += ELSEWHERE
            self.checked_at, self.is_read = self.context.wall(), True
            self._show_lines()

    def _add_line(self, round_number: int, line: Line) -> None:
        if round_number == self._round and is_live(self):
            self.lines.append(line)
            self._show_lines()

    def _show_lines(self) -> None:
        # Worse ones come in above the first: whoever has not moved sees the worst.
        is_on_first = self.table.cursor_row == 0
        self.lines.sort(key=_order)
        self.table.show_rows([str(line) for line in self.lines], list(map(_cells, self.lines)))
        if is_on_first:
            self.table.move_cursor(row=0, animate=False)
        self.show_state()

    def show_state(self) -> None:
        """Show the finding under the cursor in full as well."""
        super().show_state()
        self.query_one(InFull).show_whole(self._in_full())

    def on_data_table_row_highlighted(self) -> None:
        """Show the finding to which the operator moved the cursor."""
        self.show_state()

    def on_resize(self) -> None:
        """Fit the finding under the cursor into the new width."""
        self.show_state()

    def _in_full(self) -> Text:
        """Return text and remedy of the finding under the cursor."""
        at = self.table.cursor_row
        if not 0 <= at < len(self.lines):
            return Text("")
        level, check, text, remedy = _row(self.lines[at])
        whole = Text.assemble((f"{level[0]} ", _style(self.lines[at])), f"{check}: {text}")
        return whole.append(f" → {remedy}") if remedy else whole

    def status(self) -> Sequence[str]:
        """Count the findings, and say when they were made."""
        levels = [line.level for line in self.lines if isinstance(line, Finding)]
        faults, warnings = levels.count(Level.FAULT), levels.count(Level.WARNING)
        parts = [f"{counted(faults, 'fault')}, {counted(warnings, 'warning')}"]
        if self.checked_at is None:
            parts.insert(0, f"checking … {len(levels)} made")
        else:
            parts.append(f"checked {utc_text(self.checked_at)}")
        if self.context.state.tags:
            parts.append("of the whole fleet but for the API keys")
        return parts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer no filter by vehicle."""
        return False if action == "filter" else super().check_action(action, parameters)

    def action_open_row(self) -> None:
        """Show the finding under the cursor in full."""
        rows, at = self.export_table().rows, self.table.cursor_row
        if 0 <= at < len(rows):
            self.show_details(list(zip(FIELDS, rows[at], strict=True)))

    def export_table(self) -> ExportTable:
        """Return the findings."""
        return ExportTable(self.NAME, FIELDS, list(map(_row, self.lines)))


def _order(line: Line) -> int:
    if isinstance(line, Unchecked):
        return len(Level)
    return (Level.FAULT, Level.WARNING, Level.OK).index(line.level)


def _row(line: Line) -> list[str]:
    if isinstance(line, Unchecked):
        return [NOT_CHECKED, line.check, f"not checked here: {line.reason}", ""]
    return [WORDS[line.level], line.check, line.text, line.remedy or ""]


def _style(line: Line) -> str:
    return STYLES[line.level] if isinstance(line, Finding) else "blue"


def _cells(line: Line) -> list[Text]:
    level, check, text, remedy = _row(line)
    what = f"{text} → {remedy}" if remedy else text
    return [Text(level, _style(line)), Text(cut(check, CHECK_WIDTH)), Text(what)]
