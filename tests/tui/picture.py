"""A screen as text: its characters, their colours and their styles."""

from string import ascii_letters, digits

from rich.style import Style
from textual.strip import Strip

LETTERS = ascii_letters + digits
"""A letter or digit for each style of a screen, in the order of appearance."""


def picture(strips: list[Strip]) -> str:
    """Return the characters, then a letter for each cell's style, then the style of each letter.

    At the end of a line, a repeated letter is written once.
    """
    letters: dict[str, str] = {}
    styles = []
    for strip in strips:
        line = ""
        for segment in strip:
            style = _style_text(segment.style or Style())
            letter = letters.setdefault(style, LETTERS[len(letters)])
            line += letter * segment.cell_length
        styles.append(line.rstrip(line[-1]) + line[-1] if line else "")
    characters = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    legend = [f"{letter} {text}" for text, letter in letters.items()]
    return "".join(f"{line}\n" for line in [*characters, "", *styles, "", *legend])


def _style_text(style: Style) -> str:
    """Return the visible part of a style: without links and other metadata."""
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
