"""Which themes of Textual are offered: those that are legible in the colours of the terminal."""

import os

from rich.console import Console
from textual.app import App

FEW_COLOURS, MANY_COLOURS = "ansi-dark", "textual-dark"
"""The themes that are used instead of one that is not offered."""
_NEVER_LEGIBLE = frozenset({"ansi-light"})
"""Green and yellow on the white of a terminal."""
_BLURRED_IN_256 = frozenset({"catppuccin-frappe", "solarized-dark"})
"""Text and background come too near to each other in 256 colours."""


def is_offered(name: str, color_system: str | None) -> bool:
    """Tell whether a theme is legible; `color_system` as Rich's console has it.

    In 16 colours, only the terminal's own ones are: others would become the nearest of them, text
    and background alike.
    """
    if color_system not in ("256", "truecolor"):
        return name == FEW_COLOURS
    return name not in _NEVER_LEGIBLE and (
        color_system == "truecolor" or name not in _BLURRED_IN_256
    )


def was_asked_for() -> bool:
    """Tell whether the operator has named a theme."""
    return "TEXTUAL_THEME" in os.environ


def offer_legible(app: "App[None]", console: Console) -> str | None:
    """Let an app offer the legible themes only; return a notice if its present one is not."""
    for name in list(app.available_themes):
        if not is_offered(name, console.color_system):
            app.unregister_theme(name)
    asked = app.theme
    if asked in app.available_themes:
        return None
    app.theme = MANY_COLOURS if MANY_COLOURS in app.available_themes else FEW_COLOURS
    return f"{asked} is not legible in this terminal's colours: {app.theme} is used"
