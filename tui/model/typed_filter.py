"""The filter while it is typed: which one applies, and what is wrong with the text."""

import re
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from fleetsyncd.errors import CommandError
from tui.model.filters import LIST_NAMES

_CONTINUES = re.compile(r"\S|\s+([<>=:,\d]|!=)")
"""What makes more of the last word; after a space, only an operator or its number does."""
_ENDS_IN_AGE = re.compile(
    r"[<>=]\s*\d+(?:\.\d+)?(?:\s+[smhd]\S*|\s*[smhd]\s+\d\S*(?:\s+[smhd]\S*)?)$", re.IGNORECASE
)
"""What may become `lag>5 min` or `lag>1h 30m`, of which no part is a filter."""


class Parsed(Protocol):
    """A filter that keeps its text."""

    @property
    def text(self) -> str:
        """The text without spaces around it."""


F = TypeVar("F", bound=Parsed)


class TypedFilter(Generic[F]):
    """Follows the text of a field. While the text is wrong, the last valid filter applies.

    The valid beginning of a wrong word is not such a filter: the `foo` of `foo:bar` would hide
    every vehicle, and the `lag>5` of `lag>5x` those that lag less.
    """

    def __init__(self, parse: Callable[[str], F], none: F) -> None:
        self.applies = none
        self.fault = ""
        """What is wrong with the text; empty if it is valid."""
        self._parse, self._none = parse, none
        self._before = none
        """The filter that applied before the last word was begun."""

    def set(self, new: F) -> None:
        """Begin with a filter that was not typed."""
        self.applies = self._before = new
        self.fault = ""

    def type(self, text: str) -> None:
        """Follow a change of the text."""
        try:
            new = self._parse(text)
        except CommandError as error:
            self.fault = str(error)
            if _continues(text.strip(), self.applies.text):
                self.applies = self._before
            return
        self.fault = ""
        if new.text.startswith(f"{self.applies.text} "):
            if not _ENDS_IN_AGE.search(new.text):
                self._before = self.applies
        elif not new.text.startswith(self._before.text):
            self._before = self._none
        self.applies = new


def _continues(text: str, valid: str) -> bool:
    """Tell whether `text` adds to the last word of a valid filter, as in `st` and `st timeout`."""
    if not text.startswith(valid):
        return False
    if _ENDS_IN_AGE.search(text):
        return True
    rest = text.removeprefix(valid)
    is_name = not LIST_NAMES.isdisjoint(valid.lower().split()[-1:])
    return _CONTINUES.match(rest) is not None or (is_name and bool(rest))
