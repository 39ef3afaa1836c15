"""Open alarms in few terminal cells: of the fleet for the line of totals, of a vehicle's row."""

from enum import IntEnum

from rich.text import Text

from fleetsyncd.severities import OpenAlarms
from fleetsyncd.text import counted
from tui.formatting import SEVERITY_STYLES, count_text

NARROW_WIDTH = 2
"""Cells of the column where there is little room: the glyph and one digit."""
WIDE_WIDTH = 5
_GLYPHS = {style.glyph: style for style in SEVERITY_STYLES.values()}


class Form(IntEnum):
    """How detailed the text for the line of totals is."""

    FULL = 1
    SHORT = 2
    SHORTEST = 3


def totals_text(alarms: OpenAlarms, form: Form) -> Text:
    """Return how many alarms are open, the worst ones apart."""
    style = SEVERITY_STYLES[alarms.worst]
    colour = f"bold {style.colour}"
    others = alarms.count - alarms.of_worst
    if form is Form.SHORTEST:
        text = Text.assemble((f"{style.glyph}{count_text(alarms.of_worst)}", colour))
        return text.append(f"+{count_text(others)}" if others else "")
    text = Text.assemble((f"{style.glyph} {alarms.of_worst} {style.word}", colour))
    if others:
        text.append(f", {counted(others, 'other alarm')}" if form is Form.FULL else f" +{others}")
    return text


def cell(alarms: OpenAlarms | None, width: int) -> str:
    """Return a vehicle's open alarms in `width` cells: the worst one's glyph, and the count.

    A plus stands for a count that does not fit.
    """
    if alarms is None:
        return ""
    glyph = SEVERITY_STYLES[alarms.worst].glyph
    texts = (f"{glyph} {alarms.count}", f"{glyph}{alarms.count}")
    return next((text for text in texts if len(text) <= width), f"{glyph}+")


def cell_colour(text: str) -> str | None:
    """Return the colour of a cell's text; None if it is empty."""
    style = _GLYPHS.get(text[:1])
    return None if style is None else style.colour
