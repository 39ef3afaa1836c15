"""Limits on times: which measurements and alarms are accepted, and deadlines for work."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta

from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.text import sanitise
from fleetsyncd.times import month_of, months_before, parse_length, parse_time, utc_day

Deadline = Callable[[float, Callable[[], Exception]], AbstractContextManager[None]]
"""`with deadline(seconds, error):` raises `error()` if its body takes longer."""

OLDEST_ALARM = datetime(2000, 1, 1, tzinfo=UTC)
"""Alarms that were triggered earlier are refused."""
CLOCK_TOLERANCE = timedelta(seconds=2)
"""A smaller step of a clock is ignored: `Date` headers have whole seconds."""
LATEST_CLOCK = datetime(2200, 1, 1, tzinfo=UTC)
"""A vehicle's clock that is later is wrong, and arithmetic with it might overflow."""
MAX_AGE = timedelta(days=400)
"""Older measurements are refused; a vehicle keeps about 90 days."""
LONGEST_PAUSE = timedelta(days=366)
"""A pause or mute that is to last longer has no end."""
MAX_AHEAD = timedelta(minutes=10)
"""How far ahead of the daemon's clock a measurement or an alarm may be stamped."""


def accepted_interval(now: datetime, measurements_keep_months: int | None = None) -> Window:
    """Return the interval in which a measurement's time must lie to be stored.

    If retention keeps only so many months beside the present one, it begins with the oldest of
    them: a month that was dropped must not come back.
    """
    oldest = month_of(now - MAX_AGE)
    if measurements_keep_months is not None:
        oldest = max(oldest, months_before(now, measurements_keep_months))
    return Window(oldest, now + MAX_AHEAD)


def backfill_window(
    start: str, end: str, now: datetime, measurements_keep_months: int | None = None
) -> Window:
    """Return the interval that an operator names by two times of `parse_time`.

    Raises CommandError unless all of it can be stored: less would be pulled than what was asked.
    """
    window = Window(parse_time(start, now), min(now, parse_time(end, now)))
    oldest = accepted_interval(now, measurements_keep_months).start
    if window.start < oldest:
        raise CommandError(
            f"{sanitise(start.strip(), 40)} is before {utc_day(oldest)}, and nothing older is kept:"
            f" write {(now - oldest).days}d at most"
        )
    if window.start >= window.end:
        raise CommandError("the interval must begin before it ends, and before now")
    return window


def end_after(length: str, now: datetime) -> datetime:
    """Return the end of a pause or mute of this length; raise CommandError for what is none."""
    try:
        return _checked_end(now + parse_length(length), length, now)
    except OverflowError:
        raise CommandError(_too_long(length)) from None


def end_at(until: str, now: datetime) -> datetime:
    """Return the end of a pause or mute, as `parse_time` reads it; raise CommandError.

    It must be in the future: what `parse_time` takes for an age never is.
    """
    return _checked_end(parse_time(until, now), until, now)


def _checked_end(end: datetime, text: str, now: datetime) -> datetime:
    if end <= now:
        told = f"{sanitise(text.strip(), 40)} is not in the future"
        raise CommandError(f"{told}: write a time such as 2026-11-28 06:00, or a length: --for 8h")
    if end > now + LONGEST_PAUSE:
        raise CommandError(_too_long(text))
    return end


def _too_long(text: str) -> str:
    most = f"{LONGEST_PAUSE.days}d at most"
    return f"{sanitise(text.strip(), 40)} is too long: {most}, or without an end"


def check_time(time: datetime, oldest: datetime, newest: datetime) -> None:
    """Raise ValueError with the reason if `time` is not in [oldest, newest)."""
    if time < oldest:
        raise ValueError(f"time is before {utc_day(oldest)}, the oldest that is kept")
    if time >= newest:
        raise ValueError("time is more than 10 minutes ahead of the central clock")


def no_deadline(_seconds: float, _error: Callable[[], Exception]) -> AbstractContextManager[None]:
    """Run the body without a deadline: a blocked thread cannot be interrupted."""
    return nullcontext()
