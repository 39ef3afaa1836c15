"""The screen that is shown while the terminal is too small."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.context import ScreenContext
from tui.widgets.status_bar import freshness

MIN_SIZE = Size(80, 24)
TICK_SEC = 1.0


class TooSmall(ModalScreen[None]):
    """Covers every other screen until the terminal is large enough."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+q", "app.quit", "Quit")]

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self.context = context

    def compose(self) -> ComposeResult:
        """Show the size that is needed, and whether the fleet is still watched."""
        yield Static(
            f"Too small: {MIN_SIZE.width}x{MIN_SIZE.height} is needed. q quits.", markup=False
        )
        yield Static(id="freshness")

    def on_mount(self) -> None:
        """Show the state of database and daemons, every second."""
        self._update()
        self.set_interval(TICK_SEC, self._update)

    def _update(self) -> None:
        text = freshness(self.context.state, self.context.now())
        self.query_one("#freshness", Static).update(text)
