"""The place of a plot, which takes clicks."""

from textual.events import Click

from tui.widgets.fixed_text import FixedText
from tui.widgets.plot_picture import slice_at


class PlotArea(FixedText):
    """The picture; a click puts the cursor there."""

    def on_click(self, event: Click) -> None:
        """Put the cursor on what was clicked."""
        index = slice_at(event.x)
        if index is not None:
            self.screen.call_next(self.screen.run_action, f"cursor_to({index})")
