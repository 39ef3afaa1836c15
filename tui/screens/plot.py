"""The plot page: channels of a vehicle over time."""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size

from fleetsyncd.cells import cut
from fleetsyncd.errors import DatabaseError
from tui.background import PartRead, is_live, query, read_part
from tui.context import ScreenContext
from tui.model.export_table import ExportTable
from tui.model.plot_export import plot_table
from tui.model.plot_view import MOST_CHANNELS, PlotView
from tui.model.tag_text import gone
from tui.screens.page import Page
from tui.widgets.fixed_text import FixedText
from tui.widgets.plot_area import PlotArea
from tui.widgets.plot_headline import Plotted, draw_headline
from tui.widgets.plot_picture import draw_plot, slice_count

NAME_WIDTH = 24
ZOOM_KEYS = Binding.Group("Zoom", compact=True)
_PAN_KEYS = Binding.Group("Pan", compact=True)
_CURSOR_KEYS = Binding.Group("Cursor", compact=True)
_CHANNEL_KEYS = Binding.Group("Channel", compact=True)
_LEAP = 10
"""Slices that the cursor leaps."""
_LONGEST_AGE_SEC = 30.0
"""A picture whose slices are longer than this is nevertheless read again after so long."""


class PlotPage(Page):
    """A channel's lowest, mean and highest values over time, or those of a few channels.

    `at` is a moment to be shown in the middle, under the cursor; without it the plot ends at
    present and follows it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "pan(-1)", "Pan", key_display="←", group=_PAN_KEYS, id="plot.back-in-time",
                tooltip="Show earlier times, up to the oldest row"),
        Binding("right", "pan(1)", "Pan", key_display="→", group=_PAN_KEYS,
                id="plot.forward-in-time", tooltip="Show later times, up to the present"),
        Binding("minus", "zoom(1)", "Zoom out", key_display="-", group=ZOOM_KEYS,
                id="plot.zoom-out", tooltip="A longer span"),
        Binding("equals_sign,plus", "zoom(-1)", "Zoom in", key_display="=", group=ZOOM_KEYS,
                id="plot.zoom-in", tooltip="A shorter span"),
        Binding("left_square_bracket", "cursor(-1)", "Cursor", key_display="[",
                group=_CURSOR_KEYS, id="plot.cursor-left",
                tooltip="Move the cursor that shows values to the left"),
        Binding("right_square_bracket", "cursor(1)", "Cursor", key_display="]",
                group=_CURSOR_KEYS, id="plot.cursor-right", tooltip="Move the cursor to the right"),
        Binding("left_curly_bracket", f"cursor(-{_LEAP})", "Cursor", key_display="{", show=False,
                id="plot.cursor-far-left", tooltip="Move the cursor far to the left"),
        Binding("right_curly_bracket", f"cursor({_LEAP})", "Cursor", key_display="}", show=False,
                id="plot.cursor-far-right", tooltip="Move the cursor far to the right"),
        Binding("n", "channel(1)", "Next channel", group=_CHANNEL_KEYS, id="plot.next-channel",
                tooltip="Plot the vehicle's next channel"),
        Binding("N", "channel(-1)", "Previous channel", group=_CHANNEL_KEYS,
                id="plot.previous-channel", tooltip="Plot the vehicle's previous channel"),
        Binding("v", "fit", "Scale", id="plot.scale",
                tooltip="Let the scales fit the values, or show the expected ranges"),
        Binding("w", "whole", "Whole", id="plot.whole",
                tooltip="Show everything from the oldest row on"),
        Binding("end,G", "follow", "Now", key_display="End", id="plot.follow",
                tooltip="Follow the present"),
        Binding("escape", "clear", "Back", id="plot.back", tooltip="Remove the cursor, or go back"),
        Binding("q", "leave", "Back", show=False, id="plot.leave"),
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
        self.channels = tuple(channels)[:MOST_CHANNELS]
        """The ids of the plotted channels, at least one."""
        self.view = PlotView() if at is None else PlotView.around(at.timestamp())
        self._read_at: float | None = None
        self._drawn: Plotted | None = None
        """Of what the values in the picture are."""
        self._failed = False
        """Whether the last read failed."""
        self._size_drawn: Size | None = None

    def body(self) -> ComposeResult:
        """Lay out headline and plot."""
        yield FixedText(id="headline")
        yield PlotArea(id="plot")

    def tick(self) -> None:
        """Say as well whether the picture is live: that ends without a read."""
        super().tick()
        if not is_live(self):
            return
        self._show_headline()
        # A line of warnings or of messages takes room from it.
        if self._size_drawn not in (None, self._picture.content_size):
            self._show()

    def update_body(self) -> None:
        """Read the span again, unless nothing can be seen to have changed since it was read."""
        data, read_at = self.view.data, self._read_at
        if data is not None and read_at is not None and self._drawn == self._asked:
            age = self.context.now() - read_at
            fits = data.slices.count == slice_count(self._picture.content_size.width)
            if fits and age < min(data.slices.step, _LONGEST_AGE_SEC):
                return
        self._read()

    @property
    def _asked(self) -> Plotted:
        return Plotted(self.channels, self.view.span, self.view.end)

    @property
    def _picture(self) -> PlotArea:
        return self.query_one(PlotArea)

    def _read(self) -> None:
        # Until a read succeeds, the same picture is as old as before.
        self._failed = self._failed and self._drawn == self._asked
        # A key that is held pans on: no key acts on what is read.
        read_part(self, self._load, "plot", self._question, keys_wait=self.view.data is None)
        self._show_headline()

    def _question(self) -> Hashable:
        return self.view.requested, tuple(self.channels), self._picture.content_size.width

    def on_part_read(self, event: PartRead) -> None:
        """Say in the heading what could not be read."""
        super().on_part_read(event)
        event.prevent_default()
        self._failed = event.error is not None
        if is_live(self):
            self._show_headline()

    async def _load(self) -> None:
        width = self._picture.content_size.width
        if not width:
            return
        requested, channels, span = self.view.requested, self.channels, self.view.span
        try:
            data = await query(
                lambda: self.context.gateway.plot(
                    self.vehicle_id, channels, requested, slice_count(width)
                )
            )
        except DatabaseError:
            self._drop_other_channels(channels)
            raise
        self.view.update(data)
        self._drawn = Plotted(channels, span, self.view.end)
        self._read_at = self.context.now()
        self._show()

    def _drop_other_channels(self, channels: tuple[int, ...]) -> None:
        """Remove the picture unless it is of these channels, which could not be read."""
        data = self.view.data
        if data is not None and tuple(each.channel_id for each in data.channels) != channels:
            self.view.data = None
            self._show()

    def _show(self) -> None:
        size = self._picture.content_size
        self._show_headline()
        if self.view.data is None:
            numbers = ", ".join(map(str, self.channels))
            self._picture.show(Text(f" channel {numbers} could not be read", "yellow"))
            return
        self._picture.show(draw_plot(self.view, size.width, size.height))
        self._size_drawn = size

    @property
    def _gone(self) -> str:
        tags = self.context.state.tags
        return f"a vehicle that {gone(tags)}" if tags else "a removed vehicle"

    def _show_headline(self) -> None:
        vehicle = self.context.state.view.get(self.vehicle_id)
        name = self._gone if vehicle is None else cut(vehicle.name, NAME_WIDTH)
        headline = draw_headline(
            name,
            self._asked,
            self._drawn,
            self.view.data,
            failed=self._failed,
            follows=self.context.state.follows(failed=self._failed),
        )
        self.query_one("#headline", FixedText).show(headline)

    def action_pan(self, steps: int) -> None:
        """Show later times (1) or earlier ones (-1)."""
        self.view.pan(steps)
        self._read()

    def action_zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1)."""
        self.view.zoom(step)
        self._read()

    def action_whole(self) -> None:
        """Show everything from the oldest row to the present."""
        self.view.show_whole()
        self._read()

    def action_follow(self) -> None:
        """Follow the present."""
        self.view.follow()
        self._read()

    def action_cursor(self, slices: int) -> None:
        """Move the cursor to the right, or with a negative number to the left."""
        self.view.move_cursor(slices)
        self._show()

    def action_cursor_to(self, index: int) -> None:
        """Put the cursor on a slice."""
        self.view.put_cursor(index)
        self._show()

    def action_fit(self) -> None:
        """Let the scales fit the values, or contain the expected ranges again."""
        self.view.fitted = not self.view.fitted
        self._show()

    def action_channel(self, step: int) -> None:
        """Plot the channel after the plotted ones (1), or the one before them (-1)."""
        beside = max(self.channels) if step > 0 else min(self.channels)

        async def load() -> None:
            gateway = self.context.gateway
            found = await query(lambda: gateway.channel_beside(self.vehicle_id, beside, step))
            if found is not None:
                self.channels = (found,)
            await self._load()

        read_part(self, load, "plot", lambda: ("beside", beside, step))

    def action_clear(self) -> None:
        """Remove the cursor; without one, go back."""
        if self.view.cursor_index is None:
            self.action_leave()
            return
        self.view.cursor = None
        self._show()

    def action_leave(self) -> None:
        """Go back to the page before."""
        self.app.pop_screen()

    def export_table(self) -> ExportTable | None:
        """Return the plotted values."""
        data = self.view.data
        if data is None:
            return None
        return plot_table(data, self.channels)
