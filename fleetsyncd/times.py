"""Moments as operators write them."""

import re
from datetime import UTC, datetime, timedelta

from fleetsyncd.errors import CommandError
from fleetsyncd.text import clean

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(\d{1,6})([smhd])")


def parse_moment(text: str, now: datetime) -> datetime:
    """Return `now`, an age like 24h, or a time of the operator's own clock, in UTC.

    Raises CommandError saying what is expected.
    """
    text = text.strip()
    if text == "now":
        return now
    try:
        if found := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        forms = "24h, 7d, now, 2026-11-23 14:30 (your clock) or 2026-11-23T14:30Z"
        raise CommandError(f"{clean(text, 40)} is no time: a time is {forms}") from None
