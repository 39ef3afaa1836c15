"""The line under a table's cursor in full, below the table."""

from rich.text import Text

from tui.widgets.fixed_text import FixedText

LINES = 3
"""As many as #in-full is high."""


class InFull(FixedText):
    """Text in a few lines; what does not fit ends with an ellipsis."""

    def __init__(self) -> None:
        super().__init__(id="in-full")

    def show_whole(self, whole: Text) -> None:
        """Show a text in as many lines as there are."""
        width = self.app.size.width - 2
        lines = list(whole.wrap(self.app.console, width)) if whole else []
        if len(lines) > LINES:
            last = Text(" ").join(lines[LINES - 1 :])
            last.truncate(width, overflow="ellipsis")
            lines[LINES - 1 :] = [last]
        self.show(Text("\n").join(Text(" ") + line for line in lines))
