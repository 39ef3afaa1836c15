"""What a plot shows: its span of time, its cursor, its scale; times in seconds since 1970."""

from dataclasses import dataclass

from fleetsyncd.database.views.plot import PlotData, PlotSpan
from fleetsyncd.text import age
from tui.model.span import (
    DAY,
    HOUR,
    MONTH,
    QUARTER,
    SIX_HOURS,
    TEN_MINUTES,
    TEN_YEARS,
    THREE_YEARS,
    WEEK,
    YEAR,
    Span,
)

SPANS = (
    TEN_MINUTES, HOUR, SIX_HOURS, DAY, WEEK, MONTH, QUARTER, YEAR, THREE_YEARS, TEN_YEARS,
)  # fmt: skip
"""The spans that the zoom keys choose from, the shortest first."""
MOST_CHANNELS = 6
"""Channels in one plot."""
_PARTS = 4
"""Panning moves by the span's length divided by it."""


@dataclass
class PlotView:
    """The operator's choices; `data` is what was read last."""

    span: Span = TEN_MINUTES
    end: float | None = None
    """None while the picture follows the present."""
    cursor: float | None = None
    fitted: bool = False
    """Whether the scales fit the values and not the expected ranges."""
    data: PlotData | None = None

    @classmethod
    def around(cls, at: float) -> "PlotView":
        """Return a view with a moment in its middle, under the cursor."""
        return cls(HOUR, at + HOUR.seconds / 2, at)

    @property
    def requested(self) -> PlotSpan:
        """What is to be read."""
        return PlotSpan(self.end, self.span.seconds)

    def update(self, data: PlotData) -> None:
        """Take over what was read."""
        self.data = data
        if self.end is not None and self.end >= data.now:
            self.end = None

    @property
    def live(self) -> bool:
        """Whether the picture follows the present."""
        return self.end is None

    @property
    def cursor_index(self) -> int | None:
        """The slice under the cursor; None without a cursor in the picture."""
        if self.data is None or self.cursor is None:
            return None
        index = self.data.slices.index(self.cursor)
        return index if 0 <= index < self.data.slices.count else None

    def pan(self, steps: int) -> None:
        """Move the picture by parts of its span: not beyond the present, not before all rows."""
        data = self.data
        if data is None:
            return
        at_oldest = data.oldest is None or data.slices.start <= data.oldest
        if steps < 0 and at_oldest:
            return
        self._end_at(self._end(data) + steps * self.span.seconds / _PARTS, data)

    def zoom(self, step: int) -> None:
        """Show a longer span (1) or a shorter one (-1).

        What is under the cursor stays where it is; without a cursor the present does, or else the
        middle.
        """
        if step > 0:
            chosen = next((each for each in SPANS if each.seconds > self.span.seconds), self.span)
        else:
            shorter = [each for each in SPANS if each.seconds < self.span.seconds]
            chosen = shorter[-1] if shorter else self.span
        before, self.span = self.span, chosen
        if self.data is None or (self.live and self.cursor_index is None):
            return
        end = self._end(self.data)
        fixed = end - before.seconds / 2
        if self.cursor is not None and self.cursor_index is not None:
            fixed = self.cursor
        self._end_at(fixed + (end - fixed) * chosen.seconds / before.seconds, self.data)

    def show_whole(self) -> None:
        """Show everything from the oldest row to the present."""
        if self.data is None or self.data.oldest is None:
            return
        # The last slice reaches beyond the present, so the first one begins that much later.
        parts = self.data.slices.count / (self.data.slices.count - 1)
        seconds = max(TEN_MINUTES.seconds, int((self.data.now - self.data.oldest) * parts) + 1)
        self.span, self.end = Span(age(seconds), seconds), None

    def follow(self) -> None:
        """Follow the present."""
        self.end = None

    def move_cursor(self, slices: int) -> None:
        """Move the cursor by slices; without one in the picture, put it on the newest values."""
        if self.data is None:
            return
        last = self.data.slices.count - 1
        index = self.cursor_index
        if index is None:
            newest = [each.series.values[-1].index for each in self.data.channels
                      if each.series.values]  # fmt: skip
            self.put_cursor(max(newest, default=last))
        else:
            self.put_cursor(max(0, min(index + slices, last)))

    def put_cursor(self, index: int) -> None:
        """Put the cursor on a slice."""
        if self.data is not None:
            self.cursor = self.data.slices.time(index) + self.data.slices.step / 2

    def _end(self, data: PlotData) -> float:
        return data.now if self.end is None else self.end

    def _end_at(self, end: float, data: PlotData) -> None:
        self.end = None if end >= data.now else end
