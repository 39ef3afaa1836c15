"""What all dialogs share, and the plainest of them."""

from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

T = TypeVar("T")


class Dialog(ModalScreen[T | None]):
    """A box above a page: Esc leaves it without doing anything."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="dialog.cancel"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, title: str, accept: str) -> None:
        super().__init__()
        self.heading = title
        self.accept = accept
        self._leaving: tuple[T | None] | None = None

    def compose(self) -> ComposeResult:
        """Put the dialog's own part between title and buttons."""
        with VerticalScroll(id="box", can_focus=False):
            yield Static(Text(self.heading, "bold"), id="title")
            yield from self.body()
            yield Static("", id="fault")
            with Horizontal(id="buttons"):
                yield Button(self.accept, id="accept", variant="primary", compact=True)
                yield Button("Cancel (Esc)", id="cancel", compact=True)

    def body(self) -> ComposeResult:
        """Lay out the dialog's own part; a plain one has none."""
        yield from ()

    def show_error(self, text: str) -> None:
        """Say what is wrong; what was typed stays."""
        self.query_one("#fault", Static).update(Text(text, "bold red"))

    def submit(self) -> Any:
        """Do what the dialog is for; a plain one is only closed."""
        self.finish(None)

    def finish(self, result: T | None) -> None:
        """Close with a result; while something lies above, as soon as nothing does."""
        if self.is_active:
            self.dismiss(result)
        else:
            self._leaving = (result,)

    def on_screen_resume(self) -> None:
        """Close if that was to be done meanwhile."""
        if self._leaving is not None:
            self.dismiss(self._leaving[0])

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Accept or cancel."""
        if event.button.id == "accept":
            self.submit()
        elif event.button.id == "cancel":
            self.finish(None)

    def on_input_submitted(self) -> None:
        """Accept with Enter."""
        self.submit()

    def action_cancel(self) -> None:
        """Leave without doing anything."""
        self.finish(None)


class Confirm(Dialog[bool]):
    """Asks before something is done; answers True, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "accept", "Yes", id="dialog.yes")]

    def __init__(self, title: str, text: str, accept: str) -> None:
        super().__init__(title, accept)
        self.text = text

    def body(self) -> ComposeResult:
        """Show what will happen."""
        yield Static(Text(self.text))

    def submit(self) -> None:
        """Go ahead."""
        self.finish(True)

    def action_accept(self) -> None:
        """Go ahead."""
        self.submit()
