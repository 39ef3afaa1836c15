"""The headline of a plot: what its picture shows, and what was asked for and is not in it yet."""

from dataclasses import dataclass
from datetime import UTC, datetime

from rich.text import Text

from fleetsyncd.database.views.plot import PlotData
from tui.formatting import moment_text
from tui.model.span import Span
from tui.model.time_axis import span_text


@dataclass(frozen=True, slots=True)
class Plotted:
    """What is asked for, or drawn."""

    channels: tuple[int, ...]
    span: Span
    end: float | None
    """Where the span ends, in seconds since 1970; None: at present."""


def draw_headline(
    name: str,
    asked: Plotted,
    drawn: Plotted | None,
    data: PlotData | None,
    *,
    failed: bool,
    follows: str,
) -> Text:
    """Return the headline of a plot of a vehicle.

    `data` are the values in the picture, None if there is none; `failed`: the last read has;
    `follows` says whether a picture that ends at present goes on with it.
    """
    line = Text(f" {name}", "bold", no_wrap=True, overflow="ellipsis")
    span = asked.span if drawn is None else drawn.span
    line.append(f" · {span.name} · ", "not bold")
    if data is None or drawn is None:
        return line
    if asked != drawn:
        what = _missing(asked, drawn)
        text = f"{what} could not be read" if failed else f"reading {what} …"
        line.append(f"{text} · ", "yellow not bold")
    line.append(span_text(data.slices.start, data.slices.end), "not bold")
    line.append(f" · {follows}" if drawn.end is None else " · past", "not bold")
    return line


def _missing(asked: Plotted, drawn: Plotted) -> str:
    """Return what the operator asked for and the picture does not show."""
    if asked.channels != drawn.channels:
        return f"channel {', '.join(map(str, asked.channels))}"
    if asked.end is None:
        return asked.span.name
    return f"{asked.span.name} to {moment_text(datetime.fromtimestamp(asked.end, UTC))}"
