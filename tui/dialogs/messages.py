"""The last messages, to be read again."""

from typing import ClassVar

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from fleetsyncd.times import utc_text
from tui.model.messages import MessageLog

TICK_SEC = 1.0


class MessagesDialog(ModalScreen[None]):
    """Shows what the dashboard has told since it was started, the newest message first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,M", "dismiss", "Back", id="messages.back"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, messages: MessageLog) -> None:
        super().__init__()
        self.messages = messages
        self._shown = -1
        """How many messages there were when they were shown last."""

    def compose(self) -> ComposeResult:
        """Lay out the messages."""
        with VerticalScroll(id="box") as box:
            box.border_subtitle = "Esc or q goes back"
            yield Static(Text("Messages", "bold"))
            yield Static(id="messages")

    def on_mount(self) -> None:
        """Show the messages, and new ones within a second."""
        self._update()
        self.set_interval(TICK_SEC, self._update)

    def _update(self) -> None:
        if self.messages.told != self._shown:
            self._shown = self.messages.told
            self.query_one("#messages", Static).update(_table(self.messages))


def _table(messages: MessageLog) -> RenderableType:
    if not messages.told:
        return Text("nothing was told since the dashboard was started")
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for message in messages.newest_first:
        mark = Text("✖", "red") if message.error else Text("·")
        grid.add_row(Text(utc_text(message.at), "dim"), mark, Text(message.text))
    return grid
