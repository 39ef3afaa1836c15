"""The page of notices: what was told, to whom, what waits or was given up, and what is muted."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from fleetsyncd.database.views.notices import PAGE_ROWS
from fleetsyncd.notices import StoredNotice
from fleetsyncd.text import counted
from tui.background import is_live, query
from tui.context import ScreenContext
from tui.formatting import time_text
from tui.model.export_table import ExportTable
from tui.model.notice_text import FIELDS, Line, colour, mute_line, notice_line, target_line
from tui.model.tag_text import with_tags
from tui.room_gateway import NoticeView, ReadNotices
from tui.screens.paged_room import PagedRoom

VIEWS = tuple(NoticeView)
_PAGED = (NoticeView.ALL, NoticeView.UNTOLD)


class NoticesPage(PagedRoom[Line, StoredNotice]):
    """The notices, page by page, newest first; `!` shows what is not told, targets, mutes.

    The line under the cursor stands in full below them.
    """

    NAME = "notices"
    HEADING = ("at utc", "what", "told", "text")
    PAGE_ROWS = PAGE_ROWS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("exclamation_mark", "show_next", "Show", key_display="!", id="notices.show",
                tooltip="Show all notices, those not told yet or given up, the targets, the mutes"),
        Binding("greater_than_sign", "older", "Older", key_display=">", id="notices.older",
                tooltip="The next older page"),
        Binding("less_than_sign", "newer", "Newer", show=False, key_display="<",
                id="notices.newer", tooltip="The next newer page"),
        Binding("v", "vehicle", "Vehicle", id="notices.vehicle",
                tooltip="The page of the vehicle of the line under the cursor"),
    ]  # fmt: skip

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.view = NoticeView.ALL
        self.found = ReadNotices()

    async def load(self) -> None:
        """Read what is shown, unless something else is asked for meanwhile."""
        rooms, view, name_part = self.context.gateway.rooms, self.view, self.name_part
        before, asked = self.before, self.question()
        found = await query(lambda: rooms.notices(view, name_part, before))
        if asked == self.question() and is_live(self):
            self.found, self.is_read = found, True
            self.lines = self._lines()
            self.table.show_rows([each.key for each in self.lines], list(map(_cells, self.lines)))

    def _lines(self) -> list[Line]:
        if self.view is NoticeView.TARGETS:
            return [target_line(each) for each in self.found.targets]
        if self.view is NoticeView.MUTED:
            return [mute_line(each) for each in self.found.muted.mutes]
        targets = {each.target: each for each in self.found.targets}
        return [notice_line(each, targets) for each in self.found.notices]

    def question(self) -> tuple[Hashable, ...]:
        """Return what decides which lines are read."""
        return (*super().question(), self.view)

    def nothing(self) -> str:
        """Say why there is nothing to show."""
        whose = with_tags(self.context.state.tags)
        if self.newer_pages:
            return "No older notice: < goes back"
        if self.view is NoticeView.TARGETS:
            return "Nobody is told: no daemon of the last day had NOTIFY_URLS or NOTIFY_CONFIG"
        if self.name_part:
            return f"Nothing of such a vehicle{whose}: Esc clears the filter"
        if self.view is NoticeView.MUTED:
            return f"No vehicle{whose} is muted"
        if self.view is NoticeView.UNTOLD:
            of_whom = f" of a vehicle{whose}" if whose else ""
            return f"No notice{of_whom} waits, and none was given up"
        what = f"Nothing was told of a vehicle{whose}" if whose else "Nothing was told"
        return f"{what}: nothing yet, or all of it is older than JOURNAL_KEEP_DAYS"

    def status(self) -> Sequence[str]:
        """Say what is shown, how many targets fail, and how many mutes there are."""
        parts = [] if self.view is NoticeView.ALL else [self.view.value]
        if self.view in _PAGED:
            parts.append(self.page_text())
        failing = sum(each.failing_since is not None for each in self.found.targets)
        if failing:
            parts.append(f"{failing} of {counted(len(self.found.targets), 'target')} failing: !")
        if total := self.found.muted.total:
            shown = len(self.found.muted.mutes)
            part = f", the newest {shown}" if shown < total else ""
            parts.append(counted(total, "mute") + (part if self.view is NoticeView.MUTED else ""))
        return parts

    def in_full(self, line: Line) -> str:
        """Return a notice, target or mute with all that is known of it."""
        return line.whole

    def last_row(self) -> StoredNotice | None:
        """Return the last notice of a full page."""
        is_full = self.view in _PAGED and len(self.found.notices) == PAGE_ROWS
        return self.found.notices[-1].stored if is_full else None

    def action_show_next(self) -> None:
        """Show what comes next: all notices, the untold ones, targets, mutes."""
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
        self.newer_pages.clear()
        self.ask_anew()

    def action_vehicle(self) -> None:
        """Open the page of the vehicle; say so if it is in the fleet no more."""
        line = self.under_cursor
        if line is not None and line.vehicle_id is not None:
            self.open_vehicle_of(line.vehicle_id, line.vehicle)

    def action_open_row(self) -> None:
        """Show the line under the cursor in full."""
        if (line := self.under_cursor) is not None:
            self.show_details([(name, text) for name, text in line.fields if text])

    def export_table(self) -> ExportTable:
        """Return the lines that are shown."""
        return ExportTable(self.NAME, FIELDS, [each.row for each in self.lines])


def _cells(line: Line) -> list[Text]:
    return [
        Text(time_text(line.at)),
        Text(line.what, colour(line)),
        Text(line.told, "bold yellow" if line.is_bad else ""),
        Text(line.text),
    ]
