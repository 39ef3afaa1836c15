"""Glyphs, colours and number formats of the dashboard; no information is shown by colour alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.terminal_theme import TerminalTheme

from fleetsyncd.reports import Outcome
from fleetsyncd.severities import Severity
from fleetsyncd.states import GapProgress, State
from fleetsyncd.text import age
from fleetsyncd.times import utc_text


@dataclass(frozen=True, slots=True)
class StateStyle:
    """How a state or severity is shown; `colour` is a name of one of the terminal's 16 colours."""

    glyph: str
    word: str
    colour: str


@dataclass(frozen=True, slots=True)
class OutcomeStyle:
    """How the outcome of a sync attempt is shown; `colour` as in StateStyle."""

    glyph: str
    colour: str


STATE_STYLES: Mapping[State, StateStyle] = {
    State.ONLINE: StateStyle("●", "online", "green"),
    State.CATCHING_UP: StateStyle("◐", "catching", "cyan"),
    State.TIMEOUT: StateStyle("◌", "timeout", "yellow"),
    State.ERROR: StateStyle("✖", "error", "red"),
    State.LATE: StateStyle("◔", "late", "magenta"),
    State.NEVER: StateStyle("?", "never", "bright_blue"),
    State.PAUSED: StateStyle("‖", "paused", "bright_black"),
}
SEVERITY_STYLES: Mapping[Severity, StateStyle] = {
    Severity.CRITICAL: StateStyle("◆", "critical", "red"),
    Severity.ALARM: StateStyle("▲", "alarm", "magenta"),
    Severity.WARNING: StateStyle("△", "warning", "yellow"),
    Severity.INFO: StateStyle("▫", "info", "cyan"),
}
"""How the severity of an alarm is shown, the worst first."""
# The RGB values of the 16 colour names, for themes that do not use the terminal's own colours.
# Every colour is legible on every background of the dark (light) themes.
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
_OUTCOME_STYLES: Mapping[str, OutcomeStyle] = {
    Outcome.OK: OutcomeStyle("●", "green"),
    Outcome.TIMEOUT: OutcomeStyle("◌", "yellow"),
    Outcome.ERROR: OutcomeStyle("✖", "red"),
}
_UNKNOWN_STYLE = OutcomeStyle("?", "magenta")
KEY_HIDDEN = "••••"
_THOUSAND = 1000
_TENTHS_BELOW_SEC = 10


def outcome_style(status: str) -> OutcomeStyle:
    """Return the style of a journal entry's status; an unknown status has one too."""
    return _OUTCOME_STYLES.get(status, _UNKNOWN_STYLE)


def number_text(value: float | None) -> str:
    """Return a measured value with five significant digits; a dash for None."""
    return "-" if value is None else f"{value:.5g}"


def count_text(value: float | None) -> str:
    """Return a count in its largest fitting unit: 950, 12.9k, 1.6M; a dash for None."""
    if value is None:
        return "-"
    for unit in ("", "k", "M"):
        if abs(value) < _THOUSAND * 10 and not unit:
            return f"{value:.0f}"
        if abs(value) < _THOUSAND:
            return f"{value:.3g}{unit}"
        value /= _THOUSAND
    return f"{value:.3g}G"


def time_text(at: datetime | None, *, day: bool = True) -> str:
    """Return a UTC time for a column whose heading says so; a dash for None."""
    if at is None:
        return "-"
    return at.astimezone(UTC).strftime("%m-%d %H:%M:%S" if day else "%H:%M:%S")


def moment_text(at: datetime | None) -> str:
    """Return a time that says that it is UTC; a dash for None."""
    return "-" if at is None else utc_text(at)


def took_text(seconds: float | None) -> str:
    """Return how long something took: 0.1s, 12s, 5m; a dash for None."""
    if seconds is None or round(seconds, 1) >= _TENTHS_BELOW_SEC:
        return age(seconds)
    return f"{max(0.0, seconds):.1f}s"


def percent_text(fraction: float) -> str:
    """Return a fraction (0 to 1) in per cent, rounded down: 100% means complete."""
    return f"{int(100 * fraction)}%"


def progress_text(gap: GapProgress | None) -> str:
    """Return a gap's percentage, its pull rate and the time left; empty for None."""
    if gap is None:
        return ""
    rate = "" if gap.rows_per_second is None else f", {count_text(gap.rows_per_second)} rows/s"
    left = "" if gap.seconds_left is None else f", {age(gap.seconds_left)} left"
    return f"{percent_text(gap.fraction)}{rate}{left}"


def remaining_text(gap: GapProgress | None) -> str:
    """Return the time left of a gap and its pull rate in few cells; empty if not known."""
    if gap is None or gap.seconds_left is None:
        return ""
    rate = "" if gap.rows_per_second is None else f", {count_text(gap.rows_per_second)}/s"
    return f"{age(gap.seconds_left)} left{rate}"
