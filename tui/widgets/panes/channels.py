"""The pane of a vehicle's channels."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable, Input

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
        Binding("slash", "find", "Find", key_display="/", show=False, id="channels.find",
                tooltip="Show channels by a part of their name, or by number"),
        Binding("escape", "stop_finding", "All", show=False, id="channels.all"),
    ]  # fmt: skip
    channels: tuple[ChannelValue, ...] = ()
    search = ""
    """What the shown channels' names contain, or their numbers start with."""

    class Plotted(Message):
        """The operator wants a plot of a channel."""

        def __init__(self, channel: ChannelValue) -> None:
            super().__init__()
            self.channel = channel

    def compose(self) -> ComposeResult:
        """Lay out the table, and the field that finds channels."""
        yield RowTable()
        yield Input(placeholder="part of a name, or a number", id="channel-search", compact=True)

    def on_mount(self) -> None:
        """Add the columns; hide the field."""
        self._field.display = False
        table = self.query_one(DataTable)
        table.add_columns("CH", "NAME", "VALUE", "UNIT", "RANGE", "AGE", "10 MINUTES")

    async def load(self) -> None:
        """Read the channels and show them."""
        gateway, search = self.context.gateway, self.search
        self.channels = tuple(await query(lambda: gateway.channels(self.vehicle_id, search)))
        rows = [_cells(channel) for channel in self.channels]
        if len(rows) == MAX_CHANNELS:
            first = [Text("…", justify="right"), Text(f"the first {MAX_CHANNELS}; / finds")]
            rows.append(first + [Text()] * (len(rows[0]) - len(first)))
        fill(self.query_one(DataTable), rows)

    @property
    def _field(self) -> Input:
        return self.query_one("#channel-search", Input)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let the field have Enter; Esc leaves the page, unless channels are being looked for."""
        if action == "plot" and self.is_mounted and self._field.has_focus:
            return False
        if action == "stop_finding":
            return self.is_mounted and self._field.display
        return super().check_action(action, parameters)

    def action_find(self) -> None:
        """Open the field that finds channels."""
        self._field.display = True
        self._field.focus()

    def action_stop_finding(self) -> None:
        """Show all channels."""
        self._field.value = ""
        self._field.display = False
        self.take_focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find channels while the text is typed."""
        event.stop()
        self.search = event.value.strip()
        self.refresh_data()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Focus the channels that were found."""
        event.stop()
        self.take_focus()

    def export_table(self) -> ExportTable:
        """Return the channels with their newest values."""
        rows = [[str(c.channel_id), c.name, number_text(c.value), c.unit] for c in self.channels]
        return ExportTable("channels", ["channel", "name", "value", "unit"], rows)

    def action_plot(self) -> None:
        """Plot the channel under the cursor."""
        row = self.query_one(DataTable).cursor_row
        if 0 <= row < len(self.channels):
            self.post_message(self.Plotted(self.channels[row]))


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
