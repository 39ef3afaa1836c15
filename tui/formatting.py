"""How things look: a glyph and a word beside every colour, so that colour alone tells nothing."""

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.terminal_theme import TerminalTheme

from fleetsyncd.states import GapProgress, State
from fleetsyncd.text import age

STATE_STYLES = {
    State.ONLINE: ("●", "online", "green"),
    State.CATCHING_UP: ("◐", "catching", "cyan"),
    State.TIMEOUT: ("◌", "timeout", "yellow"),
    State.ERROR: ("✖", "error", "red"),
    State.LATE: ("◔", "late", "magenta"),
    State.NEVER: ("?", "never", "blue"),
    State.PAUSED: ("‖", "paused", "bright_black"),
}
# What the colours' names mean where the terminal's own sixteen are not used: every one of them is
# legible on every ground of the themes, dark or light.
DARK_COLOURS = TerminalTheme(
    (18, 18, 18),
    (224, 224, 224),
    [(0, 0, 0), (255, 140, 140), (110, 215, 120), (235, 200, 90), (130, 180, 255),
     (225, 150, 255), (90, 210, 220), (224, 224, 224)],
    [(170, 170, 170), (255, 150, 150), (140, 230, 150), (245, 220, 120), (160, 200, 255),
     (235, 175, 255), (130, 225, 235), (255, 255, 255)],
)  # fmt: skip
LIGHT_COLOURS = TerminalTheme(
    (224, 224, 224),
    (30, 30, 30),
    [(0, 0, 0), (170, 15, 30), (15, 95, 35), (120, 75, 0), (20, 70, 180),
     (130, 25, 140), (0, 90, 105), (60, 60, 60)],
    [(85, 85, 85), (150, 10, 25), (10, 80, 30), (105, 65, 0), (15, 60, 160),
     (115, 20, 125), (0, 80, 95), (30, 30, 30)],
)  # fmt: skip
OUTCOME_STYLES = {"ok": ("●", "green"), "timeout": ("◌", "yellow"), "error": ("✖", "red")}
UNKNOWN_STYLE = ("?", "magenta")
KEY_HIDDEN = "••••"
_LAG_CEILING_SEC = 90.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_THOUSAND = 1000


def spark(values: Sequence[float], *, lowest: float = 0.0, highest: float = 0.0) -> str:
    """Return values as a line of blocks, over a range that holds `lowest` and `highest` too."""
    if not values:
        return ""
    low, high = min(lowest, *values), max(highest, *values)
    if high <= low:
        return _BLOCKS[0] * len(values)
    step = (len(_BLOCKS) - 1) / (high - low)
    return "".join(_BLOCKS[round((value - low) * step)] for value in values)


def lag_spark(lags: Sequence[float]) -> str:
    """Return lags in seconds as blocks; a few seconds stay low though there is nothing greater."""
    return spark(lags, highest=_LAG_CEILING_SEC)


def spark_within(values: Sequence[float]) -> str:
    """Return values as blocks between their own least and greatest: the shape of a curve."""
    least = min(values, default=0.0)
    return spark(values, lowest=least, highest=least)


def number_text(value: float | None) -> str:
    """Return a measured value in at most seven characters or so; a dash for None."""
    return "-" if value is None else f"{value:.5g}"


def count_text(value: float | None) -> str:
    """Return how many: 950, 12.9k, 1.6M; a dash for None."""
    if value is None:
        return "-"
    for unit in ("", "k", "M"):
        if abs(value) < _THOUSAND * 10 and not unit:
            return f"{value:.0f}"
        if abs(value) < _THOUSAND:
            return f"{value:.3g}{unit}"
        value /= _THOUSAND
    return f"{value:.3g}G"


def cut(text: str, cells: int) -> str:
    """Return text in at most so many cells, with a sign where the rest was."""
    return text if cell_len(text) <= cells else f"{set_cell_size(text, cells - 1)}…"


def time_text(at: datetime | None, *, day: bool = True) -> str:
    """Return a time as the operator's own clock shows it; a dash for None."""
    if at is None:
        return "-"
    return at.astimezone().strftime("%m-%d %H:%M:%S" if day else "%H:%M:%S")


def percent_text(fraction: float) -> str:
    """Return how much of a whole is done; 100 % only when all of it is."""
    return f"{int(100 * fraction)}%"


def progress_text(gap: GapProgress | None) -> str:
    """Return how far a gap has been pulled, how fast, and how long it will take."""
    if gap is None:
        return ""
    pace = "" if gap.rows_per_second is None else f", {count_text(gap.rows_per_second)} rows/s"
    left = "" if gap.seconds_left is None else f", {age(gap.seconds_left)} left"
    return f"{percent_text(gap.fraction)}{pace}{left}"


def remaining_text(gap: GapProgress | None) -> str:
    """Return in few cells how long what is left of a gap will take, and how fast it is pulled."""
    if gap is None or gap.seconds_left is None:
        return ""
    pace = "" if gap.rows_per_second is None else f", {count_text(gap.rows_per_second)}/s"
    return f"{age(gap.seconds_left)} left{pace}"
