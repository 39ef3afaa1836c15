"""What all full screens share: totals above, keys below, and news that arrive between."""

from uuid import UUID

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from fleetsyncd.states import VehicleOverview
from tui.background import PartRead
from tui.compositor import TrimmedCompositor
from tui.context import Desk
from tui.model.columns import WIDE
from tui.widgets.fixed_text import Fixed
from tui.widgets.status_bar import Warnings, pulse_line

Table = tuple[str, list[str], list[list[str]]]
"""What a screen can export: a name for the file, a heading, rows."""
Wanted = tuple[list[UUID], bool]
"""The vehicles whose last hour a page shows, and whether it shows the journal's newest rows."""


class Page(Screen[None]):
    """A full screen; the app tells the page on top when there is news."""

    TITLE = "fleetsyncd"

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._compositor = TrimmedCompositor()
        self.desk = desk
        self.unread: dict[object, str] = {}
        """Parts that could not be read last, and why."""

    def compose(self) -> ComposeResult:
        """Put the page's own part between totals and keys."""
        yield Fixed(id="pulse")
        yield Warnings("", id="warnings")
        yield from self.body()
        yield Footer(compact=True, show_command_palette=False)

    def body(self) -> ComposeResult:
        """Lay out the page's own part; a plain one has none."""
        yield from ()

    def on_screen_resume(self) -> None:
        """Show what is known already, at first and after another screen lay above."""
        self.call_after_refresh(self.news)

    def on_part_read(self, event: PartRead) -> None:
        """Say which part could not be read, until it is."""
        if event.fault is None:
            self.unread.pop(event.part, None)
        else:
            self.unread[event.part] = event.fault
        self.tick()

    def tick(self) -> None:
        """Show how old everything is."""
        now = self.desk.now()
        self.query_one("#pulse", Fixed).show(pulse_line(self.desk.state, now, self.size.width))
        self.query_one(Warnings).show(self.desk.state, now, self.unread.values())

    def news(self) -> None:
        """Show what was read since; the page's own part follows in `refreshed`."""
        self.tick()
        self.refreshed()

    def refreshed(self) -> None:
        """Show the page's own part anew."""

    def targets(self) -> list[VehicleOverview]:
        """Return the vehicles that an action is for."""
        return []

    def copied(self) -> str:
        """Return what `y` puts into the clipboard; nothing if empty."""
        return ""

    def table(self) -> Table | None:
        """Return what can be exported."""
        return None

    def wanted(self) -> Wanted:
        """Return what the page shows beside the fleet's present state."""
        return [], False

    @property
    def wide(self) -> bool:
        """Whether there is room for more."""
        return self.app.size.width >= WIDE
