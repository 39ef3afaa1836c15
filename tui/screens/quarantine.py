"""The quarantine page: refused rows by vehicle, call and reason; then the rows of such a group."""

from collections.abc import Hashable, Sequence
from datetime import UTC
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message

from fleetsyncd.cells import cut
from fleetsyncd.database.quarantine import QuarantinedRow, RefusedGroup
from fleetsyncd.database.views.quarantine import MOST_GROUPS, PAGE_ROWS
from fleetsyncd.text import counted
from fleetsyncd.times import utc_text
from tui.background import is_live, query
from tui.context import ScreenContext
from tui.model.export_table import ExportTable
from tui.model.refused import Refused
from tui.model.tag_text import with_tags
from tui.room_gateway import RefusedRows
from tui.screens.room import Room

NAME_WIDTH, ROW_WIDTH = 20, 200
GROUP_HEADING = ("vehicle", "call", "rows", "newest utc", "reason")
ROW_HEADING = ("at utc", "row")
TIME_FORMAT = "%m-%d %H:%M:%S"


class QuarantinePage(Room):
    """What vehicles sent and cannot be stored: counted first, row by row after Enter."""

    NAME = "quarantine"
    HEADING = GROUP_HEADING
    MARKS = True
    WRITING = frozenset({"replay", "purge"})

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", show=False, id="quarantine.mark",
                tooltip="Mark the line for replay and purge"),
        Binding("asterisk", "mark_all", "Mark all", key_display="*", show=False,
                id="quarantine.mark-all", tooltip="Mark all lines that are shown, or none"),
        Binding("r", "replay", "Replay", id="quarantine.replay",
                tooltip="Try refused rows again; valid ones are stored"),
        Binding("ctrl+d", "purge", "Purge", id="quarantine.purge",
                tooltip="Delete refused rows for good"),
        Binding("v", "vehicle", "Vehicle", show=False, id="quarantine.vehicle",
                tooltip="Open the vehicle's page"),
        Binding("greater_than_sign", "older", "Older", show=False, key_display=">",
                id="quarantine.older", tooltip="The next older page of rows"),
        Binding("less_than_sign", "newer", "Newer", show=False, key_display="<",
                id="quarantine.newer", tooltip="The next newer page of rows"),
    ]  # fmt: skip

    class ReplayAsked(Message):
        """The operator wants refused rows to be tried again."""

        def __init__(self, refused: Refused) -> None:
            super().__init__()
            self.refused = refused

    class PurgeAsked(ReplayAsked):
        """The operator wants refused rows to be deleted."""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.group: RefusedGroup | None = None
        """The group whose rows are shown; None while the groups are."""
        self.pages: list[int] = []
        """The last id of each page of rows that is newer than the shown one."""
        self.refused = RefusedRows(0, 0)

    async def load(self) -> None:
        """Read the groups or a page of rows, unless something else is asked for meanwhile."""
        rooms, asked = self.context.gateway.rooms, self.question()
        group, name_part = self.group, self.name_part
        before = self.pages[-1] if self.pages else None
        if group is None:
            refused = await query(lambda: rooms.refused_groups(name_part))
        else:
            refused = await query(lambda: rooms.refused_page(group, before))
        if asked != self.question() or not is_live(self):
            return
        self.refused, self.is_read = refused, True
        if self.group is None:
            keys = [(each.vehicle_id, each.call, each.reason_hash) for each in refused.groups]
            self.table.show_rows(keys, list(map(_group_cells, refused.groups)))
        else:
            self.table.show_rows([row.id for row in refused.page], list(map(_cells, refused.page)))

    def question(self) -> tuple[Hashable, ...]:
        """Return what decides which rows are read."""
        return (*super().question(), self.group, *self.pages)

    def nothing(self) -> str:
        """Say that nothing is refused, or that nothing of it is left."""
        if self.group is not None:
            return "No row of this group is left: Esc goes back"
        if self.name_part:
            whose = with_tags(self.context.state.tags)
            return f"No row of such a vehicle{whose} was refused: Esc clears the filter"
        if whose := with_tags(self.context.state.tags):
            return f"No row of a vehicle{whose} was refused: what they send is stored"
        return "No row was refused: what vehicles send is stored"

    def status(self) -> Sequence[str]:
        """Say how many rows there are, and which of them are shown."""
        parts = []
        if self.is_read and self.group is None:
            rows, vehicles = self.refused.rows, self.refused.vehicles
            parts.append(f"{counted(rows, 'refused row')} of {counted(vehicles, 'vehicle')}")
            if len(self.refused.groups) == MOST_GROUPS:
                parts.append(f"the newest {MOST_GROUPS} groups")
        elif self.is_read and self.group is not None:
            first = len(self.pages) * PAGE_ROWS
            last = first + len(self.refused.page)
            parts.append(f"{min(first + 1, last)}-{last} of {counted(self.refused.rows, 'row')}")
        if self.group is not None:
            parts.insert(0, f"{cut(self.group.vehicle, NAME_WIDTH)} {self.group.call}")
            parts.append(self.group.reason)
        if self.table.marked:
            parts.insert(0, f"{len(self.table.marked)} marked")
        return parts

    def action_open_row(self) -> None:
        """Show the rows of the group under the cursor, or the row in full."""
        row = self._row_under_cursor()
        if row is not None:
            self.show_details(
                [("vehicle", row.vehicle), ("call", row.call), ("at", utc_text(row.at)),
                 ("id", str(row.id)), ("reason", row.reason), ("row", row.raw)]
            )  # fmt: skip
        elif group := self._group_under_cursor():
            self._show_group(group)

    def _show_group(self, group: RefusedGroup | None) -> None:
        self.group = group
        self.pages.clear()
        heading = GROUP_HEADING if group is None else ROW_HEADING
        self.table.set_heading([name.upper() for name in heading])
        self.ask_anew()

    def _group_under_cursor(self) -> RefusedGroup | None:
        groups, at = self.refused.groups, self.table.picked_row
        return groups[at] if self.is_read and at is not None and at < len(groups) else None

    def _row_under_cursor(self) -> QuarantinedRow | None:
        page, at = self.refused.page, self.table.picked_row
        return page[at] if self.is_read and at is not None and at < len(page) else None

    def chosen(self) -> Refused:
        """Return what is marked, else what is under the cursor; nothing while others are read."""
        if not self.is_read:
            return Refused([], [])
        chosen = set(self.table.chosen)
        lines = zip(self.table.keys, self.refused.groups or self.refused.page, strict=False)
        picked = [line for key, line in lines if key in chosen]
        return Refused(
            [each for each in picked if isinstance(each, RefusedGroup)],
            [each for each in picked if isinstance(each, QuarantinedRow)],
        )

    def action_mark(self) -> None:
        """Mark the line under the cursor, or remove its mark."""
        self.table.toggle_mark()
        self.show_state()

    def action_mark_all(self) -> None:
        """Mark all lines, or none."""
        if not self.table.keys and not self.is_read:
            self.app.notify("nothing is marked: it is being read", markup=False)
            return
        self.table.toggle_all()
        self.show_state()

    def action_replay(self) -> None:
        """Ask for a replay of what is chosen."""
        if refused := self.chosen():
            self.post_message(self.ReplayAsked(refused))

    def action_purge(self) -> None:
        """Ask for a purge of what is chosen."""
        if refused := self.chosen():
            self.post_message(self.PurgeAsked(refused))

    def action_vehicle(self) -> None:
        """Open the page of the vehicle under the cursor."""
        line = self._row_under_cursor() or self._group_under_cursor()
        if line is not None:
            self.post_message(self.VehicleOpened(line.vehicle_id))

    def action_older(self) -> None:
        """Show the next older page of rows."""
        if self.is_read and len(self.refused.page) == PAGE_ROWS:
            self.pages.append(self.refused.page[-1].id)
            self.ask_anew()

    def action_newer(self) -> None:
        """Show the next newer page of rows."""
        if self.pages:
            self.pages.pop()
            self.ask_anew()

    def action_leave(self) -> None:
        """Go back from the rows to the groups; else as other pages do."""
        if self.group is None or self.query_one("#filter").has_focus:
            super().action_leave()
        elif self.table.clear_marks():
            self.show_state()
        else:
            self._show_group(None)

    def action_filter(self) -> None:
        """Open the filter, which is over the groups."""
        if self.group is not None:
            self._show_group(None)
        super().action_filter()

    def export_table(self) -> ExportTable:
        """Return the groups or rows that are shown."""
        if self.group is None:
            rows = [
                [each.vehicle, each.call, str(each.rows), each.newest.isoformat(), each.reason]
                for each in self.refused.groups
            ]
            return ExportTable(self.NAME, GROUP_HEADING, rows)
        lines = [[row.at.isoformat(), row.raw] for row in self.refused.page]
        return ExportTable(self.NAME, ROW_HEADING, lines)


def _group_cells(group: RefusedGroup) -> list[Text]:
    return [
        Text(cut(group.vehicle, NAME_WIDTH)),
        Text(group.call),
        Text(f"{group.rows:,}", justify="right"),
        Text(f"{group.newest.astimezone(UTC):{TIME_FORMAT}}"),
        Text(group.reason),
    ]


def _cells(row: QuarantinedRow) -> list[Text]:
    return [Text(f"{row.at.astimezone(UTC):{TIME_FORMAT}}"), Text(cut(row.raw, ROW_WIDTH))]
