"""The page of actions: who did what to which vehicle, by command or in a dashboard."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from fleetsyncd.cells import cut
from fleetsyncd.database.views.actions import PAGE_ROWS, LoggedAction
from fleetsyncd.times import utc_text
from tui.background import is_live, query
from tui.formatting import time_text
from tui.model.export_table import ExportTable
from tui.model.tag_text import with_tags
from tui.screens.paged_room import PagedRoom

NAME_WIDTH, WHO_WIDTH = 16, 16
FIELDS = ("at", "who", "from", "role", "vehicle", "what", "change")


class ActionsPage(PagedRoom[LoggedAction, LoggedAction]):
    """The action log, page by page, newest first; `⏎` shows a line in full."""

    NAME = "actions"
    HEADING = ("at utc", "who", "vehicle", "what")
    PAGE_ROWS = PAGE_ROWS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("greater_than_sign", "older", "Older", key_display=">", id="actions.older",
                tooltip="The next older page"),
        Binding("less_than_sign", "newer", "Newer", show=False, key_display="<",
                id="actions.newer", tooltip="The next newer page"),
        Binding("v", "vehicle", "Vehicle", id="actions.vehicle",
                tooltip="The page of the vehicle of the line under the cursor"),
    ]  # fmt: skip

    async def load(self) -> None:
        """Read a page of the log, unless something else is asked for meanwhile."""
        rooms, name_part, asked = self.context.gateway.rooms, self.name_part, self.question()
        before = self.before
        entries = await query(lambda: rooms.actions(name_part, before))
        if asked == self.question() and is_live(self):
            self.lines, self.is_read = entries, True
            self.table.show_rows([each.id for each in entries], list(map(_cells, entries)))

    def nothing(self) -> str:
        """Say that nothing was done, or nothing to such a vehicle."""
        whose = with_tags(self.context.state.tags)
        if self.newer_pages:
            return "No older action: < goes back"
        if self.name_part:
            return f"Nothing was done to such a vehicle{whose}: Esc clears the filter"
        what = f"Nothing was done to a vehicle{whose}" if whose else "Nothing was done"
        return f"{what}: nothing yet, or all of it is older than JOURNAL_KEEP_DAYS"

    def status(self) -> Sequence[str]:
        """Say which page is shown."""
        return [self.page_text()]

    def in_full(self, line: LoggedAction) -> str:
        """Return a line of the log with who did it, from where."""
        return _in_full(line)

    def last_row(self) -> LoggedAction | None:
        """Return the last line of a full page."""
        return self.lines[-1] if len(self.lines) == PAGE_ROWS else None

    def action_vehicle(self) -> None:
        """Open the page of the vehicle; say so if it is in the fleet no more."""
        entry = self.under_cursor
        if entry is not None and entry.vehicle_id is not None:
            self.open_vehicle_of(entry.vehicle_id, entry.vehicle or str(entry.vehicle_id))

    def action_open_row(self) -> None:
        """Show the line under the cursor in full."""
        entry = self.under_cursor
        if entry is not None:
            self.show_details(list(zip(FIELDS, _row(entry), strict=True)))

    def export_table(self) -> ExportTable:
        """Return the lines of the shown page."""
        return ExportTable(self.NAME, FIELDS, list(map(_row, self.lines)))


def _row(entry: LoggedAction) -> list[str]:
    who = [entry.login, entry.address or "", entry.role]
    return [utc_text(entry.at), *who, entry.vehicle or "", entry.action, entry.change]


def _what(entry: LoggedAction) -> str:
    return f"{entry.action} ({entry.change})" if entry.change else entry.action


def _in_full(entry: LoggedAction) -> str:
    at = f" from {entry.address}" if entry.address else ""
    whose = f"{entry.vehicle}: " if entry.vehicle else ""
    return f"{whose}{_what(entry)} · by {entry.login}{at} as {entry.role}"


def _cells(entry: LoggedAction) -> list[Text]:
    return [
        Text(time_text(entry.at)),
        Text(cut(entry.login, WHO_WIDTH)),
        Text(cut(entry.vehicle or "-", NAME_WIDTH)),
        Text(_what(entry)),
    ]
