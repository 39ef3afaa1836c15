"""Find an API key in a text, in whatever notation a vehicle or a proxy has written it.

The text and the key are brought to the same plain characters before they are compared. Known are
the escapes of HTML, URLs, JSON and programming languages, also in several layers, and UTF-16 that
was decoded as UTF-8. What cannot be seen between the characters of a key does not count.
"""

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.entities import html5
from typing import Self

from fleetsyncd.text import REPLACEMENT, UNSAFE_CATEGORIES

_IGNORED = " +\\"
"""A blank is also written `+`, and any sign may have a backslash before it."""


def _is_seen(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    if character.isspace() or character == REPLACEMENT:
        return False
    return unicodedata.category(character) not in UNSAFE_CATEGORIES


_NAMED = {
    name: sign
    for name, sign in html5.items()
    if len(sign) == 1 and (sign.isascii() or not _is_seen(sign))
}
_NAMES = "|".join(sorted(_NAMED, key=len, reverse=True))
_HEX = "[0-9a-fA-F]"
_AMPERSANDS = rf"(?:amp;?|\#0*+38(?![0-9]);?|\#[xX]0*+26(?!{_HEX});?)"
_CHARACTERS = re.compile(
    rf"&{_AMPERSANDS}*+"
    rf"(?:\#0*+([0-9]{{1,7}})(?![0-9]);?|\#[xX]0*+({_HEX}{{1,6}})(?!{_HEX});?|({_NAMES}))"
    rf"|%(?:25)*+(?:[uU]00)?+({_HEX}{{2}})"
    rf"|\\++(?:[uU]00|[uU]\{{0*+|[xX])({_HEX}{{2}})\}}?+"
    r"|\\++([0-7]{3})"
    rf"|&{_AMPERSANDS}++|%(?:25)++|\\++|[^&%\\]++|.",
    re.DOTALL,
)
"""One character that is written by an escape, or a run of others; these make up any text."""
_DECIMAL, _NAME, _OCTAL = 1, 3, 6
"""Groups of _CHARACTERS; the others are hexadecimal."""
LONGEST_ESCAPE = 256
_UNFINISHED = re.compile(rf"(?:&[#\w;&]*+|%[uU%]?{_HEX}*+|\\++[uUxX]?\{{?{_HEX}*+)\Z")
"""What may be the beginning of an escape, at the end of a text that was cut."""


@dataclass(frozen=True, slots=True)
class PlainText:
    """A text's plain characters, with the begin and end of each in the text as it was written."""

    characters: str
    places: list[tuple[int, int]]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the plain characters of `text`."""
        seen, origins = _seen(text)
        characters, places = [], []
        for character, start, end in _characters(seen):
            if character not in _IGNORED:
                characters.append(character)
                places.append((origins[start], origins[end - 1] + 1))
        return cls("".join(characters), places)

    def find(self, key: str) -> list[tuple[int, int]]:
        """Return where the text has a key of these plain characters, from begin to end."""
        found, at = [], self.characters.find(key)
        while at >= 0:
            end = at + len(key)
            found.append((self.places[at][0], self.places[end - 1][1]))
            at = self.characters.find(key, end)
        return found

    def beginning_at_end(self, key: str) -> int:
        """Return where the text is to end, so that it does not end with the beginning of a key."""
        size = min(len(key) - 1, len(self.characters))
        while size > 0 and not key.startswith(self.characters[-size:]):
            size -= 1
        return self.places[-size][0] if size > 0 else sys.maxsize


def plain_keys(key: str) -> list[str]:
    """Return what is to be found of a key in plain characters; nothing if it has none.

    A key that looks like an escape, such as `a%2Fb`, is read as one, unless all of it was escaped.
    """
    as_it_is = "".join(character for character in key if character not in _IGNORED)
    return sorted({as_it_is, PlainText.of(key).characters} - {""}, key=len, reverse=True)


def without_unfinished_escape(text: str) -> str:
    """Return a text that was cut without the beginning of an escape at its end."""
    seen, origins = _seen(text)
    unfinished = _UNFINISHED.search(seen, max(0, len(seen) - LONGEST_ESCAPE))
    return text[: origins[unfinished.start()]] if unfinished else text


def _seen(text: str) -> tuple[str, Sequence[int]]:
    """Return the characters of `text` that can be seen, blanks included, and where each stood."""
    if text.isascii() and text.isprintable():
        return text, range(len(text))
    origins = [at for at, character in enumerate(text) if _is_seen(character)]
    return "".join(text[at] for at in origins), origins


def _characters(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each character of `text`, whatever its notation, with its begin and end."""
    for match in _CHARACTERS.finditer(text):
        start, end = match.span()
        if match.lastindex is not None:
            yield _meaning(match), start, end
        elif match[0][0] in "&%":
            yield match[0][0], start, end
        else:
            for at in range(start, end):
                yield text[at], at, at + 1


def _meaning(match: re.Match[str]) -> str:
    group = match.lastindex or 0
    if group == _NAME:
        return _NAMED[match[group]]
    code = int(match[group], {_DECIMAL: 10, _OCTAL: 8}.get(group, 16))
    return chr(code) if code <= sys.maxunicode else REPLACEMENT
