"""Which values settings may have: the limits, and the checks that environs makes with them.

Each check raises marshmallow's ValidationError with a text that says what is allowed.
"""

from typing import Any
from urllib.parse import urlsplit

import marshmallow

from fleetsyncd.database_url import parse_url

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")
NOTIFIED_SEVERITIES = ("info", "warning", "alarm", "critical", "none")
LOGGED_VEHICLES = ("all", "changes")
MIN_CONCURRENCY, MAX_CONCURRENCY = 2, 10_000
"""Vehicles that one process pulls at the same time."""
DAEMON_NAME_LIMIT = 80
"""Characters: the template unit puts an instance behind the host's name, which may have 64."""
MAX_DURATION_SEC = 400 * 86_400
"""A longer duration is a typing error, and overflows sooner or later."""
MAX_DAYS, MAX_MONTHS = 36_500, 1_200
LEAST_ALARM_DAYS = 8
"""An open alarm is asked for again for seven days."""
BUDGET_MOST = {
    "vehicle_max_channels": 5_000,
    "vehicle_max_alarms": 10_000_000,
    "vehicle_max_channel_changes_per_day": 10_000_000,
    "vehicle_max_alarms_per_day": 1_000_000,
    "vehicle_max_rows_per_day": 10_000_000_000,
}
API_KEY_LIMIT = 4096
"""Characters of a key: most HTTP servers take a header of 8 kB at the most."""
API_KEY_RULE = f"printable ASCII without blanks at its ends, at most {API_KEY_LIMIT} characters"


def is_api_key(value: str) -> bool:
    """Tell whether `value` can be sent in a header as it is: printable ASCII, no blank ends."""
    return value.isascii() and value.isprintable() and value == value.strip() and value != ""


def is_new_api_key(value: str) -> bool:
    """Tell whether a key may be set: it can be sent, and servers take a header of its length."""
    return is_api_key(value) and len(value) <= API_KEY_LIMIT


def positive(name: str, *, zero: bool = False, most: int = MAX_DURATION_SEC) -> Any:
    """Return a check that refuses what is negative, zero unless `zero`, or more than `most`."""

    def check(value: float) -> None:
        if not 0 <= value <= most or (value == 0 and not zero):
            least = "at least" if zero else "more than"
            raise marshmallow.ValidationError(f"{name} must be {least} 0 and at most {most}.")

    return check


def concurrency(value: int) -> None:
    """Refuse fewer than two: half of the slots are for vehicles that fail."""
    if not MIN_CONCURRENCY <= value <= MAX_CONCURRENCY:
        limits = f"at least {MIN_CONCURRENCY} and at most {MAX_CONCURRENCY}"
        raise marshmallow.ValidationError(f"It must be {limits}.")


def alarm_days(value: int) -> None:
    """Refuse to delete alarms that a daemon may still ask for because they are open."""
    if value != 0 and not LEAST_ALARM_DAYS <= value <= MAX_DAYS:
        limits = f"at least {LEAST_ALARM_DAYS} and at most {MAX_DAYS}"
        raise marshmallow.ValidationError(f"It must be 0 or {limits}.")


def one_of(choices: tuple[str, ...]) -> Any:
    """Return a check that refuses all but the choices."""

    def check(value: str) -> None:
        if value not in choices:
            raise marshmallow.ValidationError(f"Must be one of {', '.join(choices)}.")

    return check


def api_key(value: str | None) -> None:
    """Refuse a key that no header carries."""
    if value and not is_new_api_key(value):
        raise marshmallow.ValidationError(f"Must be {API_KEY_RULE}.")


def daemon_name(value: str | None) -> None:
    """Refuse what would break a line of the log or a column."""
    if value and (len(value) > DAEMON_NAME_LIMIT or not value.isprintable() or " " in value):
        text = f"Must be printable, without blanks, at most {DAEMON_NAME_LIMIT} characters."
        raise marshmallow.ValidationError(text)


def heartbeat_url(value: str | None) -> None:
    """Refuse what cannot be asked, without repeating it: it is a secret."""
    if not value:
        return
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        text = "Must be a URL that begins with http:// or https:// and names a host."
        raise marshmallow.ValidationError(text)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise marshmallow.ValidationError("Must be a URL of printable ASCII without blanks.")


def database_url(value: str | None) -> None:
    """Refuse a URL that libpq would not understand."""
    try:
        parse_url(value or "")
    except ValueError as error:
        raise marshmallow.ValidationError(str(error)) from None
