"""What the palette offers, and which of it a text names, the best first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import nsmallest

MOST_SHOWN = 100
"""Matches that are offered; a longer text names fewer."""


class Kind(IntEnum):
    """What a choice is; among equally good matches the lower kind comes first."""

    ACTION = 1
    VEHICLE = 2
    SCREENSHOT = 3
    THEME = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """A line of the palette; `key` is what does the same without it."""

    kind: Kind
    title: str
    help: str
    key: str
    run: Callable[[], object] = field(compare=False)

    @property
    def name(self) -> "Name":
        """What tells it from the others, also at the next opening."""
        return self.kind, self.title, self.help


Name = tuple[Kind, str, str]
"""What tells a choice from the others, also at the next opening."""


class _Match(IntEnum):
    """How well a text matches a choice, the best first."""

    PREFIX = 1
    WORD_START = 2
    TITLE = 3
    HELP = 4
    WORDS = 5


@dataclass(frozen=True, slots=True)
class Matches:
    """The best matches, and how many there are."""

    shown: Sequence[Choice]
    total: int


class Catalogue:
    """All that can be chosen; the `recent` ones, newest first, come first among equals."""

    def __init__(self, choices: Iterable[Choice], recent: Sequence[Name] = ()) -> None:
        self._choices = [
            (each, each.title.lower(), each.help.lower(), index)
            for index, each in enumerate(choices)
        ]
        self._recent = {name: age for age, name in enumerate(recent)}

    def find(self, text: str) -> Matches:
        """Return what matches; without a text all but the vehicles and themes, which are many."""
        wanted = text.lower().split()
        found = list(self._ranked(wanted) if wanted else self._offered())
        best = nsmallest(MOST_SHOWN, found, key=lambda ranked: ranked[0])
        return Matches([choice for _, choice in best], len(found))

    def _offered(self) -> Iterator[tuple[tuple[int, ...], Choice]]:
        for choice, _, _, index in self._choices:
            age = self._age(choice)
            if choice.kind in (Kind.ACTION, Kind.SCREENSHOT) or age < len(self._recent):
                yield (age, choice.kind, index), choice

    def _ranked(self, words: Sequence[str]) -> Iterator[tuple[tuple[int, ...], Choice]]:
        text = " ".join(words)
        for choice, title, help_text, index in self._choices:
            match = _match(text, words, title, help_text)
            if match is not None:
                yield (match, self._age(choice), choice.kind, index), choice

    def _age(self, choice: Choice) -> int:
        return self._recent.get(choice.name, len(self._recent)) if self._recent else 0


def _match(text: str, words: Sequence[str], title: str, help_text: str) -> _Match | None:
    if title.startswith(text):
        return _Match.PREFIX
    position = title.find(text)
    if position >= 0:
        while position > 0:
            if not title[position - 1].isalnum():
                return _Match.WORD_START
            position = title.find(text, position + 1)
        return _Match.TITLE
    if text in help_text:
        return _Match.HELP
    if len(words) > 1 and all(word in title or word in help_text for word in words):
        return _Match.WORDS
    return None
