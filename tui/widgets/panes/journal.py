"""The pane of a vehicle's journal."""

from textual.app import ComposeResult

from tui.widgets.journal_table import JournalTable
from tui.widgets.panes.pane import Pane


class JournalPane(Pane):
    """The vehicle's attempts, page by page."""

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield JournalTable(self.context, [self.vehicle_id], named=False)

    async def load(self) -> None:
        """Read the page and show it."""
        await self.query_one(JournalTable).load()
