"""Splits a filter into its words: `-st:timeout,error`, `lag > 5m`, `"a text in quotes"`.

What a word means is decided in filters.py. Spaces may stand round an operator, and a quote holds
spaces and operators together.
"""

import re
from dataclasses import dataclass

from fleetsyncd.errors import CommandError
from fleetsyncd.text import sanitise

_ITEM = r'(?:"[^"]*"|[^\s",]*)'
_QUOTED = re.compile(r'"(?P<value>[^"]*)"(?P<rest>[^\s]*)')
_COMPARISON = re.compile(
    r'(?P<name>[^\s"<>=!:]*)\s*(?P<operator>!=|[<>=]+)\s*'
    r'(?P<value>\d+(?:\.\d+)?\s+[smhd](?!\S)|[^\s"<>=]*)(?P<rest>\S*)',
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[0-9a-f.:\[\]]+", re.IGNORECASE)
_LISTED = re.compile(rf'(?P<name>[^\s":/][^\s":]*|):(?P<value>{_ITEM}(?:,{_ITEM})*)(?P<rest>\S*)')
"""A path of a vehicle's API, as LAST ERROR has it (`/data:`), is none."""
_LISTED_SPACED = re.compile(
    rf"(?P<name>[^\W\d_]+)\s*:\s*(?P<value>{_ITEM}(?:\s*,\s*{_ITEM})*)(?P<rest>\S*)", re.IGNORECASE
)
_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A comma outside quotes."""
_SIGN = re.compile("[<>=:]")
_TEXT = re.compile(r"\S+")
_QUOTES = '{}: quotes stand round a whole word, as in "Truck 1"'
_MINUS = ("-", "!")
_SHOWN = 24
"""Characters of a word that a message repeats."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a filter; a text has neither name nor operator."""

    typed: str
    """The word as it was typed, its minus included."""
    negated: bool
    values: tuple[str, ...]
    """In lower case: one value, or those of a list, without their quotes."""
    name: str = ""
    operator: str = ""


def shown(text: str) -> str:
    """Return what an operator typed, as a message repeats it."""
    return sanitise(text.strip(), _SHOWN)


def split(text: str, lists: frozenset[str]) -> list[Word]:
    """Return the words; raise CommandError if the text cannot be split.

    `lists` are the names that a colon and a list of values follow, as in `st:timeout,error`.
    """
    words, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        negated = text[at] in _MINUS
        if negated and text[at + 1 : at + 2] in _MINUS:
            typed = shown(_TEXT.findall(text, at)[0])
            raise CommandError(f'{typed}: one minus excludes; for a text write "{typed}"')
        word, end = _word(text, at, at + negated, lists)
        words.append(word)
        at = end
    return words


def _word(text: str, start: int, at: int, lists: frozenset[str]) -> tuple[Word, int]:
    """Return the word that begins at `at`, after its minus, and its end."""
    negated = at > start
    if match := _QUOTED.match(text, at):
        _refuse_rest(match)
        typed = text[start : match.end()]
        return Word(typed, negated, (_closed(match["value"]).lower(),)), match.end()
    if match := _COMPARISON.match(text, at):
        typed = text[start : match.end()]
        values = ("".join((match["value"] + match["rest"]).lower().split()),)
        return Word(typed, negated, values, match["name"].lower(), match["operator"]), match.end()
    if match := _list(text, at, lists):
        name, typed = match["name"].lower(), text[start : match.end()]
        if name not in lists:
            return Word(typed, negated, (match["value"].lower(),), name, ":"), match.end()
        _refuse_rest(match)
        return Word(typed, negated, _values(match["value"]), name, ":"), match.end()
    match = _TEXT.match(text, at)
    if match is None:
        raise CommandError(f"{text[start:at]} excludes nothing; write it before a word: -st:paused")
    if '"' in match[0]:
        raise CommandError(_QUOTES.format(shown(match[0])))
    return Word(text[start : match.end()], negated, (match[0].lower(),)), match.end()


def _list(text: str, at: int, lists: frozenset[str]) -> re.Match[str] | None:
    """Return the name, colon and values at `at`; None if an address or another text is there."""
    match = _LISTED_SPACED.match(text, at)
    if match and match["name"].lower() in lists:
        return match
    word = _TEXT.match(text, at)
    if word is None or (_ADDRESS.fullmatch(word[0]) and word[0] != ":"):
        return None
    return _LISTED.match(text, at)


def _values(listed: str) -> tuple[str, ...]:
    """Return the values of a list, in lower case and without their quotes."""
    return tuple(_value(item) for item in _COMMA.split(listed))


def _value(item: str) -> str:
    item = item.strip()
    if sign := _SIGN.search(item.partition('"')[0]):
        raise CommandError(f'{shown(item)} has a {sign[0]}: write it in quotes, as in tag:"a>b"')
    return item.strip('"').lower()


def _closed(value: str) -> str:
    if not value.strip():
        raise CommandError('"" is an empty text; write what to find, as in "Truck 1"')
    return value


def _refuse_rest(match: re.Match[str]) -> None:
    if match["rest"]:
        raise CommandError(_QUOTES.format(shown(match[0])))
