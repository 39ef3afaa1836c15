"""The warnings below the line of totals, in as many words as there is room for."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from tui.model.state import FleetWarning, WarningKind

MOST_LINES = 4
"""The style sheet gives the bar no more."""


class WarningBar(Static):
    """All warnings in at most MOST_LINES lines; hidden without warnings."""

    shown: tuple[str, ...] = ()

    def show(self, warnings: Sequence[FleetWarning], width: int) -> None:
        """Replace the warnings; the bar is `width` cells wide."""
        self.set_class(any(warning.urgent for warning in warnings), "-urgent")
        lines = tuple(fit(warnings, width))
        if lines == self.shown:
            return
        self.shown = lines
        self.display = bool(lines)
        self.update(Text("\n".join(lines), no_wrap=True))


def fit(warnings: Sequence[FleetWarning], width: int) -> list[str]:
    """Return at most MOST_LINES lines of `width` cells; what they leave out is counted in them.

    What is going to be deleted is told more shortly before another warning is left out.
    """
    deletions = [each for each in warnings if each.kind is WarningKind.DELETION]
    others = [each.text for each in warnings if each.kind is not WarningKind.DELETION]
    shortest = _in_one(deletions)
    for texts in ([each.text for each in deletions], [each.short for each in deletions], shortest):
        lines = [line for text in (*others, *texts) for line in _wrap(text, width)]
        if len(lines) <= MOST_LINES:
            return lines
    last = [line for text in shortest for line in _wrap(text, width)]
    return [*_cut(others, MOST_LINES - len(last), width), *last]


def _in_one(deletions: Sequence[FleetWarning]) -> list[str]:
    """Return one text for all, of which the first is told; none without any."""
    if not deletions:
        return []
    more = f"; and {len(deletions) - 1} more" if len(deletions) > 1 else ""
    return [f"{deletions[0].short}{more}"]


def _cut(texts: Sequence[str], room: int, width: int) -> list[str]:
    """Return the `room` lines that show the first of too many or too long texts."""
    lines: list[str] = []
    for left, text in zip(range(len(texts), 0, -1), texts, strict=True):
        wrapped = _wrap(text, width)
        free = room - len(lines) - (left > 1)
        if not free:
            return [*lines, f" … and {left} more"]
        if len(wrapped) > free:
            lines += [*wrapped[: free - 1], _ellipsis(wrapped[free - 1], width)]
        else:
            lines += wrapped
    return lines


def _wrap(text: str, width: int) -> list[str]:
    return [f" {line.plain.rstrip()}" for line in Content(text).wrap(max(2, width - 1))]


def _ellipsis(line: str, width: int) -> str:
    return f"{set_cell_size(line, min(cell_len(line), width - 1))}…"
