"""The base class of the dialogs that ask, and a plain confirmation."""

from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

T = TypeVar("T")


class Dialog(ModalScreen[T | None]):
    """A box above a page, with a title, a body and two buttons; its result is None on cancel.

    `notice` tells what the operator should know before.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        # A field that has the focus takes q as text.
        Binding("escape,q", "cancel", "Cancel", id="dialog.cancel"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    CLOSE_LABEL = "Cancel (Esc)"
    """How to close it without a result."""

    def __init__(self, title: str, accept: str, *, notice: str = "") -> None:
        super().__init__()
        self.heading = title
        self.accept = accept
        self.notice = notice
        self._finished = False
        self._result: T | None = None

    def compose(self) -> ComposeResult:
        """Lay out title, body and buttons."""
        with VerticalScroll(id="box", can_focus=False):
            yield Static(Text(self.heading, "bold"), id="title")
            if self.notice:
                yield Static(Text(self.notice, "yellow"), id="notice")
            yield from self.body()
            yield Static("", id="error")
            with Horizontal(id="buttons"):
                yield Button(self.accept, id="accept", variant="primary", compact=True)
                yield Button(self.CLOSE_LABEL, id="cancel", compact=True)

    def body(self) -> ComposeResult:
        """Lay out the dialog's body; subclasses override it."""
        yield from ()

    def show_error(self, text: str) -> None:
        """Show what is wrong with the input; the input stays."""
        self.query_one("#error", Static).update(Text(text, "bold red"))

    def submit(self) -> Any:
        """Accept the input; subclasses override it."""
        self.finish(None)

    def finish(self, result: T | None) -> None:
        """Close with `result`; if another screen covers the dialog, close once it is uncovered."""
        if self.is_active:
            self.dismiss(result)
        else:
            self._finished, self._result = True, result

    def on_screen_resume(self) -> None:
        """Close if the dialog finished while another screen covered it."""
        if self._finished:
            self.dismiss(self._result)

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
        """Close without a result."""
        self.finish(None)
