"""The base class of all pages (full screens): totals and warnings above, keys below."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.events import Click
from textual.message import Message
from textual.screen import Screen

from fleetsyncd.states import State
from tui.background import PartRead, is_live
from tui.context import ScreenContext
from tui.model.columns import WIDE
from tui.model.export_table import ExportTable
from tui.model.targets import Targets
from tui.widgets.fixed_text import FixedText
from tui.widgets.key_footer import KeyFooter
from tui.widgets.status_bar import counted_at, totals_line
from tui.widgets.warning_bar import WarningBar


@dataclass(frozen=True, slots=True)
class PageNeeds:
    """What the next snapshot must hold for a page, in addition to the vehicles."""

    last_hour: Sequence[UUID] = ()
    """The vehicles whose last hour the page shows."""
    journal_tail: bool = False
    """Whether the page shows the newest journal entries."""


class Page(Screen[None]):
    """A full screen; after each read of the fleet, the topmost page is updated."""

    TITLE = "fleetsyncd"

    class CountClicked(Message):
        """The operator clicked a count in the line of totals."""

        def __init__(self, counted: State | str) -> None:
            super().__init__()
            self.counted = counted
            """What is counted, as the line of totals names it."""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self.context = context
        self.unreadable: dict[object, str] = {}
        """The widgets whose last read failed, each with the error's text."""

    def compose(self) -> ComposeResult:
        """Lay out totals, warnings, body and keys."""
        yield FixedText(id="totals")
        yield WarningBar("", id="warnings")
        yield from self.body()
        yield KeyFooter()

    def body(self) -> ComposeResult:
        """Lay out the page's body; subclasses override it."""
        yield from ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Do nothing before the page is laid out."""
        return super().check_action(action, parameters) if self.is_mounted else None

    @on(Click, "#totals")
    def _tell_count(self, event: Click) -> None:
        """Tell which count was clicked."""
        counted = counted_at(self.query_one("#totals", FixedText).shown, event.x)
        if counted is not None:
            self.post_message(self.CountClicked(counted))

    def on_screen_resume(self) -> None:
        """Update the page at first, and whenever it is the topmost again."""
        self.call_after_refresh(self.update_page)

    def on_part_read(self, event: PartRead) -> None:
        """Show a warning for a widget whose read failed, until a read succeeds."""
        if event.error is None:
            self.unreadable.pop((event.part, event.group), None)
        else:
            self.unreadable[event.part, event.group] = event.error
        self.tick()

    def tick(self) -> None:
        """Update the ages in totals and warnings, and dim what is old, if the page is open."""
        if not is_live(self):
            return
        now = self.context.now()
        self.query_one("#totals", FixedText).show(
            totals_line(self.context.state, now, self.size.width)
        )
        unreadable = list(self.unreadable.values())
        snapshot = self.context.state.snapshot
        if snapshot is not None and snapshot.alarms_error is not None:
            unreadable.append(snapshot.alarms_error)
        warnings = self.context.state.warnings(now, unreadable)
        self.query_one(WarningBar).show(warnings, self.size.width)
        self.set_class(self.context.state.stale, "-stale")

    def update_page(self) -> None:
        """Show the last snapshot, if the page is open."""
        if is_live(self):
            self.tick()
            self.update_body()

    def update_body(self) -> None:
        """Show the last snapshot in the page's body; subclasses override it."""

    def targets(self) -> Targets:
        """Return the vehicles that an action applies to."""
        return Targets()

    def copy_text(self) -> str:
        """Return the text that the copy key copies; empty if there is nothing to copy."""
        return ""

    def export_table(self) -> ExportTable | None:
        """Return the table that the export key writes; None if there is none."""
        return None

    def needs(self) -> PageNeeds:
        """Return what the next snapshot must hold for this page."""
        return PageNeeds()

    @property
    def wide(self) -> bool:
        """Whether the terminal has at least WIDE columns."""
        return self.app.size.width >= WIDE
