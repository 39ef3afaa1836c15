"""What the terminal shows, so that only what differs from it is sent.

Textual 8.2 sends a whole page when one is opened or left, again when its tables get their columns,
and for a changed age everything before it in its line. Here each update is compared with the cells
on the screen. This module replaces private parts of Textual, so Textual's version is pinned; tests
count the bytes, and follow them on a screen of their own.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._cells import cell_len
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

SGR = tuple[str, str, str]
"""Attributes, foreground and background as parameters of the sequence that sets them."""
Cell = tuple[str, SGR]
"""A character with its combining ones; the second cell of a wide one is empty."""
PLAIN: SGR = ("", "", "")
MOST_EQUAL = 6
"""So many equal cells between two changed ones are sent: to skip them is no shorter."""
_UNKNOWN: Cell = ("\0", PLAIN)
_SEEN_ON_BLANKS = frozenset({"4", "7", "9", "21", "51", "52", "53"})
"""Attributes that show on a space: lines, frames and reversed colours."""
_ENDS = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29"}
"""What ends an attribute; 22 ends bold and dim."""


class Frame:
    """The cells of the terminal, as far as they are known."""

    def __init__(self) -> None:
        self._lines: list[list[Cell]] = []

    def forget(self) -> None:
        """Take every cell for changed: something else may have written to the terminal."""
        self._lines = []

    def render(self, update: CompositorUpdate, console: Console) -> str:
        """Return what makes the terminal show an update, and take it for sent."""
        if isinstance(update, LayoutUpdate):
            self._fit(update)
        colours = console._color_system or ColorSystem.TRUECOLOR
        try:
            return _Writer().text(
                run
                for y, x, strip in _strips(update)
                for run in self._replace(y, x, _cells(strip, colours))
            )
        except BaseException:
            self.forget()
            raise

    def _fit(self, update: LayoutUpdate) -> None:
        """Forget everything if the terminal has another size."""
        width, height = update.region.right, update.region.bottom
        if (len(self._lines), len(self._lines[0]) if self._lines else 0) != (height, width):
            self._lines = [[_UNKNOWN] * width for _ in range(height)]

    def _replace(self, y: int, x: int, cells: list[Cell]) -> Iterator[tuple[int, int, list[Cell]]]:
        """Put cells into a line; yield the pieces that changed, each as (line, column, cells)."""
        if y >= len(self._lines):
            yield y, x, cells  # nothing is known before the first layout
            return
        line = self._lines[y]
        before = line[x : x + len(cells)]
        for cut in (x, x + len(cells)):
            if 0 < cut < len(line) and not line[cut][0]:
                line[cut - 1] = line[cut] = _UNKNOWN  # half of a wide character is overwritten
        line[x : x + len(cells)] = cells[: len(before)]
        changed = [n for n, (old, new) in enumerate(zip(before, cells, strict=False)) if old != new]
        for start, end in _pieces(changed):
            # A wide character is sent whole.
            whole = start - 1 if start and not cells[start][0] else start
            yield y, x + whole, cells[whole:end]


def _pieces(changed: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the intervals that hold the changed indexes, joined across a few equal cells."""
    start, end = -1, -1
    for index in changed:
        if start >= 0 and index - end > MOST_EQUAL:
            yield start, end
            start = index
        elif start < 0:
            start = index
        end = index + 1
    if start >= 0:
        yield start, end


def _strips(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield the strips of an update with their lines and columns."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in strips:
                yield y, x, strip
                x += strip.cell_length
    elif isinstance(update, ChopsUpdate):
        for y, left, right in update.spans:
            for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                start, stop = max(x, left), min(end, right)
                if chop is not None and start < stop:
                    yield y, start, chop.crop(start - x, stop - x)


def _cells(strip: Strip, colours: ColorSystem) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        sgr = PLAIN if style is None else _sgr(style, colours)
        blank = (" ", _on_blank(sgr))
        if text.isascii():
            cells += [blank if each == " " else (each, sgr) for each in text]
            continue
        for character in text:
            width = cell_len(character)
            if width:
                cells.append(blank if character == " " else (character, sgr))
                cells += [("", sgr)] * (width - 1)
            elif cells:
                _combine(cells, character)
    return cells


def _combine(cells: list[Cell], character: str) -> None:
    """Add a character without a width to the one before it."""
    index = len(cells) - (2 if not cells[-1][0] else 1)
    text, sgr = cells[index]
    cells[index] = (text + character, sgr)


@lru_cache(maxsize=512)
def _sgr(style: Style, colours: ColorSystem) -> SGR:
    look = style.without_color
    attributes = look._make_ansi_codes(colours)
    fore, back = style.color, style.bgcolor
    return (
        attributes,
        "" if fore is None else ";".join(fore.downgrade(colours).get_ansi_codes()),
        "" if back is None else ";".join(back.downgrade(colours).get_ansi_codes(foreground=False)),
    )


@lru_cache(maxsize=512)
def _on_blank(sgr: SGR) -> SGR:
    """Return what of a style shows on a space."""
    attributes, _fore, back = sgr
    return ("", "", back) if _SEEN_ON_BLANKS.isdisjoint(attributes.split(";")) else sgr


class _Writer:
    """Writes cells with as few sequences as will do."""

    def __init__(self) -> None:
        self._sgr = PLAIN

    def text(self, pieces: Iterable[tuple[int, int, list[Cell]]]) -> str:
        """Return the characters and sequences of pieces, each given as (line, column, cells)."""
        parts: list[str] = []
        at = (-1, -1)
        for y, x, cells in pieces:
            if (y, x) != at:
                parts.append(f"\x1b[{y + 1};{x + 1}H")
            at = (y, x + len(cells))
            for character, sgr in cells:
                if sgr != self._sgr and character and not _same_blank(character, self._sgr, sgr):
                    parts.append(_change(self._sgr, sgr))
                    self._sgr = sgr
                parts.append(character)
        if self._sgr != PLAIN:
            parts.append("\x1b[0m")
        return "".join(parts)


@lru_cache(maxsize=512)
def _change(old: SGR, new: SGR) -> str:
    """Return the sequence that leads from one style to another."""
    before, after = _attributes(old[0]), _attributes(new[0])
    ended = {_ENDS.get(each, "0") for each in before - after}
    if "0" in ended:
        return f"\x1b[{';'.join(filter(None, ('0', *new)))}m"
    begun = {each for each in after if each not in before or _ENDS.get(each) in ended}
    fore = (new[1] or "39") if old[1] != new[1] else ""
    back = (new[2] or "49") if old[2] != new[2] else ""
    return f"\x1b[{';'.join(filter(None, (*sorted(ended), *sorted(begun), fore, back)))}m"


def _attributes(parameters: str) -> set[str]:
    return set(filter(None, parameters.split(";")))


def _same_blank(character: str, old: SGR, new: SGR) -> bool:
    """Tell whether a space looks the same in both styles."""
    return character == " " and _on_blank(old) == _on_blank(new)


class FrameUpdate(CompositorUpdate):
    """What is to be sent of an update."""

    def __init__(self, text: str) -> None:
        self.text = text

    def render_segments(self, console: Console) -> str:
        """Return the text and control sequences to be sent to the terminal."""
        del console
        return self.text
