"""Which cells differ between two texts that are painted in the same place."""

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Region

_ON_BLANKS = ("on ", "reverse", "underline", "strike", "link")
"""What can be seen of a style on a blank."""
Cell = tuple[str, str]
"""A character with what follows it without a width of its own, and its styles."""


def changed_regions(before: Text, after: Text) -> list[Region] | None:
    """Return the changed part of each line; None if the texts have not as many lines."""
    old_lines = before.split("\n", allow_blank=True)
    new_lines = after.split("\n", allow_blank=True)
    if len(old_lines) != len(new_lines):
        return None
    return [
        _changed(old, new, y)
        for y, (old, new) in enumerate(zip(old_lines, new_lines, strict=True))
        if old != new or old.style != new.style
    ]


def _changed(old: Text, new: Text, y: int) -> Region:
    old_cells, new_cells = _cells(old), _cells(new)
    start = _common(old_cells, new_cells)
    end = max(len(old_cells), len(new_cells))
    if len(old_cells) == len(new_cells):
        end -= _common(old_cells[start:][::-1], new_cells[start:][::-1])
    return Region(start, y, max(1, end - start), 1)


def _cells(line: Text) -> list[Cell]:
    """Return what each terminal cell of a line shows; a wide character is in two cells."""
    styles = [str(line.style)] * len(line.plain)
    for span in line.spans:
        for at in range(span.start, min(span.end, len(styles))):
            styles[at] += f" {span.style}"
    cells: list[Cell] = []
    for character, style in zip(line.plain, styles, strict=True):
        width = cell_len(character)
        if not width and cells:
            cells[-1] = (cells[-1][0] + character, cells[-1][1])
        cells += [(character, _visible(character, style))] * width
    return cells


def _visible(character: str, style: str) -> str:
    """Return a character's style; a blank has none, unless it has a background or is reversed."""
    return style if character != " " or any(each in style for each in _ON_BLANKS) else ""


def _common(old: list[Cell], new: list[Cell]) -> int:
    """Return the number of equal cells at the start of both."""
    pairs = zip(old, new, strict=False)
    return next(
        (at for at, (cell, other) in enumerate(pairs) if cell != other), min(len(old), len(new))
    )
