"""The filter of the page of open alarms, such as `pressure sev:critical,alarm veh:truck`."""

import re
from dataclasses import replace

from fleetsyncd.database.views.alarms import AlarmFilter
from fleetsyncd.errors import CommandError
from fleetsyncd.severities import KNOWN_NAMES, Severity
from fleetsyncd.text import sanitise

SYNTAX = "text  sev:critical,alarm  veh:truck"
_KEY = re.compile(r"([a-z]+):(.*)")


def parse_alarm_filter(text: str) -> AlarmFilter:
    """Return the filter that `text` describes; raise CommandError if it is not valid."""
    texts: list[str] = []
    vehicles: list[str] = []
    severities: set[Severity] = set()
    for part in sanitise(text).split():
        key = _KEY.fullmatch(part.lower())
        if key is None:
            texts.append(part)
        elif key[1] == "sev":
            severities |= _severities(key[2])
        elif key[1] == "veh":
            vehicles += _names(key[2])
        else:
            raise CommandError(f"{sanitise(key[1], 20)}: is not a filter; filters: {SYNTAX}")
    return AlarmFilter(tuple(texts), tuple(vehicles), frozenset(severities) or None)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not all(names):
        raise CommandError("veh: needs a part of a vehicle's name, as in veh:truck")
    return names


def _severities(prefixes: str) -> set[Severity]:
    chosen: set[Severity] = set()
    for prefix in prefixes.split(","):
        matches = {rank for name, rank in KNOWN_NAMES.items() if prefix and name.startswith(prefix)}
        if not matches:
            known = ", ".join(KNOWN_NAMES)
            raise CommandError(f"no severity begins with {sanitise(prefix, 20) or '…'}: {known}")
        chosen |= matches
    return chosen


def at_least(chosen: AlarmFilter, lowest: Severity) -> AlarmFilter:
    """Return the filter for this severity and worse ones only."""
    severities = frozenset(Severity) if chosen.severities is None else chosen.severities
    kept = frozenset(severity for severity in severities if severity >= lowest)
    return replace(chosen, severities=kept)
