"""The plot page: one channel's values over time."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import plotext
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetsyncd.cells import cut
from fleetsyncd.database.views.vehicle import ChannelValue, SeriesPoint
from tui.background import query, read_part
from tui.context import ScreenContext
from tui.formatting import number_text
from tui.model.export_table import ExportTable
from tui.model.span import DAY, HOUR, SIX_HOURS, TEN_MINUTES, WEEK, Span
from tui.screens.page import Page
from tui.widgets.fixed_text import FixedText

SPANS = (TEN_MINUTES, HOUR, SIX_HOURS, DAY, WEEK)
"""The spans that the zoom keys choose from, the shortest first."""
NAME_WIDTH = 24
ZOOM_KEYS = Binding.Group("Zoom", compact=True)
_TICK_WIDTH = 20


class PlotPage(Page):
    """A channel's lowest, mean and highest values, drawn over a span of time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("minus", "zoom(1)", "Zoom out", key_display="-", group=ZOOM_KEYS,
                id="plot.zoom-out", tooltip="A longer span"),
        Binding("equals_sign,plus", "zoom(-1)", "Zoom in", key_display="=", group=ZOOM_KEYS,
                id="plot.zoom-in", tooltip="A shorter span"),
        Binding("escape,q", "leave", "Back", id="plot.back"),
    ]  # fmt: skip

    def __init__(
        self,
        context: ScreenContext,
        vehicle_id: UUID,
        channels: Sequence[int],
        *,
        at: datetime | None = None,
    ) -> None:
        super().__init__(context)
        self.vehicle_id = vehicle_id
        self.channels = tuple(channels)
        """The ids of the plotted channels, at least one."""
        self.at = at
        """The moment to be shown; None for the present."""
        self.zoom = 0
        """Index into SPANS."""
        self.points: list[SeriesPoint] = []

    def body(self) -> ComposeResult:
        """Lay out headline and plot."""
        yield FixedText(id="headline")
        yield FixedText(id="plot")

    def update_body(self) -> None:
        """Read the span again."""
        read_part(self, self._load, "plot")

    async def _load(self) -> None:
        plot = self.query_one("#plot", FixedText)
        size = plot.content_size
        if not size:
            return
        span = SPANS[self.zoom]
        gateway, number = self.context.gateway, self.channels[0]
        known = await query(lambda: gateway.channels(self.vehicle_id))
        channel = next((channel for channel in known if channel.channel_id == number), None)
        if channel is None:
            return
        self.points = await query(
            lambda: gateway.channel_series(self.vehicle_id, number, span.seconds, 2 * size.width)
        )
        self.query_one("#headline", FixedText).show(self._headline(channel, span))
        plot.show(draw(self.points, size.width, size.height, span))

    def _headline(self, channel: ChannelValue, span: Span) -> Text:
        vehicle = self.context.state.view.get(self.vehicle_id)
        name = "" if vehicle is None else f"{cut(vehicle.name, NAME_WIDTH)} · "
        line = Text(
            f" {name}{cut(channel.name, NAME_WIDTH)}", "bold", no_wrap=True, overflow="ellipsis"
        )
        unit = f" {cut(channel.unit, 8)}" if channel.unit else ""
        if self.points:
            low, high = min(p.low for p in self.points), max(p.high for p in self.points)
            line.append(
                f" · {span.name}: {number_text(low)} … {number_text(high)}{unit}", "not bold"
            )
        else:
            line.append(f" · {span.name}: nothing stored", "not bold")
        return line

    def action_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1)."""
        self.zoom = max(0, min(self.zoom + step, len(SPANS) - 1))
        self.update_body()

    def action_leave(self) -> None:
        """Go back to the vehicle."""
        self.app.pop_screen()

    def export_table(self) -> ExportTable:
        """Return the plotted points."""
        rows = [[p.at.isoformat(), str(p.low), str(p.mean), str(p.high)] for p in self.points]
        name = f"channel-{self.channels[0]}"
        return ExportTable(name, ["time", "low", "mean", "high"], rows)


def draw(points: list[SeriesPoint], width: int, height: int, span: Span) -> Text:
    """Return a plot of `width` x `height` cells; empty without points."""
    if not points:
        return Text("")
    times = [point.at.timestamp() for point in points]
    figure = plotext
    figure.clear_figure()
    figure.theme("clear")
    figure.limit_size(False, False)  # plotext would limit it to the terminal's size
    figure.plot_size(width, height)
    if any(point.low != point.high for point in points):
        figure.plot(times, [point.low for point in points], color="gray", marker="braille")
        figure.plot(times, [point.high for point in points], color="gray", marker="braille")
    figure.plot(times, [point.mean for point in points], color="cyan", marker="braille")
    count = max(2, width // _TICK_WIDTH)
    ticks = [times[0] + (times[-1] - times[0]) * n / (count - 1) for n in range(count)]
    figure.xticks(ticks, [_tick_text(tick, span) for tick in ticks])
    return Text.from_ansi(figure.build(), no_wrap=True)


def _tick_text(timestamp: float, span: Span) -> str:
    """Return a Unix timestamp in local time, with the precision that the span needs."""
    time_format = "%H:%M:%S"
    if span.seconds > DAY.seconds:
        time_format = "%m-%d %H:%M"
    elif span.seconds > HOUR.seconds:
        time_format = "%H:%M"
    return f"{datetime.fromtimestamp(timestamp):{time_format}}"
