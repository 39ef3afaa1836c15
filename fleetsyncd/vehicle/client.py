"""One vehicle's Outbound API over one kept session.

Every call is one request under one deadline, headers and body included, with a cap on the
decompressed body; it never follows a redirect, never asks a proxy and never reads a netrc. The API
key is in no message raised here.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from fleetsyncd import __version__
from fleetsyncd.errors import (
    AnswerTooLarge,
    BadAnswer,
    VehicleError,
    VehicleRefused,
    VehicleTimeout,
)
from fleetsyncd.models import Window
from fleetsyncd.settings import is_api_key
from fleetsyncd.times import iso_ms
from fleetsyncd.vehicle.adapter import VehicleAdapter
from fleetsyncd.vehicle.http_errors import (
    CONNECTION_BROKEN,
    REQUEST_ERRORS,
    TIMEOUTS,
    find_cause,
    to_vehicle_error,
)
from fleetsyncd.vehicle.redaction import KeyRedactor

Deadline = Callable[[float, Callable[[], Exception]], AbstractContextManager[None]]
OnCall = Callable[[str, float, int], None]
"""Is told of every call: its path, its seconds, and the bytes of bodies that came over the wire."""

PAGE_LIMIT = 50_000
"""Rows asked for in one answer: the most that a vehicle gives."""
CHUNK_BYTES = 1 << 14
ERROR_BODY_BYTES = 2_048
LENGTH_DIGITS = 15
"""Digits of a Content-Length that are worth converting."""
_REFUSALS = {
    401: "HTTP 401: the vehicle refuses the API key",
    403: "HTTP 403: the vehicle refuses the API key",
    422: "HTTP 422: the vehicle misses the API key",
    503: "HTTP 503: the vehicle's own database is down",
}


def ignore_call(_call: str, _seconds: float, _received: int) -> None:
    """Stand in for somebody who wants to know of calls."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A call's body after decompression, and the vehicle's clock if its `Date` header told it."""

    body: bytes
    clock: datetime | None


class VehicleClient:
    """The four calls of one vehicle; to be used by one greenlet at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        api_key: str | None,
        *,
        timeout: float,
        max_body: int,
        deadline: Deadline,
        on_call: OnCall = ignore_call,
    ) -> None:
        self._base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._timeout = timeout
        self._max_body = max_body
        self._deadline = deadline
        self._on_call = on_call
        self._received = 0
        self._adapter = VehicleAdapter(host, port, self._base)
        self._secret = KeyRedactor(api_key)
        headers = {"Accept-Encoding": "gzip", "User-Agent": f"fleetsyncd/{__version__}"}
        self._usable = api_key is None or is_api_key(api_key)
        if api_key is not None and self._usable:
            headers["X-API-Key"] = api_key
        self._request = requests.Request("GET", self._base + "/", headers=headers).prepare()

    def close(self) -> None:
        """Close the kept connection."""
        self._adapter.close()

    def status(self) -> Answer:
        """Ask `/status`."""
        return self._get("/status")

    def channels(self) -> Answer:
        """Ask `/channels`."""
        return self._get("/channels")

    def data(
        self, window: Window, channel_id: int | None = None, limit: int = PAGE_LIMIT
    ) -> Answer:
        """Ask `/data` over `window`, of one channel or of all, for its first `limit` rows."""
        only = "" if channel_id is None else f"&channel_id={channel_id}"
        return self._get("/data", f"?{_interval(window)}{only}&limit={limit}")

    def alarms(self, window: Window) -> Answer:
        """Ask `/alarms` over `window`."""
        return self._get("/alarms", f"?{_interval(window)}")

    def _get(self, call: str, query: str = "") -> Answer:
        """Ask once and tell how long it took; raise a VehicleError."""
        began, self._received = time.monotonic(), 0
        try:
            return self._call(call, query)
        finally:
            self._on_call(call, time.monotonic() - began, self._received)

    def _call(self, call: str, query: str) -> Answer:
        """Ask once; raise a VehicleError that names the call and the reason."""
        if not self._usable:
            raise VehicleError(call, "the API key is not printable ASCII: set the vehicle's key")
        overdue = VehicleTimeout(call, f"no complete answer within {self._timeout:g} s")
        try:
            with self._deadline(self._timeout, lambda: overdue):
                try:
                    return self._send(call, query)
                except requests.ConnectionError as fault:
                    # A vehicle may close a kept connection just as it is used again.
                    if not find_cause(fault, CONNECTION_BROKEN):
                        raise
                    return self._send(call, query)
        except VehicleError:
            raise
        except requests.ConnectTimeout:
            raise VehicleTimeout(call, "connecting timed out") from None
        except REQUEST_ERRORS as fault:
            if find_cause(fault, TIMEOUTS):
                raise overdue from None
            raise to_vehicle_error(call, fault) from None

    def _send(self, call: str, query: str) -> Answer:
        self._request.url = self._base + call + query
        response = self._adapter.send(self._request, stream=True, timeout=self._timeout)
        complete = False
        try:
            self._check_headers(call, response)
            body = self._read(call, response)
            complete = True
        finally:
            self._received += response.raw.tell()
            if not complete:
                # Reading on for the sake of the connection would be at the vehicle's mercy.
                response.raw.close()
            response.close()
        return Answer(self._secret.redact_body(body), _clock(response.headers.get("Date")))

    def _check_headers(self, call: str, response: requests.Response) -> None:
        """Raise unless this is a 200 with a body that may be read."""
        code = response.status_code
        if code != requests.codes.ok:
            raise VehicleRefused(
                call, code, self._secret.redact_text(_refusal_reason(code, response), 200)
            )
        encoding = response.headers.get("Content-Encoding", "identity").strip()
        if encoding.lower() not in ("gzip", "identity"):
            said = self._secret.redact_text(encoding, 60)
            raise BadAnswer(call, f"Content-Encoding {said} unasked for")
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and (len(length) > LENGTH_DIGITS or int(length) > self._max_body):
            raise AnswerTooLarge(call, f"longer than {self._max_body >> 20} MB")

    def _read(self, call: str, response: requests.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(CHUNK_BYTES):
            size += len(chunk)
            if size > self._max_body:
                raise AnswerTooLarge(call, f"longer than {self._max_body >> 20} MB")
            chunks.append(chunk)
        return b"".join(chunks)


def _interval(window: Window) -> str:
    return f"from={iso_ms(window.start)}&to={iso_ms(window.end)}"


def _refusal_reason(code: int, response: requests.Response) -> str:
    if code in _REFUSALS:
        return _REFUSALS[code]
    if response.is_redirect or response.is_permanent_redirect:
        return f"HTTP {code}: a redirect, which is not followed"
    if code == requests.codes.bad_request:
        return f"HTTP 400: {_error_body(response)}"
    return f"HTTP {code}"


def _error_body(response: requests.Response) -> str:
    """Return the start of an error's body as it came."""
    try:
        start: bytes = next(iter(response.iter_content(ERROR_BODY_BYTES)), b"")
    except REQUEST_ERRORS:
        return "its reason cannot be read"
    return start.decode("utf-8", "replace")


def _clock(date: str | None) -> datetime | None:
    try:
        clock = parsedate_to_datetime(date) if date else None
        # "-0000" makes it naive, and still means UTC.
        return clock and clock.replace(tzinfo=clock.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
