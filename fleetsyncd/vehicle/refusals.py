"""What an HTTP status other than 200 means: the words of its body, and what mends it.

A proxy or a portal may answer instead of the vehicle. So a body must be of the vehicle's own kind,
an object with `error` or `detail`, and speak of the matter before a remedy is named.
"""

import html
import re
from codecs import BOM_UTF8
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
import requests

from fleetsyncd.errors import RefusalCause, VehicleRefused
from fleetsyncd.telemetry import Status
from fleetsyncd.text import REPLACEMENT, sanitise
from fleetsyncd.vehicle.adapter import ReadingTooLong
from fleetsyncd.vehicle.http_errors import REQUEST_ERRORS
from fleetsyncd.vehicle.notations import parse_http_date
from fleetsyncd.vehicle.redaction import KeyRedactor

MOST_WORDS = 180
ERROR_BODY_BYTES = 8_192
"""Of a body, before its beginning is told."""
LONGEST_REST_SEC = 300.0
"""No vehicle is left alone for longer, whatever its Retry-After says: it must not vanish."""
DIGITS, LONGEST_DATE = 9, 60
"""Of a Retry-After; more digits are longer than any rest, and a longer text is no date."""
UNREAD = "its reason cannot be read"
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]+)", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"&#[0-9]{8,};?")
"""Names no character; Python refuses to convert very long ones."""
_NAMES_KEY = re.compile(r"api[-_ ]?key", re.IGNORECASE)
_SPEAKS_OF_KEY = re.compile(r"(?<![a-z])key(?![a-z])|apikey|authenticat|credential", re.IGNORECASE)
_SPEAKS_OF_DATABASE = re.compile(
    r"database|(?<![a-z])db(?![a-z])|postgres|sqlite|mysql|influx", re.IGNORECASE
)
_SAYS_DATABASE = re.compile(r"database|\bdb\b", re.IGNORECASE)
_SAYS_KEY = re.compile(r"unauthori[sz]ed|api[-_ ]?key", re.IGNORECASE)
"""An `error` with these words adds nothing to what is told of the database, or of the key."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The body of an error; `cut` if more may follow than what was read."""

    start: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is known of a refusal before its body is read."""

    call: str
    status: int
    redactor: KeyRedactor
    key_sent: bool
    rest_sec: float | None = None

    def error(self, body: ErrorBody | None) -> VehicleRefused:
        """Return the error with this body; None stands for one that did not come."""
        told = _own_words(body.start) if body else None
        cause = RefusalCause.UNKNOWN if body is None else self._cause(body.start, told)
        words = UNREAD if body is None else self._words(body, cause)
        meaning = self._meaning(cause, words, told or {})
        reason = f"HTTP {self.status}: {meaning}" if meaning else f"HTTP {self.status}"
        if self.rest_sec is not None:
            reason += f"; not asked again for {self.rest_sec:.0f} s"
        return VehicleRefused(self.call, self.status, reason, cause, self.rest_sec)

    def _cause(self, body: bytes, told: dict[str, Any] | None) -> RefusalCause:
        if body.lstrip()[:1] == b"<":
            return RefusalCause.PAGE
        words = "" if told is None else f"{told.get('error')} {told.get('detail')}"
        match self.status:
            case HTTPStatus.UNAUTHORIZED if told is not None or self._says_nothing(body):
                return RefusalCause.KEY
            case HTTPStatus.FORBIDDEN if _SPEAKS_OF_KEY.search(words):
                return RefusalCause.KEY
            case HTTPStatus.UNPROCESSABLE_ENTITY if words and (
                not self.key_sent or _NAMES_KEY.search(words)
            ):
                return RefusalCause.KEY
            case HTTPStatus.SERVICE_UNAVAILABLE if _SPEAKS_OF_DATABASE.search(words):
                return RefusalCause.DATABASE
        return RefusalCause.UNKNOWN

    def _says_nothing(self, body: bytes) -> bool:
        """Tell whether the status stands alone, for what the API means by it."""
        phrase = HTTPStatus(self.status).phrase
        nothing = ("", "{}", phrase.lower(), f"{self.status} {phrase}".lower())
        return body.decode("utf-8", "replace").strip().lower() in nothing

    def _words(self, body: ErrorBody, cause: RefusalCause) -> str:
        """Return what a body says."""
        # The key goes first: what is cut or unescaped before might leave a part of it.
        text = self.redactor.hide(body.start.decode("utf-8", "replace"), cut=body.cut)
        if cause is RefusalCause.PAGE:
            return f"an HTML page: {self._redacted(_title(text))}"
        return sanitise(text.strip(), MOST_WORDS) or (UNREAD if body.cut else "")

    def _meaning(self, cause: RefusalCause, words: str, told: dict[str, Any]) -> str:
        match self.status, cause:
            case HTTPStatus.UNPROCESSABLE_ENTITY, RefusalCause.KEY:
                return f"the vehicle misses the API key: {words}"
            case _, RefusalCause.KEY:
                return f"the vehicle refuses the API key{self._added(told, _SAYS_KEY)}"
            case _, RefusalCause.DATABASE:
                return f"the vehicle's own database is down{self._added(told, _SAYS_DATABASE)}"
        return words

    def _added(self, told: dict[str, Any], implied: re.Pattern[str]) -> str:
        """Return what the vehicle's words add to a meaning: an `error` not `implied`, `detail`."""
        error, detail = told.get("error"), told.get("detail")
        says_more = isinstance(error, str) and not implied.search(error)
        parts = [part for part in (error if says_more else None, detail) if part]
        return "".join(f": {self._redacted(part)}" for part in parts if isinstance(part, str))

    def _redacted(self, text: str) -> str:
        return self.redactor.redact_text(text, MOST_WORDS)


def read_error_body(
    response: requests.Response, deadline: AbstractContextManager[None]
) -> ErrorBody | None:
    """Return what comes of an error's body within a deadline; None if nothing does."""
    start, whole = bytearray(), False
    try:
        with deadline:
            while not whole and len(start) < ERROR_BODY_BYTES:
                # Only read1() returns what has come of a body whose rest does not come.
                part = response.raw.read1(ERROR_BODY_BYTES, decode_content=True)
                start += part
                whole = not part
    except (*REQUEST_ERRORS, ReadingTooLong):
        if not start:
            return None
    return ErrorBody(bytes(start).removeprefix(BOM_UTF8), cut=not whole)


def _own_words(body: bytes) -> dict[str, Any] | None:
    """Return an error's body if it is of the kind that vehicles send."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and told.keys() & {"error", "detail"} else None


def _title(page: str) -> str:
    """Return a page's title, or its beginning, in plain text."""
    title = _TITLE.search(page)
    text = _LONG_NUMBER.sub(REPLACEMENT, title[1] if title else page)
    return " ".join(html.unescape(text).split())


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
