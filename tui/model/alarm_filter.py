"""The filter of the page of open alarms, such as `pressure sev:critical,alarm -veh:truck`.

Its words are those of the fleet's filter: quotes hold spaces and signs together, a minus excludes,
and what has an operator in it that says nothing here is refused, because an empty list of alarms
reads like good news.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from fleetsyncd.database.views.alarms import AlarmFilter
from fleetsyncd.errors import CommandError
from fleetsyncd.severities import KNOWN_NAMES, UNKNOWN, Severity
from tui.model.filter_words import Word, shown, split

SYNTAX = 'text  "two words"  sev:critical,alarm  veh:truck  -sev:info'
_LISTS = {"sev": "sev", "severity": "sev", "veh": "veh", "vehicle": "veh"}
"""What may stand before a colon, and its short form."""
_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TypedAlarmFilter:
    """The text of a filter, and what it shows."""

    text: str = ""
    chosen: AlarmFilter = field(default_factory=AlarmFilter)


NO_ALARM_FILTER = TypedAlarmFilter()


def parse_alarm_filter(text: str, spelt: Collection[str] = _NO_NAMES) -> TypedAlarmFilter:
    """Return the filter that `text` describes; raise CommandError if it is not valid.

    `spelt` are the names of severities, in lower case, that vehicles are known to use.
    """
    chosen = AlarmFilter()
    for word in split(text, frozenset(_LISTS)):
        if word.negated:
            excluded = _with(AlarmFilter(), word, spelt)
            chosen = replace(chosen, excluded=(*chosen.excluded, excluded))
        else:
            chosen = _with(chosen, word, spelt)
    return TypedAlarmFilter(text.strip(), chosen)


def _with(chosen: AlarmFilter, word: Word, spelt: Collection[str]) -> AlarmFilter:
    """Return the filter with a word added, whose minus does not count."""
    kind = _LISTS.get(word.name) if word.operator == ":" else None
    if kind == "veh":
        return replace(chosen, vehicles=(*chosen.vehicles, *_names(word)))
    if kind == "sev":
        ranks, names = _severities(word, spelt)
        ranks |= chosen.severities or frozenset()
        return replace(chosen, severities=ranks, names=chosen.names | names)
    (value, *_) = word.values
    if not word.typed.endswith('"') and (word.operator or re.search("[<>=]", value)):
        raise CommandError(_refusal(word))
    return replace(chosen, texts=(*chosen.texts, value))


def _refusal(word: Word) -> str:
    """Return why a word with an operator says nothing here, and what is right."""
    part = shown(word.typed.lstrip("-!"))
    if kind := _LISTS.get(word.name):
        minus = "-" if word.operator == "!=" else ""
        worse = "; ! shows what is worse than others" if kind == "sev" else ""
        return f"{part}: write {minus}{kind}:{shown(','.join(word.values)) or '…'}{worse}"
    if word.operator == ":":
        return f'{part}: is not a filter, only sev: veh: are; for a text write "{part}"'
    return f'{part}: open alarms are not compared; for a text write "{part}"'


def _names(word: Word) -> tuple[str, ...]:
    if not all(word.values):
        raise CommandError("veh: needs a part of a vehicle's name, as in veh:truck")
    return word.values


def _severities(word: Word, spelt: Collection[str]) -> tuple[frozenset[Severity], frozenset[str]]:
    """Return the known severities, and the other names, that begin with the word's values."""
    ranks: set[Severity] = set()
    names: set[str] = set()
    others = set(spelt) - set(KNOWN_NAMES)
    for prefix in word.values:
        known = {rank for name, rank in KNOWN_NAMES.items() if prefix and name.startswith(prefix)}
        other = {name for name in others if prefix and name.startswith(prefix)}
        if not known and not other:
            raise CommandError(f"no severity begins with {shown(prefix) or '…'}: {_known(others)}")
        ranks |= known
        names |= other
    return frozenset(ranks), frozenset(names)


def _known(others: Collection[str]) -> str:
    """Return all names; those without an order of their own with what they count as."""
    known = ", ".join(KNOWN_NAMES)
    if not others:
        return known
    return f"{known}; as {UNKNOWN.name.lower()}: {', '.join(map(shown, sorted(others)))}"


def at_least(chosen: AlarmFilter, lowest: Severity) -> AlarmFilter:
    """Return the filter for this severity and worse ones only."""
    severities = frozenset(Severity) if chosen.severities is None else chosen.severities
    kept = frozenset(severity for severity in severities if severity >= lowest)
    names = chosen.names if lowest <= UNKNOWN else _NO_NAMES
    return replace(chosen, severities=kept, names=names)
