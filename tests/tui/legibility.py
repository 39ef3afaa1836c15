"""How legible text is in the colours that a terminal shows: WCAG contrast of every piece."""

from collections.abc import Iterator

import rich.color
from rich.color import ColorSystem
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual.color import Color
from textual.filter import ANSIToTruecolor
from textual.strip import Strip

from tui.app import FleetApp

# What xterm, and most other terminals, show unless they were told otherwise.
_ANSI = [
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205),
    (229, 229, 229), (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255),
    (255, 0, 255), (0, 255, 255), (255, 255, 255),
]  # fmt: skip
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
DARK_TERMINAL = TerminalTheme(BLACK, _ANSI[7], _ANSI[:8], _ANSI[8:])
LIGHT_TERMINAL = TerminalTheme(WHITE, BLACK, _ANSI[:8], _ANSI[8:])


def pieces(app: FleetApp, strips: list[Strip], system: ColorSystem) -> Iterator[tuple[str, float]]:
    """Yield every painted piece of text with its contrast, in a terminal of so many colours."""
    terminal = DARK_TERMINAL if app.current_theme.dark else LIGHT_TERMINAL
    for strip in strips:
        for segment in strip:
            style = segment.style or Style()
            if segment.text.strip() and any(map(str.isalnum, segment.text)):
                yield segment.text, contrast(*_shown(app, style, system, terminal))


def _shown(
    app: FleetApp, style: Style, system: ColorSystem, terminal: TerminalTheme
) -> tuple[Color, Color]:
    if not app.native_ansi_color:
        style = ANSIToTruecolor(app.ansi_theme).truecolor_style(
            style, rich.color.Color.parse("#000000")
        )
    text = _rgb(style.color, system, terminal, foreground=True)
    ground = _rgb(style.bgcolor, system, terminal, foreground=False)
    return (ground, text) if style.reverse else (text, ground)


def _rgb(
    colour: rich.color.Color | None,
    system: ColorSystem,
    terminal: TerminalTheme,
    *,
    foreground: bool,
) -> Color:
    shown = (colour or rich.color.Color.default()).downgrade(system)
    return Color(*shown.get_truecolor(terminal, foreground=foreground))


def contrast(one: Color, other: Color) -> float:
    """Return the WCAG contrast ratio of two colours."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    channels = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (colour.r / 255, colour.g / 255, colour.b / 255)
    )
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))
