"""One row of a table in full."""

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
    """Shows the fields of a row as (name, text) pairs; a long text takes several lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Back", id="details.back"),
        Binding("y", "copy", "Copy", id="details.copy"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.fields = fields

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in self.fields:
            grid.add_row(Text(name, "bold"), Text(text))
        with VerticalScroll(id="box") as box:
            box.border_subtitle = "Esc or q goes back, y copies"
            yield Static(grid)

    def action_copy(self) -> None:
        """Copy the fields to the clipboard of the operator's terminal."""
        self.app.copy_to_clipboard("\n".join(f"{name}: {text}" for name, text in self.fields))
        self.app.notify("copied")
