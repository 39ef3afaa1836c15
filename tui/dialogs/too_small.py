"""The screen that is shown while the terminal is too small."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

MIN_SIZE = Size(80, 24)


class TooSmall(ModalScreen[None]):
    """Covers every other screen until the terminal is large enough."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+q", "app.quit", "Quit")]

    def compose(self) -> ComposeResult:
        """Show the size that is needed."""
        yield Static(
            f"Too small: {MIN_SIZE.width}x{MIN_SIZE.height} is needed. q quits.", markup=False
        )
