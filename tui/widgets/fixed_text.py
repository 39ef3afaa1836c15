"""Text in a place of fixed size."""

from itertools import takewhile

from rich.cells import cell_len
from rich.text import Text
from textual.geometry import Region
from textual.widget import Widget


class FixedText(Widget):
    """Shows text in a place whose size is fixed; an update repaints only the changed cells.

    An update of a `Static` makes Textual lay out and repaint the whole screen.
    """

    DEFAULT_CSS = "FixedText { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.shown = Text("")

    def render(self) -> Text:
        """Return the text to be painted."""
        return self.shown

    def show(self, text: Text) -> None:
        """Replace the text."""
        before, self.shown = self.shown, text
        if text == before and text.style == before.style:
            return
        if self.size.height == 1 and _same_layout(before, text):
            self.refresh(self._changed(before.plain, text.plain))
        else:
            self.refresh()

    def _changed(self, before: str, after: str) -> Region:
        """Return the region in which two texts of the same length differ."""
        start = _common_cells(before, after)
        end = _common_cells(before[::-1], after[::-1])
        return Region(start, 0, max(1, cell_len(after) - end - start), 1)


def _same_layout(before: Text, after: Text) -> bool:
    """Whether the texts have the same lengths and styles, and differ only in characters."""
    return (
        before.spans == after.spans
        and before.style == after.style
        and len(before.plain) == len(after.plain)
        and before.cell_len == after.cell_len
    )


def _common_cells(before: str, after: str) -> int:
    """Return the number of terminal cells of the texts' common start."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=True))
    return cell_len("".join(character for character, _ in pairs))
