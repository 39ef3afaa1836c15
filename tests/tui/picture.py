"""A screen as text: its characters, and which colours and styles they have."""

from string import ascii_letters, digits

from rich.style import Style
from textual.strip import Strip

SIGNS = ascii_letters + digits
"""One for each look on a screen, in the order in which they appear."""


def picture(strips: list[Strip]) -> str:
    """Return the characters, then a sign for each cell's look, then what the signs stand for.

    At a line's end, repeated signs are left out but for the first.
    """
    signs: dict[str, str] = {}
    looks = []
    for strip in strips:
        line = ""
        for segment in strip:
            sign = signs.setdefault(_look(segment.style or Style()), SIGNS[len(signs)])
            line += sign * segment.cell_length
        looks.append(line.rstrip(line[-1]) + line[-1] if line else "")
    characters = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    legend = [f"{sign} {look}" for look, sign in signs.items()]
    return "".join(f"{line}\n" for line in [*characters, "", *looks, "", *legend])


def _look(style: Style) -> str:
    """Return a style without what concerns the program only, links for clicks and the like."""
    shown = Style(
        color=style.color,
        bgcolor=style.bgcolor,
        bold=style.bold,
        dim=style.dim,
        italic=style.italic,
        underline=style.underline,
        reverse=style.reverse,
    )
    return str(shown)
