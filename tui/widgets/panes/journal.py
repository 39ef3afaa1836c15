"""The pane of a vehicle's journal."""

from textual.app import ComposeResult

from tui.model.export_table import ExportTable
from tui.widgets.journal_table import JournalTable
from tui.widgets.panes.pane import Pane


class JournalPane(Pane):
    """The vehicle's sync attempts, page by page."""

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield JournalTable(self.context, [self.vehicle_id], with_vehicle=False)

    async def load(self) -> None:
        """Read the shown page of the journal and show it."""
        await self.query_one(JournalTable).load()

    def export_table(self) -> ExportTable:
        """Return the rows of the shown page of the journal."""
        return self.query_one(JournalTable).export_table()
