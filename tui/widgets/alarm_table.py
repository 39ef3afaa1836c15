"""The table of the fleet's open alarms, page by page; its first page is updated live."""

from collections.abc import Hashable
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message

from fleetsyncd.cells import cut
from fleetsyncd.database.views.alarms import PAGE_ROWS, AlarmFilter, AlarmPage, FleetAlarm, Order
from tui.background import PartRead, is_live, query, read_part
from tui.context import ScreenContext
from tui.model.columns import WIDE
from tui.model.export_table import ExportTable
from tui.widgets.alarm_cells import cells, export_row, fields
from tui.widgets.row_table import READING, RowTable, fill, unread

HEADING = (
    "triggered", "vehicle", "severity", "channel", "channel_name", "message", "alarm", "known_s",
    "vehicle_id",
)  # fmt: skip
_TITLES = ("SEVERITY", "AGE", "AS OF", "VEHICLE", "CHANNEL", "MESSAGE")
_MESSAGE = _TITLES.index("MESSAGE")
_MIN_MESSAGE = 10


class AlarmTable(RowTable):
    """One page of the open alarms; the cursor stays on its alarm."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.plot", "Plot", id="open-alarms.plot",
                tooltip="The alarm's channel around the moment of the alarm"),
        Binding("d", "details", "Details", id="open-alarms.details", tooltip="The alarm in full"),
        Binding("greater_than_sign", "older", "Next page", show=False, key_display=">",
                id="open-alarms.next-page", tooltip="The next page of alarms"),
        Binding("less_than_sign", "newer", "Previous page", show=False, key_display="<",
                id="open-alarms.previous-page", tooltip="The previous page of alarms"),
    ]  # fmt: skip

    class Moved(Message):
        """Another alarm is under the cursor."""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self.context = context
        self.order = Order.SEVERITY
        self.filter = AlarmFilter()
        self.page: AlarmPage | None = None
        """The alarms of this page; None until it is read."""
        self.pages_above: list[FleetAlarm] = []
        """The last row of each page above this one, the first page's first."""
        self.severity_names: set[str] = set()
        """The names of severities that were read, in lower case."""
        self.stale = False
        """Whether all alarms are dimmed, because they may be out of date."""
        self._seen: set[tuple[UUID, int]] = set()
        """The alarms of this page that are not new to the operator."""
        self._reads = 0
        """How many reads were started; the result of any but the last one is dropped."""

    def on_mount(self) -> None:
        """Add the columns."""
        self.add_columns(*_TITLES)

    @property
    def alarm(self) -> FleetAlarm | None:
        """The alarm under the cursor; None if the cursor is on nothing."""
        rows, at = () if self.page is None else self.page.rows, self.picked_row
        return rows[at] if at is not None and at < len(rows) else None

    def reload(self) -> None:
        """Read this page again, in the background."""
        read_part(self, self.load, "alarms", self._question)

    def _question(self) -> Hashable:
        above = [alarm.key for alarm in self.pages_above[-1:]]
        return self.order, self.filter, *above

    def choose(self, order: Order, chosen: AlarmFilter) -> None:
        """Show the first page of the alarms that match a filter, in an order."""
        self.order, self.filter = order, chosen
        self.pages_above.clear()
        self._turn_page()

    async def load(self) -> None:
        """Read this page and show it, unless a later read was started in the meantime."""
        self._reads += 1
        this_read, order, chosen = self._reads, self.order, self.filter
        before = self.pages_above[-1] if self.pages_above else None
        page = await query(lambda: self.context.gateway.fleet_alarms(order, chosen, before))
        if this_read != self._reads or not is_live(self):
            return
        if not page.rows and self.pages_above:
            self.pages_above.pop()
            self.reload()
            return
        self._show(page)

    def show_stale(self, stale: bool) -> None:
        """Dim all alarms, or show them as they are."""
        if stale != self.stale:
            self.stale = stale
            if self.page is not None:
                fill(self, self._rows_of_cells(self.page))

    def on_resize(self) -> None:
        """Cut the messages for the new width."""
        if self.page is not None:
            fill(self, self._rows_of_cells(self.page))

    def _show(self, page: AlarmPage) -> None:
        """Show the rows; the cursor stays on its alarm, else it is on nothing.

        On the first line too: a key that comes just after a worse alarm would open its vehicle.
        """
        held = self.alarm
        self.page = page
        self.severity_names |= {each.severity.strip().lower() for each in page.rows} - {""}
        fill(self, self._rows_of_cells(page))
        rows = {alarm.key: row for row, alarm in enumerate(page.rows)}
        if held is not None and held.key in rows:
            self.move_cursor(row=rows[held.key], animate=False)
        elif held is not None or self.is_lost:
            self._set_lost(bool(rows))
        else:
            self.move_cursor(row=0, animate=False)
        self._note_cursor()

    def _rows_of_cells(self, page: AlarmPage) -> list[list[Text]]:
        """Return the cells; the messages, which stand last, are cut to the room that is left."""
        wide = self.app.size.width >= WIDE
        rows = [cells(alarm, wide=wide, stale=self.stale) for alarm in page.rows]
        columns = zip(*rows, strict=True)
        widths = [max(cell.cell_len for cell in column) for column in columns][:_MESSAGE]
        used = sum(map(max, widths, map(len, _TITLES))) + 2 * self.cell_padding * len(_TITLES)
        room = max(_MIN_MESSAGE, self.scrollable_content_region.width - used)
        for alarm, row in zip(page.rows, rows, strict=True):
            row[_MESSAGE] = Text(cut(alarm.message, room), row[_MESSAGE].style)
        return rows

    def _note_cursor(self) -> None:
        keys = [alarm.key for alarm in self.page.rows] if self.page else []
        # What comes below the cursor is not missed: the operator reads downwards.
        self._seen.intersection_update(keys)
        self._seen.update(keys[self.cursor_row :])
        self.post_message(self.Moved())

    def on_data_table_row_highlighted(self) -> None:
        """Note the alarm to which the operator moved the cursor."""
        self._note_cursor()

    def action_older(self) -> None:
        """Show the next page."""
        rows = () if self.page is None else self.page.rows
        # While that page is being read, the key must not skip another one.
        if len(rows) == PAGE_ROWS and self.pages_above[-1:] != [rows[-1]]:
            self.pages_above.append(rows[-1])
            self._turn_page()

    def action_newer(self) -> None:
        """Show the previous page."""
        if self.pages_above:
            self.pages_above.pop()
            self._turn_page()

    def _turn_page(self) -> None:
        """Read other alarms; those of before would stand under a name that is not theirs."""
        self.page = None
        self._set_lost(False)
        self.clear()
        self.show_notice(READING)
        self.reload()

    def on_part_read(self, event: PartRead) -> None:
        """Say in the table itself, if it has no rows, why it could not be read."""
        if event.part is self and event.error is not None:
            self.show_notice(unread(event.error))

    def action_cursor_down(self) -> None:
        """Move down; from the last row, go to the next page."""
        if self.row_count and self.picked_row == self.row_count - 1:
            self.action_older()
        else:
            super().action_cursor_down()

    @property
    def position_text(self) -> str:
        """Which of the alarms are shown."""
        if self.page is None:
            return READING if self.notice == READING else "not read"
        if not self.page.rows:
            return "0"
        first = len(self.pages_above) * PAGE_ROWS
        text = f"{first + 1}-{first + len(self.page.rows)} of {self.page.total}"
        return f"{text}, {self._new_above} new above" if self._new_above else text

    @property
    def _new_above(self) -> int:
        """How many alarms came above the cursor since it was there."""
        above = self.page.rows[: max(0, self.cursor_row)] if self.page else ()
        return sum(alarm.key not in self._seen for alarm in above)

    def action_details(self) -> None:
        """Show the alarm under the cursor in full."""
        if self.alarm is not None:
            self.post_message(self.Opened(fields(self.alarm)))

    def export_table(self) -> ExportTable:
        """Return the alarms of this page."""
        rows = () if self.page is None else self.page.rows
        return ExportTable("open-alarms", HEADING, [export_row(alarm) for alarm in rows])
