"""What all full screens share: totals above, keys below, and news that arrive between."""

from uuid import UUID

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from fleetsyncd.states import VehicleOverview
from tui.background import PartRead
from tui.compositor import TrimmedCompositor
from tui.context import ScreenContext
from tui.model.columns import WIDE
from tui.widgets.fixed_text import FixedText
from tui.widgets.status_bar import WarningBar, totals_line

Table = tuple[str, list[str], list[list[str]]]
"""What a screen can export: a name for the file, a heading, rows."""
Needs = tuple[list[UUID], bool]
"""The vehicles whose last hour a page shows, and whether it shows the journal's newest rows."""


class Page(Screen[None]):
    """A full screen; the app tells the page on top when there is news."""

    TITLE = "fleetsyncd"

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self._compositor = TrimmedCompositor()
        self.context = context
        self.unread: dict[object, str] = {}
        """Parts that could not be read last, and why."""

    def compose(self) -> ComposeResult:
        """Put the page's own part between totals and keys."""
        yield FixedText(id="pulse")
        yield WarningBar("", id="warnings")
        yield from self.body()
        yield Footer(compact=True, show_command_palette=False)

    def body(self) -> ComposeResult:
        """Lay out the page's own part; a plain one has none."""
        yield from ()

    def on_screen_resume(self) -> None:
        """Show what is known already, at first and after another screen lay above."""
        self.call_after_refresh(self.update_page)

    def on_part_read(self, event: PartRead) -> None:
        """Say which part could not be read, until it is."""
        if event.fault is None:
            self.unread.pop(event.part, None)
        else:
            self.unread[event.part] = event.fault
        self.tick()

    def tick(self) -> None:
        """Show how old everything is."""
        now = self.context.now()
        self.query_one("#pulse", FixedText).show(
            totals_line(self.context.state, now, self.size.width)
        )
        self.query_one(WarningBar).show(self.context.state, now, self.unread.values())

    def update_page(self) -> None:
        """Show what was read since; the page's own part follows in `update_body`."""
        self.tick()
        self.update_body()

    def update_body(self) -> None:
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

    def needs(self) -> Needs:
        """Return what the page shows beside the fleet's present state."""
        return [], False

    @property
    def wide(self) -> bool:
        """Whether there is room for more."""
        return self.app.size.width >= WIDE
