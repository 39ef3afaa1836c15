"""What an HTTP status other than 200 means: the words of its body, and what mends it.

A proxy or a portal may answer instead of the vehicle. So a body must be of the vehicle's own kind,
an object with `error` or `detail`, before a remedy is named.
"""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from fleetsyncd.errors import RefusalCause, VehicleRefused
from fleetsyncd.models import Status
from fleetsyncd.vehicle.notations import parse_http_date

Redact = Callable[[str, int], str]
"""Removes the API key from a text, and cuts it."""

MOST_WORDS = 180
LONGEST_REST_SEC = 300.0
"""No vehicle is left alone for longer, whatever its Retry-After says: it must not vanish."""
DIGITS, LONGEST_DATE = 9, 60
"""Of a Retry-After; more digits are longer than any rest, and a longer text is no date."""
UNREAD = "its reason cannot be read"
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,500})", re.IGNORECASE)
_NAMES_KEY = re.compile(rb"api[-_ ]?key", re.IGNORECASE)
_NAMES_DATABASE = re.compile(r"database|\bdb\b", re.IGNORECASE)


def refusal(
    call: str,
    status: int,
    body: bytes | None,
    redact: Redact,
    *,
    key_sent: bool,
    rest_sec: float | None = None,
) -> VehicleRefused:
    """Return the error for a status with this body; None stands for one that did not come."""
    cause = _cause(status, body or b"", key_sent=key_sent)
    if body is None:
        words = UNREAD
    elif cause is RefusalCause.PAGE:
        words = f"an HTML page: {redact(_title(body), MOST_WORDS)}"
    else:
        words = redact(_text(body), MOST_WORDS)
    reason = _reason(status, cause, words, body or b"", redact)
    if rest_sec is not None:
        reason += f"; asked again after {rest_sec:.0f} s"
    return VehicleRefused(call, status, reason, cause, rest_sec)


def _cause(status: int, body: bytes, *, key_sent: bool) -> RefusalCause:
    if body.lstrip()[:1] == b"<":
        return RefusalCause.PAGE
    is_own = _own_words(body) is not None
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return RefusalCause.KEY
        case HTTPStatus.FORBIDDEN if is_own:
            return RefusalCause.KEY
        case HTTPStatus.UNPROCESSABLE_ENTITY if is_own and (
            not key_sent or _NAMES_KEY.search(body)
        ):
            return RefusalCause.KEY
        case HTTPStatus.SERVICE_UNAVAILABLE if is_own:
            return RefusalCause.DATABASE
    return RefusalCause.UNKNOWN


def _reason(status: int, cause: RefusalCause, words: str, body: bytes, redact: Redact) -> str:
    match status, cause:
        case HTTPStatus.UNPROCESSABLE_ENTITY, RefusalCause.KEY:
            meaning = f"the vehicle misses the API key: {words}"
        case _, RefusalCause.KEY:
            meaning = f"the vehicle refuses the API key{_added(body, redact, None)}"
        case _, RefusalCause.DATABASE:
            added = _added(body, redact, _NAMES_DATABASE)
            meaning = f"the vehicle's own database is down{added}"
        case _:
            meaning = words
    return f"HTTP {status}: {meaning}" if meaning else f"HTTP {status}"


def _own_words(body: bytes) -> dict[str, Any] | None:
    """Return an error's body if it is of the kind that vehicles send."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and told.keys() & {"error", "detail"} else None


def _added(body: bytes, redact: Redact, implied: re.Pattern[str] | None) -> str:
    """Return what the vehicle's words add to a meaning: `detail`, and an `error` not `implied`."""
    told = _own_words(body) or {}
    error, detail = told.get("error"), told.get("detail")
    says_more = implied is not None and isinstance(error, str) and not implied.search(error)
    parts = [part for part in (error if says_more else None, detail) if part]
    return "".join(f": {redact(part, MOST_WORDS)}" for part in parts if isinstance(part, str))


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace").strip()


def _title(body: bytes) -> str:
    """Return a page's title, or its beginning; unescaped, so that a key in it is recognised."""
    text = html.unescape(_text(body))
    title = _TITLE.search(text)
    return " ".join((title[1] if title else text).split())


def judge_by_status(error: VehicleRefused, status: Status | None) -> VehicleRefused:
    """Return a 503 whose cause is not known as what `/status` has said of the database."""
    unknown = error.cause not in (RefusalCause.DATABASE, RefusalCause.KEY)
    if error.status != HTTPStatus.SERVICE_UNAVAILABLE or not unknown:
        return error
    if status is None or status.db_ok:
        return error
    reason = f"{error.reason}; /status says that the vehicle's own database is down"
    return VehicleRefused(
        error.call, error.status, reason, RefusalCause.DATABASE, error.retry_after_sec
    )


def rest_sec(status: int, told: str | None, clock: datetime | None) -> float | None:
    """Return for how long a vehicle asks to be left alone by `Retry-After`, within bounds.

    A date is compared with the vehicle's own clock, if it has told it.
    """
    heeded = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    if status not in heeded or not (told := (told or "").strip()):
        return None
    if told.isascii() and told.isdecimal():
        seconds = float(told[:DIGITS]) if len(told) <= DIGITS else LONGEST_REST_SEC
    elif len(told) <= LONGEST_DATE and (until := parse_http_date(told)):
        seconds = (until - (clock or datetime.now(UTC))).total_seconds()
    else:
        return None
    return min(seconds, LONGEST_REST_SEC) if seconds > 0 else None
