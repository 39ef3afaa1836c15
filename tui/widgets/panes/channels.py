"""The pane of a vehicle's channels."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from fleetsyncd.cells import cut
from fleetsyncd.database.views.vehicle import MAX_CHANNELS, ChannelValue
from fleetsyncd.text import age
from tui.background import query
from tui.formatting import number_text, spark_within
from tui.model.export_table import ExportTable
from tui.widgets.panes.pane import Pane
from tui.widgets.row_table import RowTable, fill


class ChannelsPane(Pane):
    """The vehicle's channels with their newest values; Enter plots one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "plot", "Plot", priority=True, id="channels.plot"),
    ]
    channels: tuple[ChannelValue, ...] = ()

    class Plotted(Message):
        """The operator wants a plot of channels, given by their ids."""

        def __init__(self, channels: Sequence[int]) -> None:
            super().__init__()
            self.channels = channels

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield RowTable()

    def on_mount(self) -> None:
        """Add the columns."""
        table = self.query_one(DataTable)
        table.add_columns("CH", "NAME", "VALUE", "UNIT", "RANGE", "AGE", "10 MINUTES")

    async def load(self) -> None:
        """Read the channels and show them."""
        self.channels = tuple(await query(lambda: self.context.gateway.channels(self.vehicle_id)))
        rows = [_cells(channel) for channel in self.channels]
        if len(rows) == MAX_CHANNELS:
            first = [Text("…", justify="right"), Text(f"the first {MAX_CHANNELS} are shown")]
            rows.append(first + [Text()] * (len(rows[0]) - len(first)))
        fill(self.query_one(DataTable), rows)

    def export_table(self) -> ExportTable:
        """Return the channels with their newest values."""
        rows = [[str(c.channel_id), c.name, number_text(c.value), c.unit] for c in self.channels]
        return ExportTable("channels", ["channel", "name", "value", "unit"], rows)

    def action_plot(self) -> None:
        """Plot the channel under the cursor."""
        row = self.query_one(DataTable).cursor_row
        if 0 <= row < len(self.channels):
            self.post_message(self.Plotted([self.channels[row].channel_id]))


def _cells(channel: ChannelValue) -> list[Text]:
    return [
        Text(str(channel.channel_id), justify="right"),
        Text(cut(channel.name, 28)),
        Text(number_text(channel.value), "bold", justify="right"),
        Text(cut(channel.unit, 8)),
        Text(f"{number_text(channel.min_value)} … {number_text(channel.max_value)}"),
        Text(age(channel.age), justify="right"),
        Text(spark_within(channel.curve), "cyan"),
    ]
