"""How the next page is asked for while this one is being stored."""

from collections.abc import Callable
from typing import Protocol

from fleetsyncd.telemetry import DataPage


class PendingPage(Protocol):
    """A page that was asked for before it is needed."""

    def result(self) -> DataPage:
        """Return the page once it has arrived; raise the error that asking for it raised."""

    def drop(self) -> None:
        """Give up a page that is not needed any more."""


class LazyPage:
    """A pending page that is asked for only when it is needed."""

    def __init__(self, ask: Callable[[], DataPage]) -> None:
        self._ask = ask

    def result(self) -> DataPage:
        """Ask for the page and return it."""
        return self._ask()

    def drop(self) -> None:
        """Do nothing: the page was not asked for."""


Prefetch = Callable[[Callable[[], DataPage]], PendingPage]
