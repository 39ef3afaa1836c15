"""The dialog that chooses the columns of the fleet table."""

from collections.abc import Collection
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button, Label

from tui.dialogs.dialog import Dialog
from tui.model.columns import CHOOSABLE, Choice
from tui.widgets.checkbox import PlainCheckbox


class ColumnsDialog(Dialog[dict[str, bool]]):
    """Asks which columns are shown; its result is the operator's choice, by title.

    A column that the operator leaves alone is not chosen: it is shown where there is room.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "app.focus_next", "Next", show=False, id="columns.next"),
        Binding("up,k", "app.focus_previous", "Previous", show=False, id="columns.previous"),
        Binding("enter", "submit", "OK", show=False, priority=True, id="columns.accept"),
    ]

    def __init__(self, shown: Collection[str], choice: Choice) -> None:
        super().__init__("Columns", "Show")
        self._shown = shown
        self._choice = choice

    def body(self) -> ComposeResult:
        """Lay out a check box for each column."""
        yield Label("Space shows or hides a column; LAST ERROR gets what they leave.")
        for title in CHOOSABLE:
            yield PlainCheckbox(title, title in self._shown, id=_id(title), compact=True)
        yield Button("As the width allows", id="automatic", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Forget the choice, accept or cancel."""
        if event.button.id == "automatic":
            self.finish({})
        else:
            super().on_button_pressed(event)

    def action_submit(self) -> None:
        """Press the button that has the focus; else accept."""
        if isinstance(self.focused, Button):
            self.focused.press()
        else:
            self.submit()

    def submit(self) -> None:
        """Answer the choice: what is checked, and what was shown and is not."""
        checked = {t: self.query_one(f"#{_id(t)}", PlainCheckbox).value for t in CHOOSABLE}
        if all(checked[title] == (title in self._shown) for title in CHOOSABLE):
            self.finish(dict(self._choice))
            return
        hidden = {t for t in CHOOSABLE if t in self._shown or t in self._choice}
        self.finish({t: value for t, value in checked.items() if value or t in hidden})


def _id(title: str) -> str:
    return "column-" + title.lower().replace(" ", "-")
