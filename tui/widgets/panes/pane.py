"""What the vehicle screen's panes share."""

from uuid import UUID

from textual.containers import Vertical
from textual.widgets import DataTable

from tui.background import read_part
from tui.context import ScreenContext


class Pane(Vertical):
    """A part of the vehicle screen; `load` reads and shows it."""

    def __init__(self, context: ScreenContext, vehicle_id: UUID, *, id: str) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.context = context
        self.vehicle_id = vehicle_id

    async def load(self) -> None:
        """Read the pane's part and show it; a plain one has none."""

    def refresh_data(self) -> None:
        """Read and show anew in the background."""
        read_part(self, self.load, "pane")

    def take_focus(self) -> None:
        """Give the keys to what the pane is about."""
        table = next(iter(self.query(DataTable)), None)
        if table is not None:
            table.focus()
