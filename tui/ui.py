"""The part of the app that operations use; it keeps them independent of the app."""

from typing import Any, Protocol, TypeVar

from textual.screen import Screen

T = TypeVar("T")


class UI(Protocol):
    """The app as operations see it."""

    @property
    def shows_fleet(self) -> bool:
        """Whether the fleet page is the topmost page, which a dialog may cover."""

    async def ask(self, dialog: "Screen[T]") -> T | None:
        """Open a dialog and return its answer; None if it was cancelled."""

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a message for as long as it takes to read; `error` marks it as an error."""

    # Not named `refresh`: Textual's App.refresh repaints the screen.
    def reload(self) -> Any:
        """Read the fleet at once."""
