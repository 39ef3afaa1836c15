"""The page of backfills and audits: past intervals that are asked for again, open and finished."""

from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from fleetsyncd.cells import cut
from fleetsyncd.database.views.jobs import JobList, JobStatus, ListedJob
from fleetsyncd.text import age
from tui.background import is_live, query
from tui.context import ScreenContext
from tui.formatting import count_text, percent_text
from tui.model.export_table import ExportTable
from tui.model.job_text import FIELDS, full_row, has_findings, in_full, state_text
from tui.model.tag_text import with_tags
from tui.screens.room import Room
from tui.widgets.in_full import InFull

Job = ListedJob[JobStatus]
NAME_WIDTH = 16
SPAN_FORMAT = "%m-%d %H:%M"


class BackfillsPage(Room):
    """Each vehicle's last backfill, audit and repair: how far it is, what it found, how it ended.

    The one under the cursor stands in full below them.
    """

    NAME = "backfills"
    LABEL = "backfills, audits"
    HEADING = ("vehicle", "kind", "interval utc", "done", "left", "state")
    WIDE_HEADING: ClassVar[Sequence[str]] = (*HEADING[:-1], "rate", "rows", HEADING[-1])
    WRITING = frozenset({"cancel", "repeat"})

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("exclamation_mark", "only_open", "Open ones", key_display="!",
                id="backfills.only-open", tooltip="Show the unfinished ones only, or all"),
        Binding("ctrl+d", "cancel", "Call off", id="backfills.cancel",
                tooltip="Cancel the rest of it; stored rows stay"),
        Binding("r", "repeat", "Again", id="backfills.repeat",
                tooltip="Request the same interval again"),
        Binding("i", "details", "Details", show=False, id="backfills.details",
                tooltip="The line in full"),
    ]  # fmt: skip

    class CancelAsked(Message):
        """The operator wants a job to be cancelled as it was shown."""

        def __init__(self, job: Job) -> None:
            super().__init__()
            self.job = job

    class RepeatAsked(CancelAsked):
        """The operator wants the interval of a job to be asked for again."""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.only_open = False
        self.jobs = JobList()

    def below_table(self) -> ComposeResult:
        """Lay out the line under the cursor."""
        yield InFull()

    async def load(self) -> None:
        """Read the jobs, unless others are asked for meanwhile."""
        rooms, name_part, only_open = self.context.gateway.rooms, self.name_part, self.only_open
        asked = self.question()
        jobs = await query(lambda: rooms.jobs(name_part, only_open=only_open))
        if asked == self.question() and is_live(self):
            self.jobs, self.is_read = jobs, True
            self._show_jobs()

    def _show_jobs(self) -> None:
        """Show the jobs that were read, in as many columns as the screen has room for."""
        table, at = self.table, self.table.cursor_row
        heading = [name.upper() for name in (self.WIDE_HEADING if self.wide else self.HEADING)]
        is_other = table.heading != heading
        if is_other:
            table.set_heading(heading)
        keys = [(each.vehicle_id, each.kind) for each in self.jobs.listed]
        table.show_rows(keys, [self._cells(each) for each in self.jobs.listed])
        if is_other:
            table.move_cursor(row=at, animate=False)

    def on_resize(self) -> None:
        """Show as many columns as there is room for by now."""
        if self.is_read:
            self._show_jobs()
        self.show_state()

    def show_state(self) -> None:
        """Show what is under the cursor in full as well."""
        super().show_state()
        job = self.under_cursor
        text = "" if job is None else in_full(job, is_pulled=self._is_pulled)
        self.query_one(InFull).show_whole(Text(text))

    def on_data_table_row_highlighted(self) -> None:
        """Show in full what the operator moved the cursor to."""
        self.show_state()

    @property
    def _is_pulled(self) -> bool:
        """Whether a daemon is alive, which may do what is open."""
        snapshot = self.context.state.snapshot
        return snapshot is not None and bool(snapshot.alive)

    def question(self) -> tuple[Hashable, ...]:
        """Return what decides which jobs are read."""
        return (*super().question(), self.only_open)

    def nothing(self) -> str:
        """Say that there is nothing, or nothing that fits."""
        whose = with_tags(self.context.state.tags)
        if self.name_part:
            return f"No such vehicle{whose} has a backfill or an audit: Esc clears the filter"
        of_whom = f" of a vehicle{whose}" if whose else ""
        if self.only_open and self.jobs.total:
            return f"No backfill or audit{of_whom} is open: ! shows the finished ones"
        return (
            f"No backfill or audit{of_whom} was requested:\n"
            "b on a vehicle requests a backfill, x an audit"
        )

    def status(self) -> Sequence[str]:
        """Say how many there are."""
        if not self.is_read:
            return ()
        listed, total = len(self.jobs.listed), self.jobs.total
        parts = [f"{self.jobs.open} open, {total - self.jobs.open} finished"]
        wanted = self.jobs.open if self.only_open else total
        if listed < wanted:
            parts.append(f"the first {listed} are shown")
        if self.only_open:
            parts.append("only the open ones")
        return parts

    @property
    def under_cursor(self) -> Job | None:
        """The job under the cursor; None while others are read."""
        listed, at = self.jobs.listed, self.table.picked_row
        return listed[at] if self.is_read and at is not None and at < len(listed) else None

    def action_only_open(self) -> None:
        """Show the unfinished ones only, or all."""
        self.only_open = not self.only_open
        self.ask_anew()

    def action_open_row(self) -> None:
        """Open the page of the vehicle under the cursor."""
        if job := self.under_cursor:
            self.post_message(self.VehicleOpened(job.vehicle_id))

    def action_details(self) -> None:
        """Show the line under the cursor in full."""
        if job := self.under_cursor:
            row = full_row(job, is_pulled=self._is_pulled)
            self.show_details(list(zip(FIELDS, row, strict=True)))

    def action_cancel(self) -> None:
        """Ask whether to cancel what is under the cursor."""
        if job := self.under_cursor:
            self.post_message(self.CancelAsked(job))

    def action_repeat(self) -> None:
        """Ask whether to ask for the interval under the cursor again."""
        if job := self.under_cursor:
            self.post_message(self.RepeatAsked(job))

    def export_table(self) -> ExportTable:
        """Return the jobs that are shown."""
        rows = [full_row(each, is_pulled=self._is_pulled) for each in self.jobs.listed]
        return ExportTable(self.NAME, FIELDS, rows)

    def _cells(self, job: Job) -> list[Text]:
        status, window = job.status, job.status.window
        progress = status.progress if self._is_pulled else None
        rate = "" if progress is None else f"{count_text(progress.rows_per_second)}/s"
        amounts = [Text(text, justify="right") for text in (rate, count_text(status.rows))]
        return [
            Text(cut(job.vehicle, NAME_WIDTH)),
            Text(job.kind),
            Text(f"{_short(window.start)} – {_short(window.end)}"),
            Text(percent_text(status.fraction), justify="right"),
            Text("" if progress is None else age(progress.seconds_left), justify="right"),
            *(amounts if self.wide else ()),
            Text(state_text(job, is_pulled=self._is_pulled), _colour(status)),
        ]


def _short(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):{SPAN_FORMAT}}"


def _colour(status: JobStatus) -> str:
    """Return the colour of how it is; red: it makes no progress, yellow: it found something."""
    if not status.finished:
        return "red" if status.obstacle else "cyan"
    return "yellow" if has_findings(status) else ""
