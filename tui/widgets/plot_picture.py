"""The picture of a plot: a panel for each unit, the alarms, and the time axis that all share."""

from collections.abc import Iterator, Sequence
from math import inf

from rich.text import Text

from fleetsyncd.database.views.plot import MOST_ALARMS, PlotData
from fleetsyncd.database.views.vehicle import StoredAlarm
from fleetsyncd.text import counted
from fleetsyncd.times import utc_minute
from tui.model.plot_view import PlotView
from tui.model.time_axis import TimeAxis, moment_text, utc
from tui.widgets.alarm_cells import FRESH_SEC
from tui.widgets.canvas import DOTS_ACROSS, Canvas
from tui.widgets.plot_panel import Panel, panels

OWN_ALARM, OTHER_ALARM, LASTING, NOT_KNOWN = "▲", "△", "─", "?"
"""The start of an alarm of a plotted channel, of another channel, how long one lasted; and the time
of which nobody knows whether an open one lasts: the vehicle was not asked, or did not answer."""
_OWN_STYLE, _OTHER_STYLE = "bold red", "bright_black"
_ALARMS, _ZONE = "alarms", "UTC"
_AXIS = "┤"
_GUTTER = 12
"""Cells that the labels of the axes may take, the axis included."""
_LINES_BELOW = 3
"""The alarms, the time axis, the alarms under the cursor."""
_LEAST_ROWS = 3
"""A panel's legend, and two rows of its curves."""


def slice_count(width: int) -> int:
    """Return how many slices the curves of a picture of that width have."""
    return _curve_width(width) * DOTS_ACROSS


def slice_at(column: int) -> int | None:
    """Return the first slice in a column of a picture; None left of the curves."""
    return None if column < _GUTTER else (column - _GUTTER) * DOTS_ACROSS


def _curve_width(width: int) -> int:
    return max(2, width - _GUTTER)


