"""The filter that an operator types, such as `truck st:timeout,error lag>5m -tag:yard`.

A vehicle matches if it matches every word. A word is

- a text, which is in the vehicle's name, address, tags or last error. In quotes it may contain
  spaces and every sign: `"a>b"`, `"site: north"`;
- `st:`, `ver:` or `tag:` and values, one of which must fit: `st:timeout,error`;
- a number or an age that is compared: `lag>5m`, `fails >= 3`;
- each of them after a minus, if it must not match: `-st:paused`.

What has an operator in it and is none of these is refused, and so is a state without its `st:`: as
a text it would find nothing, and an empty list of vehicles in trouble reads like good news. An
address is a text: `10.8.0.5:8001`.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fleetsyncd.errors import CommandError
from fleetsyncd.states import State, VehicleOverview
from tui.formatting import STATE_STYLES
from tui.model.filter_words import Word, shown, split

Test = Callable[[VehicleOverview], bool]

PROBLEMS = frozenset({State.TIMEOUT, State.ERROR, State.LATE, State.NEVER})
_PROBLEMS = tuple(PROBLEMS)  # the hash of an enumeration is slow
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_AGE_WITH_UNIT = re.compile(r"\d+(\.\d+)?[smhd]")
_UNIT_WORDS = frozenset(
    f"{unit}{ending}"
    for unit in ("sec", "second", "min", "minute", "hr", "hour", "day")
    for ending in ("", "s")
)
_AGES: Mapping[str, Callable[[VehicleOverview], float | None]] = {
    "lag": lambda vehicle: vehicle.lag,
    "seen": lambda vehicle: vehicle.seen_age,
    "data": lambda vehicle: vehicle.data_age,
    "since": lambda vehicle: vehicle.state_age,
    "every": lambda vehicle: vehicle.interval_sec,
}
_COUNTS: Mapping[str, Callable[[VehicleOverview], float | None]] = {
    "fails": lambda vehicle: vehicle.failures,
    "rows": lambda vehicle: vehicle.rows,
}
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
_NAMES = {*_AGES, *_COUNTS}
_LISTS = {"st": "st", "state": "st", "status": "st", "ver": "ver", "version": "ver", "tag": "tag"}
"""What may stand before a colon, and its short form."""
_SHORT_STATES = {"ok": State.ONLINE, "gap": State.CATCHING_UP}
"""What the line of totals calls states where there is little room."""
_STATE_WORDS = {*_SHORT_STATES, *(style.word for style in STATE_STYLES.values())}
_LOGIC = {
    "or": "write several states as st:timeout,error",
    "and": "leave it out, every word must match",
    "not": "write a minus, as in -st:paused",
}
"""Words of other languages for filters, and what to write here."""
SYNTAX = "text  st:timeout,error  lag>5m  since<1h  fails>=3  ver:2.1  tag:mine-3  -st:paused"
EXPLANATIONS = (
    ("truck", "in the name, the address, the tags or the last error"),
    ('"a>b: c"', "in quotes a text may have spaces and every sign"),
    ("st:timeout,error", "one of these states; their beginnings are enough"),
    ("ver:2.1", "the software version begins with 2.1"),
    ("tag:mine-3", "one of these tags"),
    ("lag>5m seen>=90s", "also data; since: how long the state has lasted; every: its interval"),
    ("fails>=3 rows=0", "cycles in a row that failed, rows of the last cycle; also < <= !="),
    ("-st:paused", "a minus before any of them: all others"),
    ("", "a vehicle must match every word; what never was is older than every age"),
)  # fmt: skip
"""The grammar as the help shows it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The text of a filter, and its tests; a vehicle matches if it passes all of them."""

    text: str
    tests: tuple[Test, ...]
    texts: tuple[str, ...] = ()
    """The words that are searched for as text."""
    tags: tuple[str, ...] = ()
    """The tags that it asks for, in lower case."""


NO_FILTER = Filter("", ())
LIST_NAMES = frozenset(_LISTS)
"""What may stand before a colon and values."""


def is_in_trouble(vehicle: VehicleOverview) -> bool:
    """Tell whether a vehicle is in a state of trouble, or something is wrong with its gap."""
    return vehicle.state in _PROBLEMS or has_troubled_gap(vehicle)


def has_troubled_gap(vehicle: VehicleOverview) -> bool:
    """Tell whether a gap makes no progress, or loses data."""
    gap = vehicle.gap
    return gap is not None and (gap.error is not None or gap.loses_from is not None)


def parse_filter(text: str) -> Filter:
    """Return the filter that `text` describes; raise CommandError if any part is not valid."""
    words = split(text, LIST_NAMES)
    _refuse_missing_operators(words)
    _refuse_ages_in_parts(words)
    texts = tuple(word.typed for word in words if not word.operator)
    tags = tuple(tag for word in words if _LISTS.get(word.name) == "tag" for tag in word.values)
    return Filter(text.strip(), tuple(_test(word) for word in words), texts, tags)


def _refuse_missing_operators(words: Sequence[Word]) -> None:
    """Refuse `lag 5m` and `st error`: as two texts they would find nothing."""
    for word, following in pairwise(words):
        (name, *_), (value, *_) = word.values, following.values
        if word.operator or following.operator or '"' in word.typed:
            continue
        if name in _LISTS and '"' not in following.typed:
            part = f"{shown(name)} {shown(value)}"
            raise CommandError(f'{part} lacks a colon: {name}:{shown(value)}; for a text "{part}"')
        if name not in _NAMES:
            continue
        if _AGE.fullmatch(value):
            text = f"{name} {value}"
            raise CommandError(f'{text} lacks an operator: {name}>{value}; for a text "{text}"')


def _refuse_ages_in_parts(words: Sequence[Word]) -> None:
    """Refuse `lag>5 min` and `lag > 1h 30m`: their ends, as texts, would find nothing."""
    for at, (word, following) in enumerate(pairwise(words)):
        (value, *_), (text, *_) = word.values, following.values
        if word.name not in _AGES or following.operator or '"' in following.typed:
            continue
        behind = words[at + 2].values[0] if at + 2 < len(words) else ""
        is_unit = not value.endswith(tuple("smhd")) and text in _UNIT_WORDS
        is_number = text.replace(".", "", 1).isdecimal() and behind in (*_UNIT_WORDS, *"smhd")
        if is_unit or is_number or _AGE_WITH_UNIT.fullmatch(text):
            part = f"{word.typed} {following.typed}"
            raise CommandError(
                f"{shown(part)}: an age has one number and s, m, h or d, as in {word.name}>90m"
            )


def _test(word: Word) -> Test:
    test = _meaning(word)
    return (lambda vehicle: not test(vehicle)) if word.negated else test


def _meaning(word: Word) -> Test:
    """Return the test of a word, without its minus."""
    if word.operator == ":":
        return _list_test(word)
    if word.operator:
        return _comparison_test(word)
    (text,) = word.values
    if not word.typed.endswith('"'):
        _refuse_no_text(word, text)
    return lambda vehicle: (
        text in vehicle.name.lower()
        or text in vehicle.address
        or text in vehicle.remark.lower()
        or any(text in tag.lower() for tag in vehicle.tags)
    )


def _refuse_no_text(word: Word, text: str) -> None:
    """Refuse a word without quotes that was hardly meant as a text."""
    if sign := re.search(r"[<>=]", text):
        raise CommandError(f'{shown(text)}: {sign[0]} compares; for a text write "{shown(text)}"')
    if text in _STATE_WORDS:
        meant = f"{'-' * word.negated}st:{text}"
        raise CommandError(f'{text}: for the state write {meant}, for the text "{text}"')
    if advice := _LOGIC.get(text):
        raise CommandError(f'{text}: {advice}; for a text write "{text}"')


def _list_test(word: Word) -> Test:
    kind = _LISTS.get(word.name)
    if kind is None:
        part = shown(word.typed.lstrip("-!"))
        raise CommandError(f'{part}: only st: ver: tag: are known; for a text write "{part}"')
    if "" in word.values:
        raise CommandError(f"{shown(word.typed)} lacks a value, as in {_EXAMPLES[kind]}")
    if kind == "st":
        return _state_test(word.values)
    values = word.values
    if kind == "ver":
        return lambda vehicle: (vehicle.software_version or "").lower().startswith(values)
    return lambda vehicle: any(tag.lower() in values for tag in vehicle.tags)


_EXAMPLES = {"st": "st:timeout,error", "ver": "ver:2.1", "tag": "tag:mine-3"}


def _state_test(prefixes: tuple[str, ...]) -> Test:
    states: set[State] = set()
    for prefix in prefixes:
        matches = {
            state
            for state, style in STATE_STYLES.items()
            if style.word.startswith(prefix) or state.startswith(prefix)
        }
        matches |= {state for word, state in _SHORT_STATES.items() if word == prefix}
        if not matches:
            known = " ".join(style.word for style in STATE_STYLES.values())
            raise CommandError(f"st:{shown(prefix)} is no state: {known}")
        states |= matches
    wanted = tuple(states)  # the hash of an enumeration is slow
    return lambda vehicle: vehicle.state in wanted


def _comparison_test(word: Word) -> Test:
    compare = _OPERATORS.get(word.operator)
    read = _AGES.get(word.name) or _COUNTS.get(word.name)
    part = shown(word.typed.lstrip("-!"))
    if read is None:
        _refuse_comparing_a_list(word, part)
        known = " ".join((*_AGES, *_COUNTS))
        raise CommandError(f'{part}: compare {known}; for a text write "{part}"')
    if compare is None:
        raise CommandError(f"{part}: compare by one of {' '.join(_OPERATORS)}")
    if word.name in _AGES and word.operator in ("=", "!="):
        raise CommandError(f"{part}: an age is never exactly so; write {word.name}>5m or <5m")
    limit = _limit(word, part)
    # A vehicle that never answered is older than any age; without a cycle it has no rows.
    missing = 0.0 if word.name == "rows" else float("inf")

    def test(vehicle: VehicleOverview) -> bool:
        value = read(vehicle)
        return compare(missing if value is None else value, limit)

    return test


def _refuse_comparing_a_list(word: Word, part: str) -> None:
    """Refuse `status=error`, and say what is meant by it."""
    kind, (value,) = _LISTS.get(word.name), word.values
    if kind is not None and value and word.operator in ("=", "==", "!="):
        minus = "-" * (word.negated != (word.operator == "!="))
        raise CommandError(f"{part}: write {minus}{kind}:{shown(value)}")


def _limit(word: Word, part: str) -> float:
    """Return the number or the age, in seconds, that a comparison has on its right."""
    (text,) = word.values
    is_age = word.name in _AGES
    what, example = ("an age", f"{word.name}>5m") if is_age else ("a number", f"{word.name}>3")
    if not text:
        raise CommandError(f"{part} lacks {what}, as in {example}")
    match = _AGE.fullmatch(text)
    if match is None or (match[2] and not is_age):
        raise CommandError(f"{part}: {shown(text)} is not {what}, as in {example}")
    return float(match[1]) * _UNITS[match[2]]
