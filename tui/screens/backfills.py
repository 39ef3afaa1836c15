"""The backfills page: past intervals that are pulled again, open and finished ones."""

from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message

from fleetsyncd.cells import cut
from fleetsyncd.database.views.backfills import BackfillList, ListedBackfill
from fleetsyncd.text import age
from fleetsyncd.times import utc_span, utc_text
from tui.background import is_live, query
from tui.context import ScreenContext
from tui.formatting import count_text
from tui.model.export_table import ExportTable
from tui.model.tag_text import with_tags
from tui.screens.room import Room

NAME_WIDTH = 16
SPAN_FORMAT = "%m-%d %H:%M"


class BackfillsPage(Room):
    """The last backfill of each vehicle: how far it is, what stands in its way, how it ended."""

    NAME = "backfills"
    HEADING = ("vehicle", "interval utc", "done", "rate", "left", "rows", "state")
    WRITING = frozenset({"cancel", "repeat"})

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("exclamation_mark", "only_open", "Open ones", key_display="!",
                id="backfills.only-open", tooltip="Show the unfinished ones only, or all"),
        Binding("ctrl+d", "cancel", "Call off", id="backfills.cancel",
                tooltip="Cancel the rest of the backfill; stored rows stay"),
        Binding("r", "repeat", "Again", id="backfills.repeat",
                tooltip="Request the same interval again"),
        Binding("i", "details", "Details", show=False, id="backfills.details",
                tooltip="The line in full"),
    ]  # fmt: skip

    class CancelAsked(Message):
        """The operator wants a backfill to be cancelled as it was shown."""

        def __init__(self, backfill: ListedBackfill) -> None:
            super().__init__()
            self.backfill = backfill

    class RepeatAsked(CancelAsked):
        """The operator wants the interval of a backfill to be pulled again."""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.only_open = False
        self.backfills = BackfillList((), 0, 0)

    async def load(self) -> None:
        """Read the backfills, unless others are asked for meanwhile."""
        rooms, name_part, only_open = self.context.gateway.rooms, self.name_part, self.only_open
        asked = self.question()
        backfills = await query(lambda: rooms.backfills(name_part, only_open=only_open))
        if asked == self.question() and is_live(self):
            self.backfills, self.is_read = backfills, True
            keys = [each.vehicle_id for each in backfills.listed]
            cells = [_cells(each, is_pulled=self._is_pulled) for each in backfills.listed]
            self.table.show_rows(keys, cells)

    @property
    def _is_pulled(self) -> bool:
        """Whether a daemon is alive, which may pull what is open."""
        snapshot = self.context.state.snapshot
        return snapshot is not None and bool(snapshot.alive)

    def question(self) -> tuple[Hashable, ...]:
        """Return what decides which backfills are read."""
        return (*super().question(), self.only_open)

    def nothing(self) -> str:
        """Say that there is no backfill, or none that fits."""
        whose = with_tags(self.context.state.tags)
        if self.name_part:
            return f"No such vehicle{whose} has a backfill: Esc clears the filter"
        of_whom = f" of a vehicle{whose}" if whose else ""
        if self.only_open and self.backfills.total:
            return f"No backfill{of_whom} is open: ! shows the finished ones"
        return f"No backfill{of_whom} was requested: b on a vehicle requests one"

    def status(self) -> Sequence[str]:
        """Say how many there are."""
        if not self.is_read:
            return ()
        listed, total = len(self.backfills.listed), self.backfills.total
        parts = [f"{self.backfills.open} open, {total - self.backfills.open} finished"]
        wanted = self.backfills.open if self.only_open else total
        if listed < wanted:
            parts.append(f"the first {listed} are shown")
        if self.only_open:
            parts.append("only the open ones")
        return parts

    @property
    def under_cursor(self) -> ListedBackfill | None:
        """The backfill under the cursor; None while others are read."""
        listed, at = self.backfills.listed, self.table.picked_row
        return listed[at] if self.is_read and at is not None and at < len(listed) else None

    def action_only_open(self) -> None:
        """Show the unfinished ones only, or all."""
        self.only_open = not self.only_open
        self.ask_anew()

    def action_open_row(self) -> None:
        """Open the page of the vehicle under the cursor."""
        if backfill := self.under_cursor:
            self.post_message(self.VehicleOpened(backfill.vehicle_id))

    def action_details(self) -> None:
        """Show the line under the cursor in full."""
        if backfill := self.under_cursor:
            row = _row(backfill, is_pulled=self._is_pulled)
            self.show_details(list(zip(self.HEADING, row, strict=True)))

    def action_cancel(self) -> None:
        """Ask whether to cancel what is under the cursor."""
        if backfill := self.under_cursor:
            self.post_message(self.CancelAsked(backfill))

    def action_repeat(self) -> None:
        """Ask whether to pull the interval under the cursor again."""
        if backfill := self.under_cursor:
            self.post_message(self.RepeatAsked(backfill))

    def export_table(self) -> ExportTable:
        """Return the backfills that are shown."""
        rows = [_row(each, is_pulled=self._is_pulled) for each in self.backfills.listed]
        return ExportTable(self.NAME, self.HEADING, rows)


def state_text(backfill: ListedBackfill, *, is_pulled: bool) -> str:
    """Say how a backfill ended, what stands in its way, or that it goes on.

    None goes on unless a daemon is alive (`is_pulled`).
    """
    status = backfill.status
    if backfill.finished_at is not None:
        return f"{status.outcome}, {utc_text(backfill.finished_at)}"
    if status.obstacle:
        return status.obstacle
    if not is_pulled:
        return "waits for a daemon: none is alive"
    return "being pulled" if backfill.progress else "waits for the daemon"


def _row(backfill: ListedBackfill, *, is_pulled: bool) -> list[str]:
    status, progress = backfill.status, backfill.progress if is_pulled else None
    return [
        backfill.vehicle,
        utc_span(status.window.start, status.window.end),
        f"{int(100 * status.fraction)}%",
        "" if progress is None else f"{progress.rows_per_second or 0:.0f} rows/s",
        "" if progress is None else age(progress.seconds_left),
        str(status.rows_added),
        state_text(backfill, is_pulled=is_pulled),
    ]


def _short(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):{SPAN_FORMAT}}"


def _cells(backfill: ListedBackfill, *, is_pulled: bool) -> list[Text]:
    status, progress = backfill.status, backfill.progress if is_pulled else None
    window = status.window
    colour = "" if status.finished else "red" if status.obstacle else "cyan"
    return [
        Text(cut(backfill.vehicle, NAME_WIDTH)),
        Text(f"{_short(window.start)} – {_short(window.end)}"),
        Text(f"{int(100 * status.fraction)}%", justify="right"),
        Text("" if progress is None else f"{count_text(progress.rows_per_second)}/s",
             justify="right"),
        Text("" if progress is None else age(progress.seconds_left), justify="right"),
        Text(count_text(status.rows_added), justify="right"),
        Text(state_text(backfill, is_pulled=is_pulled), colour),
    ]  # fmt: skip
