"""One vehicle's Outbound API over one kept session.

Every call is one request under one deadline, headers and body included, with a cap on the
decompressed body; it never follows a redirect, never asks a proxy and never reads a netrc. The API
key is in no message raised here.
"""

import errno
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
import urllib3

from fleetsyncd import __version__
from fleetsyncd.errors import (
    OUT_OF_FILES,
    AnswerTooLarge,
    BadAnswer,
    VehicleError,
    VehicleRefused,
    VehicleTimeout,
    VehicleUnreachable,
)
from fleetsyncd.models import Window, iso_ms
from fleetsyncd.settings import is_api_key
from fleetsyncd.text import clean
from fleetsyncd.vehicle.wire import session

Deadline = Callable[[float, Callable[[], Exception]], AbstractContextManager[None]]
OnCall = Callable[[str, float, int], None]
"""Is told of every call: its path, its seconds, and the bytes of bodies that came over the wire."""

PAGE_LIMIT = 50_000
"""Rows asked for in one answer: the most that a vehicle gives."""
CHUNK = 1 << 14
ERROR_BODY = 2_048
LONGEST = 15
"""Digits of a Content-Length that are worth converting."""
HIDDEN = "••••"
SECRET_LENGTH = 8
"""A shorter key is not looked for in answers: it would turn up in honest data."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FOR_HTML = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&'+="})
"""What JSON writers escape that mind being put into a page."""
_BROKEN = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
_OVERDUE = (requests.Timeout, TimeoutError, urllib3.exceptions.ReadTimeoutError)
_FAULTS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
_CUT = (requests.exceptions.ChunkedEncodingError, http.client.IncompleteRead)
_REFUSALS = {
    401: "HTTP 401: the vehicle refuses the API key",
    403: "HTTP 403: the vehicle refuses the API key",
    422: "HTTP 422: the vehicle misses the API key",
    503: "HTTP 503: the vehicle's own database is down",
}


def unheard(_call: str, _seconds: float, _received: int) -> None:
    """Stand in for somebody who wants to know of calls."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A call's body after decompression, and the vehicle's clock if its `Date` header told it."""

    body: bytes
    clock: datetime | None


