"""The vehicle screen's panes: each reads its own part, and shows it."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import DataTable

from fleetsyncd.database.history import Bucket
from fleetsyncd.database.telemetry import ChannelNow, Registration
from fleetsyncd.states import VehicleOverview
from fleetsyncd.tables import age
from tui.background import answered
from tui.formatting import (
    KEY_HIDDEN,
    count,
    cut,
    gap_line,
    lag_spark,
    moment,
    number,
    spark,
    spark_within,
)
from tui.widgets.fixed_text import Fixed
from tui.widgets.journal_table import JournalTable
from tui.widgets.panes.alarms import AlarmList
from tui.widgets.panes.pane import Pane
from tui.widgets.row_table import RowTable, fill

SPANS = (("1h", 3600), ("6h", 21_600), ("24h", 86_400), ("7d", 604_800), ("30d", 2_592_000))
_LABEL = 9
_TAIL = 26
_GOOD, _FAIR = 1.0, 0.5


class HistoryPane(Pane):
    """Lag, rows and the share of good attempts over a span; the newest attempts beneath."""

    zoom = 0

    def compose(self) -> ComposeResult:
        """Lay out the curves over the newest attempts, and on wide screens alarms beside both."""
        with Horizontal():
            with Vertical():
                yield Fixed(id="curves")
                yield JournalTable(self.desk, [self.vehicle_id], named=False)
            yield AlarmList(self.desk, self.vehicle_id, id="beside")

    async def load(self) -> None:
        """Read the span and show it."""
        self.query_one(JournalTable).reload()
        name, seconds = SPANS[self.zoom]
        width = max(20, self.query_one("#curves").size.width - _LABEL - _TAIL)
        span = await answered(lambda: self.desk.gateway.span(self.vehicle_id, seconds, width))
        self.query_one("#curves", Fixed).show(curves(span, name, seconds))
        beside = self.query_one("#beside", AlarmList)
        if beside.display:
            await beside.load()

    def change_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1)."""
        self.zoom = max(0, min(self.zoom + step, len(SPANS) - 1))
        self.refresh_data()


def curves(span: list[Bucket], name: str, seconds: float) -> Text:
    """Return the three lines that tell a span."""
    lags, rows = [bucket.lag for bucket in span], [bucket.rows for bucket in span]
    attempts, ok = sum(b.attempts for b in span), sum(b.ok for b in span)
    per_minute = sum(rows) / (seconds / 60)
    lines = Text(no_wrap=True)
    lines.append(f" {f'lag {name}':<{_LABEL - 1}}").append(lag_spark(lags), "cyan")
    lines.append(f"  longest {age(max(lags, default=0.0))}\n")
    lines.append(f" {f'rows {name}':<{_LABEL - 1}}").append(spark(rows), "green")
    lines.append(f"  {count(per_minute)}/min\n")
    lines.append(f" {f'ok {name}':<{_LABEL - 1}}")
    for bucket in span:
        lines.append(*_share(bucket))
    share = f"{ok / attempts:.0%} of {attempts}" if attempts else "no attempts"
    return lines.append(f"  {share}")


def _share(bucket: Bucket) -> tuple[str, str]:
    if not bucket.attempts:
        return "·", "bright_black"
    share = bucket.ok / bucket.attempts
    if share >= _GOOD:
        return "●", "green"
    return ("◐", "yellow") if share >= _FAIR else ("◌", "red")


class JournalPane(Pane):
    """The vehicle's attempts, page by page."""

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield JournalTable(self.desk, [self.vehicle_id], named=False)

    async def load(self) -> None:
        """Read the page and show it."""
        await self.query_one(JournalTable).load()


class ChannelsPane(Pane):
    """The vehicle's channels with their newest values; Enter plots one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "plot", "Plot", priority=True, id="channels.plot"),
    ]
    channels: tuple[ChannelNow, ...] = ()

    class Plotted(Message):
        """A channel is to be plotted."""

        def __init__(self, channel: ChannelNow) -> None:
            super().__init__()
            self.channel = channel

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield RowTable()

    def on_mount(self) -> None:
        """Make the columns."""
        table = self.query_one(DataTable)
        table.add_columns("CH", "NAME", "VALUE", "UNIT", "RANGE", "AGE", "10 MINUTES")

    async def load(self) -> None:
        """Read the channels and show them."""
        self.channels = tuple(await answered(lambda: self.desk.gateway.channels(self.vehicle_id)))
        fill(self.query_one(DataTable), [_channel(channel) for channel in self.channels])

    def action_plot(self) -> None:
        """Plot the channel under the cursor."""
        row = self.query_one(DataTable).cursor_row
        if 0 <= row < len(self.channels):
            self.post_message(self.Plotted(self.channels[row]))


def _channel(channel: ChannelNow) -> list[Text]:
    return [
        Text(str(channel.channel_id), justify="right"),
        Text(cut(channel.name, 28)),
        Text(number(channel.value), "bold", justify="right"),
        Text(cut(channel.unit, 8)),
        Text(f"{number(channel.min_value)} … {number(channel.max_value)}"),
        Text(age(channel.age), justify="right"),
        Text(spark_within(channel.curve), "cyan"),
    ]


class ConfigPane(Pane):
    """What is known of the vehicle beside its state."""

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield Fixed(id="config")

    async def load(self) -> None:
        """Read and show it."""
        gateway, read_only = self.desk.gateway, self.desk.state.read_only
        found = await answered(lambda: gateway.registration(self.vehicle_id))
        own_keys = set() if read_only else await answered(gateway.own_keys)
        vehicle = self.desk.state.view.get(self.vehicle_id)
        if found is None or vehicle is None:
            return
        key = "its own" if self.vehicle_id in own_keys else "VEHICLE_DEFAULT_API_KEY"
        key = KEY_HIDDEN if read_only else f"{KEY_HIDDEN} {key}"
        lines = [(name, text) for name, text in _config(found, vehicle, key) if text]
        told = Text()
        for name, text in lines:
            told.append(f" {name:<24}", "bold").append(f"{text}\n")
        self.query_one("#config", Fixed).show(told)


def _config(found: Registration, vehicle: VehicleOverview, key: str) -> list[tuple[str, str]]:
    skew = found.clock_skew_ms
    return [
        ("name", found.name),
        ("id", str(vehicle.id)),
        ("address", vehicle.address),
        ("key", key),
        ("software", vehicle.software_version or "-"),
        ("pulled by", vehicle.replica or "-"),
        ("registered", moment(found.created_at)),
        ("last seen", moment(found.last_seen_at)),
        ("committed up to", moment(found.last_sync_at)),
        ("alarms asked for up to", moment(found.alarm_watermark)),
        ("newest measurement", moment(found.newest_measurement_at)),
        ("clock", "-" if skew is None else f"{skew / 1000:+.1f} s from ours"),
        ("failures in a row", str(vehicle.failures)),
        ("in quarantine", f"{found.quarantined} bad row(s)"),
        ("catching up", gap_line(vehicle.catching_up)),
        ("backfill", gap_line(vehicle.backfill)),
    ]
