"""Text in a place of its own."""

from itertools import takewhile

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Region
from textual.widget import Widget


class FixedText(Widget):
    """Text in a place whose size does not depend on it; only what changed is painted again.

    A `Static` would lay the whole screen out anew with every update, and repaint all of it.
    """

    DEFAULT_CSS = "FixedText { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.shown = Text("")

    def render(self) -> Text:
        """Return what is to be painted."""
        return self.shown

    def show(self, text: Text) -> None:
        """Show a text instead of the last one."""
        before, self.shown = self.shown, text
        if text == before and text.style == before.style:
            return
        if self.size.height == 1 and _alike(before, text):
            self.refresh(self._changed(before.plain, text.plain))
        else:
            self.refresh()

    def _changed(self, before: str, after: str) -> Region:
        """Return where two texts of one length differ."""
        start, end = _same_cells(before, after), _same_cells(before[::-1], after[::-1])
        return Region(start, 0, max(1, cell_len(after) - end - start), 1)


def _alike(one: Text, other: Text) -> bool:
    """Tell whether the texts differ in characters only, not in where or how they are coloured."""
    return (
        one.spans == other.spans
        and one.style == other.style
        and len(one.plain) == len(other.plain)
        and one.cell_len == other.cell_len
    )


def _same_cells(one: str, other: str) -> int:
    """Return how many cells the texts begin with alike."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=True))
    return cell_len("".join(character for character, _ in pairs))
