"""What a terminal shows that is too small for anything else."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

LEAST = Size(80, 24)


class TooSmall(ModalScreen[None]):
    """Lies above everything until the terminal is large enough."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+q", "app.quit", "Quit")]

    def compose(self) -> ComposeResult:
        """Say what is needed."""
        yield Static(f"Too small: {LEAST.width}x{LEAST.height} is needed. q quits.", markup=False)
