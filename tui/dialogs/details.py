"""One row of a table in full: nothing of it cut off."""

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class DetailsDialog(ModalScreen[None]):
    """What a row says, fact by fact, long ones over several lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Back", id="details.back"),
        Binding("y", "copy", "Copy", id="details.copy"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, facts: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.facts = facts

    def compose(self) -> ComposeResult:
        """Lay the facts out."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, fact in self.facts:
            grid.add_row(Text(name, "bold"), Text(fact))
        with VerticalScroll(id="box"):
            yield Static(grid)
            yield Static(Text("\nEsc goes back, y copies", "dim"))

    def action_copy(self) -> None:
        """Copy the facts to the operator's own clipboard."""
        self.app.copy_to_clipboard("\n".join(f"{name}: {fact}" for name, fact in self.facts))
        self.app.notify("copied")
