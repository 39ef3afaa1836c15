"""Confirmations: a question with the key that accepts it."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button, Static

from tui.dialogs.dialog import Dialog
from tui.model.targets import Targets

MOST_NAMES = 20


class Confirm(Dialog[bool]):
    """Asks for a confirmation; its result is True, or None.

    Enter accepts; if the operator may not expect the question, or the answer cannot be taken back
    (`unexpected`), it cancels.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "accept", "Yes", id="dialog.yes")]
    CLOSE_LABEL = "Cancel (Esc, q)"

    def __init__(self, title: str, text: str, accept: str, *, unexpected: bool = False) -> None:
        super().__init__(title, f"{accept} (y)")
        self.text = text
        self.unexpected = unexpected

    def body(self) -> ComposeResult:
        """Show the text, and the key that accepts if Enter does not."""
        if self.text:
            yield Static(Text(self.text))
        if self.unexpected:
            yield Static(Text("y accepts; Enter changes nothing", "dim"))

    def on_mount(self) -> None:
        """Focus the button that Enter presses."""
        self.query_one("#cancel" if self.unexpected else "#accept", Button).focus()

    def submit(self) -> None:
        """Confirm."""
        self.finish(True)

    def action_accept(self) -> None:
        """Confirm with a key."""
        self.submit()


def confirm_action(verb: str, targets: Targets, *, unexpected: bool = False) -> Confirm:
    """Return the question whether to do something to the targets: it names the first 20.

    It says which of them the operator does not see; whoever does not see them does not expect it.
    """
    names = [targets.names(MOST_NAMES)] if len(targets) > 1 else []
    text = "\n".join([*names, *filter(None, [targets.notice])])
    title = f"{verb} {targets.title}?"
    return Confirm(title, text, verb, unexpected=unexpected or targets.unseen)