class VehicleClient:
    """The four calls of one vehicle; not to be shared between greenlets."""

    def __init__(
        self,
        host: str,
        port: int,
        api_key: str | None,
        *,
        timeout: float,
        max_body: int,
        deadline: Deadline,
        on_call: OnCall = unheard,
    ) -> None:
        self._base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._timeout = timeout
        self._max_body = max_body
        self._deadline = deadline
        self._on_call = on_call
        self._received = 0
        self._session = session(host, port, self._base)
        self._key_forms = _key_forms(api_key)
        headers = {"Accept-Encoding": "gzip", "User-Agent": f"fleetsyncd/{__version__}"}
        self._usable = api_key is None or is_api_key(api_key)
        if api_key is not None and self._usable:
            headers["X-API-Key"] = api_key
        self._request = requests.Request("GET", self._base + "/", headers=headers).prepare()

    def close(self) -> None:
        """Close the kept connection."""
        self._session.close()

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
            return self._ask(call, query)
        finally:
            self._on_call(call, time.monotonic() - began, self._received)

    def _ask(self, call: str, query: str) -> Answer:
        """Ask once; raise a VehicleError that names the call and the reason."""
        if not self._usable:
            raise VehicleError(call, "the API key is not printable ASCII: set the vehicle's key")
        overdue = VehicleTimeout(call, f"no complete answer within {self._timeout:g} s")
        try:
            with self._deadline(self._timeout, lambda: overdue):
                try:
                    return self._attempt(call, query)
                except requests.ConnectionError as fault:
                    # A vehicle may close a kept connection just as it is used again.
                    if not _caused_by(fault, _BROKEN):
                        raise
                    return self._attempt(call, query)
        except VehicleError:
            raise
        except requests.ConnectTimeout:
            raise VehicleTimeout(call, "connecting timed out") from None
        except _FAULTS as fault:
            if _caused_by(fault, _OVERDUE):
                raise overdue from None
            raise _translate(call, fault) from None

    def _attempt(self, call: str, query: str) -> Answer:
        request = self._request.copy()
        request.url = self._base + call + query
        response = self._session.send(
            request, stream=True, timeout=self._timeout, allow_redirects=False
        )
        complete = False
        try:
            self._check_head(call, response)
            body = self._read(call, response)
            complete = True
        finally:
            self._received += response.raw.tell()
            if not complete:
                # Reading on for the sake of the connection would be at the vehicle's mercy.
                response.raw.close()
            response.close()
        return Answer(self._without_key(body), _clock(response.headers.get("Date")))

    def _check_head(self, call: str, response: requests.Response) -> None:
        """Raise unless this is a 200 with a body that may be read."""
        code = response.status_code
        if code != requests.codes.ok:
            raise VehicleRefused(call, code, self._harmless(_refusal(code, response), 200))
        encoding = response.headers.get("Content-Encoding", "identity").strip()
        if encoding.lower() not in ("gzip", "identity"):
            raise BadAnswer(call, f"Content-Encoding {self._harmless(encoding, 60)} unasked for")
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and (len(length) > LONGEST or int(length) > self._max_body):
            raise AnswerTooLarge(call, f"longer than {self._max_body >> 20} MB")

    def _without_key(self, body: bytes) -> bytes:
        """Take the API key out of an answer: what it says is stored and shown."""
        forms = [form.encode() for form in self._key_forms if len(form) >= SECRET_LENGTH]
        if not any(form in body for form in forms):
            return body

        def hide(text: bytes) -> bytes:
            for form in forms:
                text = text.replace(form, HIDDEN.encode())
            return text

        if not body.lstrip().startswith((b"{", b"[")):
            return hide(body)
        # A key of digits may turn up in an honest number, which must stay what it is.
        return _STRING.sub(lambda found: hide(found.group()), body)

    def _harmless(self, said: str, limit: int) -> str:
        """Take the API key, then what could steer a terminal, out of what a vehicle said."""
        for form in self._key_forms:
            said = said.replace(form, HIDDEN)
        return clean(said, limit)

    def _read(self, call: str, response: requests.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(CHUNK):
            size += len(chunk)
            if size > self._max_body:
                raise AnswerTooLarge(call, f"longer than {self._max_body >> 20} MB")
            chunks.append(chunk)
        return b"".join(chunks)


def _key_forms(api_key: str | None) -> list[str]:
    """Return the key as it is and as JSON writers escape it, the longest first."""
    if not api_key:
        return []
    forms = {api_key, json.dumps(api_key)[1:-1]}
    forms |= {form.replace("/", r"\/") for form in forms}
    forms |= {form.translate(_FOR_HTML) for form in forms}
    return sorted(forms, key=len, reverse=True)


def _interval(window: Window) -> str:
    return f"from={iso_ms(window.start)}&to={iso_ms(window.end)}"


def _refusal(code: int, response: requests.Response) -> str:
    if code in _REFUSALS:
        return _REFUSALS[code]
    if response.is_redirect or response.is_permanent_redirect:
        return f"HTTP {code}: a redirect, which is not followed"
    if code == requests.codes.bad_request:
        return f"HTTP 400: {_excerpt(response)}"
    return f"HTTP {code}"


def _excerpt(response: requests.Response) -> str:
    """Return the start of an error's body as it came."""
    try:
        start: bytes = next(iter(response.iter_content(ERROR_BODY)), b"")
    except _FAULTS:
        return "its reason cannot be read"
    return start.decode("utf-8", "replace")


def _clock(date: str | None) -> datetime | None:
    try:
        clock = parsedate_to_datetime(date) if date else None
        # "-0000" makes it naive, and still means UTC.
        return clock and clock.replace(tzinfo=clock.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _translate(call: str, fault: Exception) -> VehicleError:
    if isinstance(fault, _CUT):
        return BadAnswer(call, "the answer was cut off")
    if isinstance(fault, requests.exceptions.ContentDecodingError):
        return BadAnswer(call, "the gzip body is broken")
    cause = _caused_by(fault, (OSError, http.client.HTTPException)) or fault
    if isinstance(fault, requests.ConnectionError) and isinstance(cause, OSError):
        return VehicleUnreachable(call, f"no connection: {_name(cause)}")
    return BadAnswer(call, f"not an HTTP answer: {_name(cause)}")


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """Yield `fault` and whatever it wraps: libraries nest causes in arguments and in contexts."""
    seen: set[int] = set()
    pending: list[object] = [fault]
    while pending:
        link = pending.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            pending += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]


def _caused_by(
    fault: BaseException, kinds: tuple[type[BaseException], ...]
) -> BaseException | None:
    """Return the first error of `kinds` in or under `fault`, requests' bare wrapper aside."""
    for link in _chain(fault):
        if isinstance(link, kinds) and type(link) is not requests.ConnectionError:
            return link
    return None


def _name(fault: BaseException) -> str:
    if isinstance(fault, http.client.RemoteDisconnected):
        return "the vehicle hung up without an answer"
    if isinstance(fault, OSError) and fault.errno in (errno.EMFILE, errno.ENFILE):
        return OUT_OF_FILES
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return type(fault).__name__
