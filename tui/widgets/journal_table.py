"""The journal in pages: newest first, following live on the first page, back as far as it goes."""

from collections.abc import Collection
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.binding import Binding, BindingType

from fleetsyncd.database.views.journal import PAGE_ROWS
from fleetsyncd.models import JournalEntry
from fleetsyncd.text import age
from tui.background import query, read_part
from tui.context import ScreenContext
from tui.formatting import OUTCOME_STYLES, UNKNOWN_STYLE, cut, time_text
from tui.widgets.row_table import RowTable, widen

HEADING = ["started", "vehicle", "took", "result", "rows", "error"]


class JournalTable(RowTable):
    """Rows of the journal of some vehicles, or of all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "greater_than_sign",
            "older",
            "Older",
            show=False,
            key_display=">",
            id="journal.older",
            tooltip="The page before this one in time",
        ),
        Binding(
            "less_than_sign",
            "newer",
            "Newer",
            show=False,
            key_display="<",
            id="journal.newer",
            tooltip="Back towards the newest page, which follows live",
        ),
        Binding("enter", "details", "Details", id="journal.details", tooltip="The row in full"),
    ]

    def __init__(
        self, context: ScreenContext, vehicles: Collection[UUID] | None, *, named: bool
    ) -> None:
        super().__init__()
        self.context = context
        self.vehicles = vehicles
        self.statuses: Collection[str] = ()
        self.named = named
        self.attempts: list[JournalEntry] = []
        self.is_read = False
        self.above: list[JournalEntry] = []
        """The last row of each page above this one."""
        self._asked = 0
        self._painted: list[JournalEntry] = []

    def on_mount(self) -> None:
        """Make the columns."""
        titles = ["STARTED", "VEHICLE", "TOOK", "RESULT", "ROWS", "ERROR"]
        self.add_columns(*(title for title in titles if self.named or title != "VEHICLE"))

    async def load(self) -> None:
        """Read this page anew; a slower answer to an older question is dropped."""
        self._asked += 1
        asked, before = self._asked, self.above[-1] if self.above else None
        vehicles, statuses = self.vehicles, self.statuses
        found = await query(lambda: self.context.gateway.journal(vehicles, statuses, before))
        if asked == self._asked and self.is_mounted:
            self.attempts, self.is_read = found, True
            self._show()

    def reload(self) -> None:
        """Read this page anew in the background."""
        read_part(self, self.load, "journal")

    def ask_for(self, vehicles: Collection[UUID] | None, statuses: Collection[str]) -> None:
        """Show other rows, from the newest on."""
        self.vehicles, self.statuses = vehicles, statuses
        self.above.clear()
        self.is_read = False
        self.reload()

    def _show(self) -> None:
        """Show what changed: rows that were there stay, with the cursor on its own."""
        if self.attempts == self._painted:
            return
        under = None
        if self._painted and 0 <= self.cursor_row < len(self._painted):
            under = self._painted[self.cursor_row].id
        follows = self.cursor_row == 0
        self.clear()
        rows = [self._cells(attempt) for attempt in self.attempts]
        widen(self, rows)
        self.add_rows(rows)
        self._painted = self.attempts
        places = {attempt.id: place for place, attempt in enumerate(self.attempts)}
        if not follows and under in places:
            self.move_cursor(row=places[under], animate=False)

    def _cells(self, attempt: JournalEntry) -> list[Text]:
        glyph, colour = OUTCOME_STYLES.get(attempt.status, UNKNOWN_STYLE)
        cells = [
            Text(time_text(attempt.started_at)),
            Text(cut(attempt.vehicle_name, 24)),
            Text("-" if attempt.seconds is None else f"{attempt.seconds:.1f}s", justify="right"),
            Text(f"{glyph} {cut(attempt.status, 10)}", colour),
            Text(str(attempt.rows_written), justify="right"),
            Text(attempt.error_msg or ""),
        ]
        return cells if self.named else [cells[0], *cells[2:]]

    def action_older(self) -> None:
        """Go one page back in time."""
        last = self.attempts[-1:]
        # As long as that page is being read, the key would ask for it again.
        if len(self.attempts) == PAGE_ROWS and last != self.above[-1:]:
            self.above += last
            self.reload()

    def action_newer(self) -> None:
        """Go one page towards the present."""
        if self.above:
            self.above.pop()
            self.reload()

    def action_details(self) -> None:
        """Show the row under the cursor in full."""
        if 0 <= self.cursor_row < len(self.attempts):
            row = self.rows_for_export()[self.cursor_row]
            self.post_message(self.Opened(list(zip(HEADING, row, strict=True))))

    def action_cursor_down(self) -> None:
        """Move down, over the end of a page to the next."""
        if self.attempts and self.cursor_row == len(self.attempts) - 1:
            self.action_older()
        else:
            super().action_cursor_down()

    @property
    def place(self) -> str:
        """Which page this is."""
        if not self.is_read:
            return "reading …"
        if not self.above:
            return "newest page, live"
        more = "" if len(self.attempts) == PAGE_ROWS else ", the oldest"
        return f"page {len(self.above) + 1}{more}"

    def rows_for_export(self) -> list[list[str]]:
        """Return this page's rows."""
        return [
            [
                "" if attempt.started_at is None else attempt.started_at.isoformat(),
                attempt.vehicle_name,
                age(attempt.seconds),
                attempt.status,
                str(attempt.rows_written),
                attempt.error_msg or "",
            ]
            for attempt in self.attempts
        ]
