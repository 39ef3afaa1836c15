"""One panel of a plot: the curves of the channels that have one unit, on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from fleetsyncd.cells import cut
from fleetsyncd.database.views.plot import PlottedChannel
from fleetsyncd.database.views.series import PROBE_ROWS, PROBES, Slices, SliceValues
from tui.formatting import number_text
from tui.model.meaning import earlier_text, joined_of_one_meaning, meant_now, name_and_unit
from tui.model.scale import Range, Scale, expected_range, scale_of
from tui.widgets.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas

COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "white")
"""The colour of each channel of a plot; red is for alarms."""
LETTERS = "abcdef"
"""The letter of each of them, for screens without colours."""
CHANGED = "┊"
"""A vertical line where a channel came to mean something else."""
_CHANGED_STYLE = "yellow"
_RANGE_STYLE = "bright_black"
_DASH = 4
"""One of so many dots of a range's line is set."""
_MIDDLE_FROM = 7
"""From so many rows on, the middle of the scale is labelled too."""
_NAME_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Curve:
    """A channel of the plot, and how it is drawn."""

    channel: PlottedChannel
    colour: str
    letter: str

    @property
    def range(self) -> Range | None:
        """The range in which its values are expected."""
        return expected_range(self.channel.min_value, self.channel.max_value)

    def at(self, index: int) -> SliceValues | None:
        """Return the values of a slice; None without any."""
        values = self.channel.series.values
        return next((each for each in values if each.index == index), None)


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves of one unit, on a scale that contains all their values."""

    curves: tuple[Curve, ...]
    scale: Scale | None
    """None: there is nothing to scale."""

    @property
    def unit(self) -> str:
        """The unit of all its curves; empty if they have none."""
        return cut(self.curves[0].channel.unit, 8)

    @property
    def top_label(self) -> str:
        """The label of the upper end of the axis, with the unit."""
        high = "" if self.scale is None else self.scale.high_text
        return f"{high} {self.unit}".strip()

    def labels(self, height: int) -> list[str]:
        """Return the label of each row of the axis; most are empty."""
        labels = [""] * height
        if self.scale is not None:
            if height >= _MIDDLE_FROM:
                middle = (height - 1) // 2
                labels[middle] = _between(self.scale, 1 - middle / (height - 1))
            labels[-1] = self.scale.low_text
        labels[0] = self.top_label
        return labels

    def legend(self, cursor: int | None, width: int, now: float) -> list[Text]:
        """Return lines with name and values of each curve.

        The values are those of the slice under the cursor, or the extremes of the span while the
        channel has meant what it does now. `now`: in seconds since 1970.
        """
        lines = [Text(" ")]
        for curve in self.curves:
            entry = self._entry(curve, cursor, now)
            if len(lines[-1]) > 1 and lines[-1].cell_len + entry.cell_len > width:
                lines.append(Text(" "))
            lines[-1].append_text(entry)
        return lines

    def _entry(self, curve: Curve, cursor: int | None, now: float) -> Text:
        entry = Text()
        entry.append(f"{curve.letter} {cut(curve.channel.name, _NAME_WIDTH)}", curve.colour)
        entry.append(f" {_values_text(curve, self.unit, cursor)}")
        if curve.range:
            low, high = map(number_text, curve.range)
            entry.append(f" · expected {low} … {high}", _RANGE_STYLE)
        if earlier := earlier_text(curve.channel, now):
            entry.append(f" · {earlier}", _CHANGED_STYLE)
        return entry.append("  ")

    def draw(self, slices: Slices, width: int, height: int) -> Canvas:
        """Return the curves on `width` x `height` cells, two slices to a cell."""
        canvas = Canvas(width, height)
        if self.scale is None:
            return canvas
        for curve in self.curves:
            self._draw_range(canvas, curve, self.scale, slices)
        for curve in self.curves:
            _draw_curve(canvas, curve, self.scale, slices)
        for curve in self.curves:
            self._write_letter(canvas, curve, self.scale)
        for curve in self.curves:
            _mark_changes(canvas, curve, slices)
        return canvas

    def _draw_range(self, canvas: Canvas, curve: Curve, scale: Scale, slices: Slices) -> None:
        since = max(curve.channel.meant_since, slices.start)
        first = -(-slices.index(since) // _DASH) * _DASH
        for bound in curve.range or ():
            if scale.low <= bound <= scale.high:
                for x in range(first, canvas.width * DOTS_ACROSS, _DASH):
                    canvas.dot(x, _y(scale, bound, canvas), _RANGE_STYLE)

    def _write_letter(self, canvas: Canvas, curve: Curve, scale: Scale) -> None:
        """Name a curve at its newest value that no other letter covers, if there are several."""
        if len(self.curves) == 1:
            return
        for each in reversed(curve.channel.series.values):
            column, row = each.index // DOTS_ACROSS, _y(scale, each.mean, canvas) // DOTS_DOWN
            if not canvas.is_written(column, row):
                canvas.write(column, row, curve.letter, f"bold {curve.colour}")
                return


def _mark_changes(canvas: Canvas, curve: Curve, slices: Slices) -> None:
    """Show when the channel came to mean something else."""
    for each in curve.channel.changes:
        if each.changed_at is not None:
            column = slices.index(each.changed_at.timestamp()) // DOTS_ACROSS
            for row in range(canvas.height):
                canvas.write(column, row, CHANGED, _CHANGED_STYLE)


def _draw_curve(canvas: Canvas, curve: Curve, scale: Scale, slices: Slices) -> None:
    series = curve.channel.series
    for each in series.values:
        low, high = _y(scale, each.low, canvas), _y(scale, each.high, canvas)
        canvas.upright(each.index, low, high, f"dim {curve.colour}")
    for each in series.values:
        canvas.dot(each.index, _y(scale, each.mean, canvas), curve.colour)
    for before, after in joined_of_one_meaning(curve.channel, slices.step):
        canvas.line(
            before.index, _y(scale, before.mean, canvas),
            after.index, _y(scale, after.mean, canvas), curve.colour,
        )  # fmt: skip


def _y(scale: Scale, value: float, canvas: Canvas) -> int:
    return round((1 - scale.fraction(value)) * (canvas.height * DOTS_DOWN - 1))


def _between(scale: Scale, part: float) -> str:
    return number_text(scale.low * (1 - part) + scale.high * part)


def panels(channels: Sequence[PlottedChannel], *, fitted: bool) -> list[Panel]:
    """Return a panel for each unit, and one for each channel without a unit.

    `fitted` lets the scales fit the values; else they contain the expected ranges too.
    """
    groups: dict[str | int, list[Curve]] = {}
    for channel, colour, letter in zip(channels, COLOURS, LETTERS, strict=False):
        curve = Curve(channel, colour, letter)
        groups.setdefault(channel.unit or channel.channel_id, []).append(curve)
    return [Panel(tuple(curves), _scale(curves, fitted)) for curves in groups.values()]


def _scale(curves: Sequence[Curve], fitted: bool) -> Scale | None:
    """Return what contains the values, or the expected ranges; None if there are neither."""
    values = [
        value
        for curve in curves
        for each in curve.channel.series.values
        for value in (each.low, each.high)
    ]
    bounds = [bound for curve in curves for bound in curve.range or ()]
    if not values and not bounds:
        return None
    if (fitted and values) or not bounds:
        return scale_of(values)
    return scale_of(values, (min(bounds), max(bounds)))


def _values_text(curve: Curve, unit: str, cursor: int | None) -> str:
    """Return a curve's lowest and highest value: of the span, or of the slice under the cursor."""
    values = curve.channel.series.values
    if cursor is None:
        if not values:
            return "nothing stored in this span"
        present = meant_now(curve.channel)
        if not present:
            return "nothing of this meaning in this span"
        return f"{_span_text(present, unit)}{_sampled_text(curve)}"
    slice_values = curve.at(cursor)
    if slice_values is None:
        return "no data"
    if curve.channel.earlier(slice_values.first) is not None:
        name, earlier_unit = name_and_unit(curve.channel, slice_values)
        return f"as {name}: {number_text(slice_values.mean)} {earlier_unit}".rstrip()
    mean = f"{number_text(slice_values.mean)} {unit}".rstrip()
    if slice_values.low == slice_values.high:
        return mean
    return f"{mean} ({number_text(slice_values.low)} … {number_text(slice_values.high)})"


def _span_text(values: Sequence[SliceValues], unit: str) -> str:
    low, high = min(each.low for each in values), max(each.high for each in values)
    return f"{number_text(low)} … {number_text(high)} {unit}".rstrip()


def _sampled_text(curve: Curve) -> str:
    if not curve.channel.series.sampled:
        return ""
    return f", sampled: {PROBES * PROBE_ROWS} rows a dot"
