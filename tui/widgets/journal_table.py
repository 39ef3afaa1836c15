"""The table of journal entries, page by page, newest first; the newest page is updated live."""

from collections.abc import Collection, Hashable
from typing import ClassVar, TypeVar
from uuid import UUID

from rich.text import Text
from textual.binding import Binding, BindingType

from fleetsyncd.cells import cut
from fleetsyncd.database.views.journal import PAGE_ROWS
from fleetsyncd.reports import JournalEntry
from tui.background import PartRead, is_live, query, read_part
from tui.context import ScreenContext
from tui.formatting import moment_text, outcome_style, time_text, took_text
from tui.model.export_table import ExportTable
from tui.model.tag_text import with_tags
from tui.widgets.row_table import READING, RowTable, unread, widen
from tui.widgets.vehicle_wanted import VehicleWanted

HEADING = ["started", "vehicle", "took", "result", "rows", "error"]
VEHICLE_COLUMN = 1
T = TypeVar("T")


class JournalTable(RowTable):
    """One page of the journal of `vehicles`; None means all vehicles."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "greater_than_sign",
            "older",
            "Older",
            show=False,
            key_display=">",
            id="journal.older",
            tooltip="The next older page",
        ),
        Binding(
            "less_than_sign",
            "newer",
            "Newer",
            show=False,
            key_display="<",
            id="journal.newer",
            tooltip="The next newer page; the newest one is updated live",
        ),
        Binding("enter", "details", "Open", id="journal.details", tooltip="The row in full"),
        Binding(
            "v",
            "vehicle",
            "Vehicle",
            id="journal.vehicle",
            tooltip="The page of the vehicle of the row under the cursor",
        ),
    ]

    def __init__(
        self, context: ScreenContext, vehicles: Collection[UUID] | None, *, with_vehicle: bool
    ) -> None:
        super().__init__()
        self.context = context
        self.vehicles = vehicles
        self.name_part = ""
        """What the names of the shown vehicles contain."""
        self.statuses: Collection[str] = ()
        self.with_vehicle = with_vehicle
        self.entries: list[JournalEntry] = []
        """The rows of this page."""
        self.is_read = False
        """Whether this page has been read since it was asked for."""
        self._failed = False
        """Whether the last read failed."""
        self.newer_pages: list[JournalEntry] = []
        """The last row of each page that is newer than this one, newest page first."""
        self._reads = 0
        """How many reads were started; the result of any but the last one is dropped."""
        self._painted: list[JournalEntry] = []
        self._follows = True
        """Whether the operator has put the cursor on the newest row, or nowhere yet."""
        self._put_on: int | None = 0
        """Where the cursor was put when the rows were shown; None: on nothing."""

    def on_mount(self) -> None:
        """Add the columns."""
        self.add_columns(*self._visible(["STARTED UTC", *(name.upper() for name in HEADING[1:])]))

    async def load(self) -> None:
        """Read this page and show it, unless a later read was started in the meantime."""
        self._reads += 1
        this_read = self._reads
        before = self.newer_pages[-1] if self.newer_pages else None
        vehicles, statuses, name_part = self.vehicles, self.statuses, self.name_part
        entries = await query(
            lambda: self.context.gateway.journal(vehicles, statuses, before, name_part)
        )
        if this_read == self._reads and is_live(self):
            self.entries, self.is_read = entries, True
            self.show_notice(self._why_empty())
            self._update_rows()

    def _why_empty(self) -> str:
        """Return why this page has no row, if it has none."""
        if self.newer_pages:
            return "no older attempt"
        whose = with_tags(self.context.state.tags) if self.with_vehicle else ""
        of_whom = f" of a vehicle{whose}" if whose else ""
        if self.statuses or self.name_part:
            return f"no attempt like this{of_whom} in the journal"
        if of_whom:
            return f"no attempt{of_whom} within JOURNAL_KEEP_DAYS"
        return "no attempt in the journal: none yet, or all are older than JOURNAL_KEEP_DAYS"

    def on_part_read(self, event: PartRead) -> None:
        """Say in the table itself, if it has no rows, why it could not be read."""
        if event.part is self:
            self._failed = event.error is not None
            if event.error is not None:
                self.show_notice(unread(event.error))

    def reload(self) -> None:
        """Read this page again, in the background."""
        read_part(self, self.load, "journal", self._question)

    def _question(self) -> Hashable:
        vehicles = None if self.vehicles is None else tuple(self.vehicles)
        above = [entry.id for entry in self.newer_pages[-1:]]
        return vehicles, self.name_part, tuple(self.statuses), *above

    def set_filter(self, name_part: str, statuses: Collection[str]) -> None:
        """Show the newest page of the vehicles so named and of statuses; empty: all of them."""
        self.name_part, self.statuses = name_part, statuses
        self.newer_pages.clear()
        self._turn_page()

    def _turn_page(self) -> None:
        """Read other rows; those of before would stand under a name that is not theirs."""
        self.entries, self._painted, self.is_read = [], [], False
        self._set_lost(False)
        self.clear()
        self.show_notice(READING)
        self.reload()

    def _update_rows(self) -> None:
        """Show the rows; the cursor stays on its row, else it is on nothing.

        A key that comes just after a new row is for the row that was read. One that was the first
        row is left when newer ones push it off the screen: the page follows all the same.
        """
        if self.entries == self._painted:
            return
        at = self.cursor_row
        held = None if self.picked_row is None else self._painted[at].id
        if not self._painted:
            self._follows = True
        elif held is not None and at != self._put_on:  # by the operator
            self._follows = at == 0
        self.clear()
        rows = [self._cells(entry) for entry in self.entries]
        widen(self, rows)
        self.add_rows(rows)
        self._painted = self.entries
        self._put_cursor(held, at)

    def _put_cursor(self, held: int | None, at: int) -> None:
        """Put the cursor on the row with the id `held`, else on nothing, about where it was."""
        rows = {entry.id: n for n, entry in enumerate(self.entries)}
        row = None if held is None else rows.get(held)
        last_on_screen = self.scrollable_content_region.height - self.header_height - 1
        if self._follows and (row is None or row > last_on_screen):
            row = 0
        self._put_on = row
        self._set_lost(row is None and bool(rows))
        if rows:
            self.move_cursor(row=min(at, len(rows) - 1) if row is None else row, animate=False)

    def _cells(self, entry: JournalEntry) -> list[Text]:
        style = outcome_style(entry.status)
        cells = [
            Text(time_text(entry.started_at)),
            Text(cut(entry.vehicle_name, 24)),
            Text(took_text(entry.seconds), justify="right"),
            Text(f"{style.glyph} {cut(entry.status, 10)}", style.colour),
            Text(str(entry.rows_written), justify="right"),
            Text(entry.error_msg or ""),
        ]
        return self._visible(cells)

    def _visible(self, cells: list[T]) -> list[T]:
        """Return a row's cells, without the vehicle's name if the table does not show it."""
        if self.with_vehicle:
            return cells
        return [*cells[:VEHICLE_COLUMN], *cells[VEHICLE_COLUMN + 1 :]]

    def action_older(self) -> None:
        """Show the next older page."""
        last = self.entries[-1:]
        # While that page is being read, the key must not skip another one.
        if len(self.entries) == PAGE_ROWS and last != self.newer_pages[-1:]:
            self.newer_pages += last
            self._turn_page()

    def action_newer(self) -> None:
        """Show the next newer page."""
        if self.newer_pages:
            self.newer_pages.pop()
            self._turn_page()

    def action_details(self) -> None:
        """Show the row under the cursor in full."""
        at = self.picked_row
        if at is not None:
            started = moment_text(self.entries[at].started_at)
            row = [started, *self.rows_for_export()[at][1:]]
            self.post_message(self.Opened(list(zip(HEADING, row, strict=True))))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the vehicle's page only where the rows are of several vehicles."""
        if action == "vehicle" and not self.with_vehicle:
            return False
        return super().check_action(action, parameters)

    def action_vehicle(self) -> None:
        """Open the page of the vehicle of the row under the cursor."""
        if self.picked_row is not None:
            self.post_message(VehicleWanted(self.entries[self.picked_row].vehicle_id))

    def action_cursor_down(self) -> None:
        """Move down; from the last row, go to the next older page."""
        if self.entries and self.picked_row == len(self.entries) - 1:
            self.action_older()
        else:
            super().action_cursor_down()

    @property
    def page_text(self) -> str:
        """Which page of the journal is shown."""
        if not self.is_read:
            return READING if self.notice == READING else "not read"
        if not self.newer_pages:
            return f"newest page, {self.context.state.follows(failed=self._failed)}"
        oldest = "" if len(self.entries) == PAGE_ROWS else ", the oldest"
        return f"page {len(self.newer_pages) + 1}{oldest}"

    def rows_for_export(self) -> list[list[str]]:
        """Return the rows of this page, with the cells of HEADING."""
        return [
            [
                "" if entry.started_at is None else entry.started_at.isoformat(),
                entry.vehicle_name,
                took_text(entry.seconds),
                entry.status,
                str(entry.rows_written),
                entry.error_msg or "",
            ]
            for entry in self.entries
        ]

    def export_table(self) -> ExportTable:
        """Return the rows of this page."""
        return ExportTable("journal", HEADING, self.rows_for_export())
