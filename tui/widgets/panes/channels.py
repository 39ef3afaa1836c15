"""The pane of a vehicle's channels."""

from collections.abc import Hashable, Sequence
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from fleetsyncd.cells import cut
from fleetsyncd.database.views.vehicle import MAX_CHANNELS, ChannelValue
from fleetsyncd.text import age
from fleetsyncd.times import iso_ms
from tui.background import let_keys_wait, query
from tui.context import ScreenContext
from tui.formatting import number_text
from tui.model.export_table import ExportTable
from tui.model.plot_view import MOST_CHANNELS
from tui.model.scale import expected_range
from tui.model.sparks import channel_scale, spark
from tui.widgets.fixed_text import FixedText
from tui.widgets.fleet_line import MARK
from tui.widgets.keyed_table import KeyedTable
from tui.widgets.panes.pane import Pane

HEADING = ("", "CH", "NAME", "VALUE", "UNIT", "AGE", "10 MINUTES", "SCALE")
_NAME_WIDTH = 18
"""A longer name would push the scale of its spark off a screen of 80 columns."""
_MORE = "more"
"""The key of the line that says that there are more channels."""
_NONE = "no channel: the vehicle has not told any yet"


class ChannelsPane(Pane):
    """The vehicle's channels with their newest values; Enter plots one, or those marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "plot", "Plot", priority=True, id="channels.plot",
                tooltip="Plot the marked channels, or the one under the cursor"),
        Binding("space", "mark", "Mark", key_display="spc", priority=True, id="channels.mark",
                tooltip=f"Mark a channel for the plot, which shows up to {MOST_CHANNELS}"),
        Binding("slash", "find", "Find", key_display="/", show=False, id="channels.find",
                tooltip="Show channels by a part of their name, or by number"),
        Binding("escape", "stop_finding", "All", show=False, id="channels.all"),
    ]  # fmt: skip
    channels: tuple[ChannelValue, ...] = ()
    search = ""
    """What the shown channels' names contain, or their numbers start with."""

    def __init__(self, context: ScreenContext, vehicle_id: UUID, *, id: str) -> None:  # noqa: A002  Textual's name
        super().__init__(context, vehicle_id, id=id)
        self._found = ""
        """What the shown channels were looked for by."""
        self.marked: list[int] = []
        """The ids of the channels to be plotted together, in the order of marking."""

    class Plotted(Message):
        """The operator wants a plot of channels, given by their ids."""

        def __init__(self, channels: Sequence[int]) -> None:
            super().__init__()
            self.channels = channels

    def compose(self) -> ComposeResult:
        """Lay out the table, the count of marks, and the field that finds channels."""
        yield KeyedTable(HEADING)
        yield FixedText(id="channel-marks")
        yield Input(placeholder="part of a name, or a number", id="channel-search", compact=True)

    def on_mount(self) -> None:
        """Hide the field."""
        self._field.display = False
        self.query_one("#channel-marks").display = False

    def question(self) -> Hashable:
        """Return what channels are looked for."""
        return self.search

    async def load(self) -> None:
        """Read the channels and show them."""
        gateway, search = self.context.gateway, self.search
        self.channels = tuple(await query(lambda: gateway.channels(self.vehicle_id, search)))
        if search != self._found:
            self._table_of_rows.expect_others()
        self._found = search
        if not search:
            known = {channel.channel_id for channel in self.channels}
            self.marked = [number for number in self.marked if number in known]
        notice = f"no channel matches {cut(search, _NAME_WIDTH)}: Esc shows all" if search else ""
        self._table_of_rows.show_notice(notice or _NONE)
        self._fill()

    def show_unread(self, text: str) -> None:
        """Say why the channels could not be read; those of another search are not shown."""
        super().show_unread(text)
        if self._found != self.search:
            self.channels = ()
            self._table_of_rows.expect_others()
            self._fill()

    @property
    def _shown_marks(self) -> list[int]:
        """The ids of the marked channels that the operator sees to be marked."""
        shown = {channel.channel_id for channel in self.channels}
        return [number for number in self.marked if number in shown]

    def _show_marks(self) -> None:
        """Say how many channels are marked, and how many of them a search hides."""
        hidden = len(self.marked) - len(self._shown_marks)
        text = f" {len(self.marked)} marked"
        line = self.query_one("#channel-marks", FixedText)
        line.show(Text(f"{text}, {hidden} not shown" if hidden else text))
        line.display = bool(self.marked)

    def _fill(self) -> None:
        self._show_marks()
        rows = [_cells(channel, channel.channel_id in self.marked) for channel in self.channels]
        keys: list[Hashable] = [channel.channel_id for channel in self.channels]
        if len(rows) == MAX_CHANNELS:
            first = [
                Text(),
                Text("…", justify="right"),
                Text(f"the first {MAX_CHANNELS}; / finds"),
            ]
            rows.append(first + [Text()] * (len(rows[0]) - len(first)))
            keys.append(_MORE)
        self._table_of_rows.show_rows(keys, rows)

    @property
    def _table_of_rows(self) -> KeyedTable:
        return self.query_one(KeyedTable)

    @property
    def _field(self) -> Input:
        return self.query_one("#channel-search", Input)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let the field have its keys; Esc leaves the page, unless channels are looked for."""
        if action in ("plot", "mark") and self.is_mounted and self._field.has_focus:
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
        let_keys_wait(self, "pane")

    def export_table(self) -> ExportTable:
        """Return the channels with their newest values in full, and when these were measured."""
        rows = [
            [
                str(c.channel_id),
                c.name,
                "" if c.value is None else str(c.value),
                c.unit,
                "" if c.measured_at is None else iso_ms(c.measured_at),
            ]
            for c in self.channels
        ]
        return ExportTable("channels", ["channel", "name", "value", "unit", "time"], rows)

    def action_plot(self) -> None:
        """Plot the marked channels, or if no mark is shown the one under the cursor."""
        under_cursor = self._under_cursor()
        if self._shown_marks:
            self.post_message(self.Plotted(self.marked))
        elif under_cursor is not None:
            self.post_message(self.Plotted([under_cursor.channel_id]))

    def action_mark(self) -> None:
        """Mark the channel under the cursor, or remove its mark; move to the next one."""
        channel = self._under_cursor()
        if channel is None:
            return
        if channel.channel_id in self.marked:
            self.marked.remove(channel.channel_id)
        elif len(self.marked) == MOST_CHANNELS:
            self.notify(f"a plot shows up to {MOST_CHANNELS} channels", severity="warning")
            return
        else:
            self.marked.append(channel.channel_id)
        self._fill()
        self._table_of_rows.action_cursor_down()

    def _under_cursor(self) -> ChannelValue | None:
        row = self._table_of_rows.picked_row
        return self.channels[row] if row is not None and row < len(self.channels) else None


def _cells(channel: ChannelValue, is_marked: bool) -> list[Text]:
    expected = expected_range(channel.min_value, channel.max_value)
    scale = channel_scale(channel.curve, expected)
    # Without an expected range the scale follows the values, and two sparks are not comparable.
    note = "" if expected else " auto"
    is_scaled = expected is not None or any(value is not None for value in channel.curve)
    return [
        Text(MARK if is_marked else ""),
        Text(str(channel.channel_id), justify="right"),
        Text(cut(channel.name, _NAME_WIDTH)),
        Text(number_text(channel.value), "bold", justify="right"),
        Text(cut(channel.unit, 8)),
        Text(age(channel.age), justify="right"),
        Text(spark(channel.curve, scale), "cyan"),
        Text(f"{scale.text}{note}" if is_scaled else "-"),
    ]
