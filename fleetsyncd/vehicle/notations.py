"""Integers and times in the notations that vehicles use beside those of the API.

What is read here has one meaning only. It is exact: no integer goes through a float.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

_AwareTime = Annotated[datetime, Meta(tz=True)]

MOST_BYTES = 1 << 16
"""Of JSON in which ids are looked for; honest rows and alarms are far shorter."""
MOST_SIGNS = 40
"""Of a number; a longer one is no id."""
INT64_DIGITS = 19
DATE_LENGTH = len("Sun, 06 Nov 1994 08:49:37 GMT")
"""Of the date in a head, as HTTP wants it written."""
_ID = re.compile(rb'(_id"\s*+:\s*+)(-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)')
"""A field whose name ends in `_id`, and its number: all integers that are read are such fields."""
_OTHER_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2})"
    r"(?:(:[0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:[Zz]|([+-][0-9]{2}):?([0-9]{2})?)"
)


def write_integers(body: bytes) -> bytes:
    """Write ids that are integral floats, such as `1.0` and `1.2E7`, as the integers they are."""
    return body if len(body) > MOST_BYTES else _ID.sub(_as_integer, body)


def _as_integer(match: re.Match[bytes]) -> bytes:
    field, written = match.groups()
    if written.isdigit() or len(written) > MOST_SIGNS:
        return match[0]
    try:
        number = Decimal(written.decode())
    except InvalidOperation:  # an exponent that not even a Decimal can hold
        return match[0]
    if number.adjusted() >= INT64_DIGITS or number != number.to_integral_value():
        return match[0]
    return field + b"%d" % int(number)


def parse_time(text: str) -> datetime:
    """Return the moment that `text` names; raise ValidationError if it is no time with a zone.

    Beside RFC 3339, seconds may be missing, a comma may begin their fraction, and an offset may
    have hours only, as ISO 8601 allows.
    """
    try:
        return msgspec.convert(text, _AwareTime)
    except msgspec.ValidationError:
        other = _OTHER_TIME.fullmatch(text)
        if other is None:
            raise
    minute, second, fraction, hours, minutes = other.groups()
    offset = f"{hours}:{minutes or '00'}" if hours else "Z"
    return msgspec.convert(f"{minute}{second or ':00'}.{fraction or 0}{offset}", _AwareTime)


def parse_http_date(text: str | None) -> datetime | None:
    """Return the moment that an HTTP header names; None if it names none."""
    if not text:
        return None
    return _known_date(text) if len(text) <= DATE_LENGTH else _parse_date(text)


def _parse_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        # "-0000" makes it naive, and still means UTC.
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# Within a second all answers of a fleet bear the same date.
_known_date = lru_cache(maxsize=64)(_parse_date)
