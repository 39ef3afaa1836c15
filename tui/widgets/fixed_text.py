"""Text in a place of fixed size."""

from rich.text import Text
from textual.widget import Widget

from tui.widgets.changes import changed_regions


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
        # Where it is not at the top left, a change moves all of it.
        is_placed = self.styles.content_align == ("left", "top")
        regions = changed_regions(before, text) if is_placed else None
        if regions is None:
            self.refresh()
        else:
            self.refresh(*regions)
