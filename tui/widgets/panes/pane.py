"""The base class of all panes."""

from collections.abc import Hashable
from typing import ClassVar
from uuid import UUID

from textual.containers import Vertical

from tui.background import PartRead, read_part
from tui.context import ScreenContext
from tui.model.export_table import ExportTable
from tui.widgets.row_table import RowTable, unread


class Pane(Vertical):
    """The content of one tab of the vehicle page."""

    ZOOMABLE: ClassVar[bool] = False
    """Whether the pane shows a span of time that can be changed."""

    def __init__(self, context: ScreenContext, vehicle_id: UUID, *, id: str) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.context = context
        self.vehicle_id = vehicle_id

    async def load(self) -> None:
        """Read the pane's data and show them; subclasses override it."""

    def on_part_read(self, event: PartRead) -> None:
        """Say in the pane itself, if it shows nothing yet, why it could not be read."""
        if event.part is self and event.error is not None:
            self.show_unread(unread(event.error))

    def show_unread(self, text: str) -> None:
        """Show this instead of data that were not read; subclasses without a table override it."""
        for table in self.query(RowTable):
            table.show_notice(text)

    def question(self) -> Hashable:
        """Return what decides which data are read; subclasses override it."""
        return None

    def refresh_data(self) -> None:
        """Read and show the data again, in the background."""
        read_part(self, self.load, "pane", self.question)

    def change_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1), if the pane is zoomable."""

    def export_table(self) -> ExportTable | None:
        """Return the pane's rows; None if it has no table."""
        return None

    @property
    def cursor_row(self) -> int | None:
        """The index of the row under the cursor; None without a table or without rows."""
        table = self._table
        return None if table is None else table.picked_row

    def take_focus(self) -> None:
        """Focus the pane's table, if it has one."""
        table = self._table
        if table is not None:
            table.focus()

    @property
    def _table(self) -> RowTable | None:
        return next(iter(self.query(RowTable)), None)