def draw_plot(view: PlotView, width: int, height: int) -> Text:
    """Return the plot on `width` x `height` cells; empty before the first read."""
    data = view.data
    if data is None:
        return Text("")
    drawn = panels(data.channels, fitted=view.fitted)
    rows = max(0, height - _LINES_BELOW)
    fitting = min(len(drawn), rows, max(1, rows // _LEAST_ROWS))
    lines: list[Text] = []
    for number, panel in enumerate(drawn[:fitting]):
        share = rows * (number + 1) // fitting - rows * number // fitting
        lines += _panel_lines(panel, view, data, _curve_width(width), share)
    lines += _lines_below(view, data, _curve_width(width))
    if fitting < len(drawn):
        lines[-1] = Text(
            f" not shown: {counted(len(drawn) - fitting, 'panel')}; the terminal is too low",
            "yellow",
        )
    shown = lines[-height:] if height else []
    for line in shown:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(shown)


def _panel_lines(
    panel: Panel, view: PlotView, data: PlotData, width: int, height: int
) -> Iterator[Text]:
    legend = panel.legend(view.cursor_index, width, data.now)[: max(0, height - _LEAST_ROWS + 1)]
    yield from legend
    rows = height - len(legend)
    canvas = panel.draw(data.slices, width, rows)
    if view.cursor_index is not None:
        canvas.mark_column(view.cursor_index // DOTS_ACROSS)
    for label, line in zip(panel.labels(rows), canvas.lines(), strict=True):
        yield _gutter(label, _AXIS).append_text(line)


def _lines_below(view: PlotView, data: PlotData, width: int) -> Iterator[Text]:
    axis = TimeAxis(data.slices.start, data.slices.end, width)
    yield _gutter(_ALARMS).append_text(_alarm_line(data, axis))
    yield _gutter(_ZONE).append(axis.line)
    yield _cursor_line(view, data)


def _gutter(label: str, axis: str = " ") -> Text:
    room = _GUTTER - len(axis)
    label = label if len(label) <= room else f"{label[: room - 1]}…"
    return Text(f"{label:>{room}}{axis}")


def _alarm_line(data: PlotData, axis: TimeAxis) -> Text:
    """Return the alarms in the cells of their times; those of plotted channels are on top."""
    canvas = Canvas(axis.width, 1)
    alarms = sorted(
        data.alarms, key=lambda alarm: (_is_own(alarm, data), _known_cell(alarm, data, axis))
    )
    for alarm in alarms:
        first, last = _cells(alarm, axis)
        style = _OWN_STYLE if _is_own(alarm, data) else _OTHER_STYLE
        known = _known_cell(alarm, data, axis)
        canvas.write(first, 0, LASTING * (min(known, last) - first + 1), style)
        doubtful = max(first, known + 1)
        canvas.write(doubtful, 0, NOT_KNOWN * (last - doubtful + 1), style)
    for alarm in alarms:
        cell = None if alarm.triggered_at is None else axis.cell(alarm.triggered_at.timestamp())
        if cell is not None:
            own = _is_own(alarm, data)
            mark, style = (OWN_ALARM, _OWN_STYLE) if own else (OTHER_ALARM, _OTHER_STYLE)
            canvas.write(cell, 0, mark, style)
    if not alarms:
        canvas.write(0, 0, "none in this span", _OTHER_STYLE)
    return canvas.lines()[0]


def _is_own(alarm: StoredAlarm, data: PlotData) -> bool:
    return any(alarm.channel_id == channel.channel_id for channel in data.channels)


def _cells(alarm: StoredAlarm, axis: TimeAxis) -> tuple[int, int]:
    """Return the first and the last cell in which an alarm was active."""
    first = None if alarm.triggered_at is None else axis.cell(alarm.triggered_at.timestamp())
    last = None if alarm.ended_at is None else axis.cell(alarm.ended_at.timestamp())
    return (first or 0), axis.width - 1 if last is None else last


def _known_cell(alarm: StoredAlarm, data: PlotData, axis: TimeAxis) -> int:
    """Return the last cell in which it is known whether an alarm was active; -1: none."""
    known_age = data.alarms_known_age
    if alarm.ended_at is not None or (known_age is not None and known_age < FRESH_SEC):
        return axis.width - 1
    known = -inf if known_age is None else data.now - known_age
    if alarm.triggered_at is not None:
        known = max(known, alarm.triggered_at.timestamp())
    if known < axis.start:
        return -1
    cell = axis.cell(known)
    return axis.width - 1 if cell is None else cell


def _cursor_line(view: PlotView, data: PlotData) -> Text:
    """Return the time under the cursor, and the alarms then; without a cursor, what is missing."""
    index = view.cursor_index
    if index is None:
        return Text(f" {' · '.join(_notes(data))}", "yellow")
    line = Text(f" │ {moment_text(data.slices.time(index))}")
    cell = index // DOTS_ACROSS
    axis = TimeAxis(data.slices.start, data.slices.end, data.slices.count // DOTS_ACROSS)
    active = [alarm for alarm in data.alarms if _covers(_cells(alarm, axis), cell)]
    for alarm in _own_first(active, data):
        own = _is_own(alarm, data)
        line.append(f" · {OWN_ALARM if own else OTHER_ALARM} ", _OWN_STYLE if own else "")
        if cell > _known_cell(alarm, data, axis):
            line.append(_as_of(data), "yellow")
        line.append(_alarm_text(alarm))
    return line


def _as_of(data: PlotData) -> str:
    """Return up to when it is known that an open alarm lasts."""
    if data.alarms_known_age is None:
        return "not known to last: "
    return f"as of {utc_minute(utc(data.now - data.alarms_known_age), utc(data.now))}: "


def _notes(data: PlotData) -> Iterator[str]:
    """Yield what the operator should know about the span."""
    if data.oldest is None:
        yield "no row is stored"
    elif data.slices.end <= data.oldest:
        yield f"all of this is before the oldest row, {moment_text(data.oldest)}"
    elif data.slices.start <= data.oldest:
        yield f"the oldest row is of {moment_text(data.oldest)}"
    if len(data.alarms) == MOST_ALARMS:
        yield f"{MOST_ALARMS} alarms are shown, there may be more"


def _covers(cells: tuple[int, int], cell: int) -> bool:
    return cells[0] <= cell <= cells[1]


def _own_first(alarms: Sequence[StoredAlarm], data: PlotData) -> list[StoredAlarm]:
    return sorted(alarms, key=lambda alarm: not _is_own(alarm, data))


def _alarm_text(alarm: StoredAlarm) -> str:
    channel = "" if alarm.channel_id is None else f" of channel {alarm.channel_id}"
    return f"{alarm.severity}{channel}: {alarm.message}".strip()
