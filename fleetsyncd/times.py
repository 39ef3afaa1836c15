"""Times as the vehicle API, operators and messages write them, and the months they lie in.

Messages, the log and the journal have one zone, UTC, and every time in their texts names it.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from fleetsyncd.errors import CommandError
from fleetsyncd.text import sanitise

ZonedTime = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone, for what is printed as JSON."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"([0-9]{1,9})([smhd])")


def iso_ms(moment: datetime) -> str:
    """Return `moment` as the vehicle API writes it: UTC, milliseconds, `Z`; finer parts are cut."""
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    )


def utc_day(moment: datetime) -> str:
    """Return the UTC day of `moment` for a message: `2026-02-23 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d} UTC"


def utc_text(moment: datetime) -> str:
    """Return `moment` for a message, cut to seconds: `2026-02-23 10:00:00 UTC`."""
    return f"{_seconds(moment)} UTC"


def utc_minute(moment: datetime, now: datetime) -> str:
    """Return `moment` for a line of a message: `10:00 UTC`, with its date if it is not of today."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    form = "%H:%M" if moment.date() == now.date() else "%Y-%m-%d %H:%M"
    return f"{moment.strftime(form)} UTC"


def utc_span(start: datetime, end: datetime) -> str:
    """Return an interval for a message: `2026-02-23 10:00:00 to 2026-02-24 10:00:00 UTC`."""
    return f"{_seconds(start)} to {utc_text(end)}"


def utc_days(start: datetime, end: datetime) -> str:
    """Return an interval of whole UTC days for a message: `2026-02-23 to 2026-03-01 UTC`."""
    return f"{start.astimezone(UTC):%Y-%m-%d} to {utc_day(end)}"


def _seconds(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def floor_ms(moment: datetime) -> datetime:
    """Cut `moment` to whole milliseconds, the resolution of the vehicle API."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def month_of(moment: datetime) -> datetime:
    """Return the first moment of the UTC month that `moment` lies in."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def months_before(moment: datetime, count: int) -> datetime:
    """Return the first moment of the UTC month that is `count` months before that of `moment`."""
    month = month_of(moment)
    for _ in range(count):
        month = month_of(month - timedelta(days=1))
    return month


def next_month(month: datetime) -> datetime:
    """Return the month after `month` (a first moment of a month)."""
    return month_of(month + timedelta(days=32))


def parse_time(text: str, now: datetime) -> datetime:
    """Return the time that `text` names, in UTC; raise CommandError saying what is expected.

    It is `now`, an age such as 24h, or a time, by the operator's clock unless it has a zone.
    """
    text = text.strip()
    if text == "now":
        return now
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if text.endswith(" UTC"):  # as times are shown
            return datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise CommandError(f"{sanitise(text, 40)} is too long ago") from None
    except ValueError:
        forms = "24h, 7d, now, 2026-11-23 14:30 (your clock) or 2026-11-23T14:30Z"
        raise CommandError(f"{sanitise(text, 40)} is not a time; write {forms}") from None


def parse_length(text: str) -> timedelta:
    """Return a length of time such as 90m or 1h; raise CommandError saying what is expected."""
    length = _AGO.fullmatch(text.strip())
    if length is None or int(length[1]) == 0:
        raise CommandError(f"{sanitise(text, 40)} is not a length of time; write 90m, 1h or 2d")
    return timedelta(**{_UNITS[length[2]]: int(length[1])})
