"""What an operation may ask of the app that runs it; it knows no more of the app than this."""

from typing import Any, Protocol, TypeVar

from textual.screen import Screen

T = TypeVar("T")


class UI(Protocol):
    """The app as operations see it; `reload` is no `refresh`, which Textual means by painting."""

    async def ask(self, dialog: "Screen[T]") -> T | None:
        """Open a dialog and return its answer; None if it was cancelled."""

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a line for some seconds."""

    def reload(self) -> Any:
        """Read the fleet again at once."""
