"""A check box that is legible without colours."""

from textual.widgets import Checkbox


class PlainCheckbox(Checkbox):
    """A check box that shows its value by a character, [x] or [ ], not by colour alone."""

    BUTTON_LEFT = "["
    BUTTON_RIGHT = "]"
    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Show the character of the new value."""
        self.BUTTON_INNER = "x" if self.value else " "
        super().watch_value()
        self.refresh()
