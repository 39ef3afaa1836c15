"""A check box that can be read without colours."""

from textual.widgets import Checkbox


class PlainCheckbox(Checkbox):
    """A check box that does not tell by colour alone."""

    BUTTON_LEFT = "["
    BUTTON_RIGHT = "]"
    BUTTON_INNER = " "

    def watch_value(self) -> None:
        """Show the sign that belongs to the value."""
        self.BUTTON_INNER = "x" if self.value else " "
        super().watch_value()
        self.refresh()
