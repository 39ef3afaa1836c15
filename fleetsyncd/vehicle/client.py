"""One vehicle's API over one kept connection.

Every call has one deadline, headers and body included, and a limit on the decompressed body. A
request is sent again, once, only if the kept connection broke. It never follows a redirect, never
uses a proxy and never reads a netrc. The API key is in no error raised here.
"""

import time
from collections.abc import Callable
from http import HTTPStatus

import requests

from fleetsyncd import __version__
from fleetsyncd.allowed import is_api_key
from fleetsyncd.errors import (
    AddressUnusable,
    AnswerTooLarge,
    BadAnswer,
    KeyUnusable,
    VehicleError,
    VehicleRefused,
    VehicleTimeout,
)
from fleetsyncd.models import Window
from fleetsyncd.time_limits import Deadline
from fleetsyncd.times import iso_ms
from fleetsyncd.traffic import Traffic
from fleetsyncd.vehicle import refusals
from fleetsyncd.vehicle.adapter import ReadingTooLong, VehicleAdapter, reader_of
from fleetsyncd.vehicle.answer import (
    TURN_BYTES,
    Answer,
    check_encoding,
    expected_bytes,
    read_body,
)
from fleetsyncd.vehicle.http_errors import (
    CONNECTION_BROKEN,
    REQUEST_ERRORS,
    TIMEOUTS,
    find_cause,
    to_vehicle_error,
)
from fleetsyncd.vehicle.notations import parse_http_date
from fleetsyncd.vehicle.redaction import KeyRedactor
from fleetsyncd.vehicle.refusals import ErrorBody, Refusal, read_error_body

OnCall = Callable[[str, float, Traffic], None]
"""Called after every call with its path, its seconds, and what the link carried for it."""

PAGE_LIMIT = 50_000
"""Rows asked for in one answer; a vehicle gives no more."""
LAST_PORT = 65_535
NOWHERE = ("unusable.invalid", 1)
"""Never asked: what stands for an address that cannot be."""
ERROR_BODY_SEC = 2.0
"""For how long an error's body is read: the status says most of it."""
ERROR_MARGIN_SEC = 0.1
"""Of a call's time, kept from an error's body, so that the refusal can still be told."""


def ignore_call(_call: str, _seconds: float, _carried: Traffic) -> None:
    """Ignore a call."""


class VehicleClient:
    """The four calls of one vehicle; may be used by one greenlet at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        api_key: str | None,
        *,
        pull_timeout_sec: float,
        pull_max_body_mb: int,
        deadline: Deadline,
        on_call: OnCall = ignore_call,
    ) -> None:
        self._address_is_usable = bool(host) and 0 < port <= LAST_PORT
        if not self._address_is_usable:
            host, port = NOWHERE
        self._base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._pull_timeout_sec = pull_timeout_sec
        self._max_body = pull_max_body_mb << 20
        self._deadline = deadline
        self._on_call = on_call
        self._received = 0
        self._expected: int | None = None
        self._cpu_sec = 0.0
        self._started = 0.0
        self._refused: VehicleRefused | None = None
        self._adapter = VehicleAdapter(host, port, self._base)
        self._redactor = KeyRedactor(api_key)
        headers = {"Accept-Encoding": "gzip", "User-Agent": f"fleetsyncd/{__version__}"}
        self._key_is_usable = api_key is None or is_api_key(api_key)
        if api_key is not None and self._key_is_usable:
            headers["X-API-Key"] = api_key
        self._request = requests.Request("GET", self._base + "/", headers=headers).prepare()

    @property
    def received_bytes(self) -> int:
        """What all answers had so far, as the link carried them."""
        return self._adapter.traffic.received

    @property
    def carried_bytes(self) -> int:
        """What the link has carried so far, requests and answers."""
        return self._adapter.traffic.received + self._adapter.traffic.sent

    @property
    def pull_timeout_sec(self) -> float:
        """The longest that one call may take."""
        return self._pull_timeout_sec

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
        """Make a call and report it to `on_call`; raise a VehicleError."""
        self._started, self._received, self._expected = time.monotonic(), 0, None
        carried_before = self._adapter.traffic.copy()
        self._cpu_sec = 0.0
        try:
            return self._call(call, query)
        except VehicleError as error:
            error.received, error.expected = self._received, self._expected
            error.cpu_sec = self._cpu_sec
            raise
        finally:
            self._refused = None
            seconds = time.monotonic() - self._started
            self._on_call(call, seconds, self._adapter.traffic.since(carried_before))

    def _call(self, call: str, query: str) -> Answer:
        """Make a call; raise a VehicleError that names the call and the reason."""
        if not self._address_is_usable:
            text = "the vehicle is registered without an address that can be asked: set it"
            raise AddressUnusable(call, text)
        if not self._key_is_usable:
            raise KeyUnusable(call, "the API key is not printable ASCII: set the vehicle's key")
        timed_out = VehicleTimeout(call, f"no complete answer within {self._pull_timeout_sec:g} s")
        try:
            with self._deadline(self._pull_timeout_sec, lambda: self._refused or timed_out):
                try:
                    return self._send(call, query)
                except requests.ConnectionError as error:
                    # A vehicle may close a kept connection just as it is used again.
                    if not find_cause(error, CONNECTION_BROKEN):
                        raise
                    return self._send(call, query)
        except VehicleError:
            raise
        except ReadingTooLong as error:
            raise AnswerTooLarge(call, str(error)) from None
        except requests.ConnectTimeout:
            raise VehicleTimeout(call, "connecting timed out") from None
        except REQUEST_ERRORS as error:
            if find_cause(error, TIMEOUTS):
                raise timed_out from None
            raise to_vehicle_error(call, error) from None

    def _send(self, call: str, query: str) -> Answer:
        self._request.url = self._base + call + query
        response = self._adapter.send(self._request, stream=True, timeout=self._pull_timeout_sec)
        complete = False
        reader = reader_of(response)
        try:
            self._check_headers(call, response)
            body = read_body(call, response, reader, self._max_body)
            transfer_sec = reader.transfer_sec
            complete = True
        finally:
            self._received += reader.body_received
            self._cpu_sec += reader.cpu_sec
            if not complete:
                reader.count_unread()
                # Reading the rest to keep the connection would take as long as the vehicle likes.
                response.raw.close()
                self._adapter.drop_connection()
            response.close()
        if len(body) > TURN_BYTES:
            reader.give_way()  # looking for the key takes a while, too
        return Answer(
            self._redactor.redact_body(call, body),
            parse_http_date(response.headers.get("Date")),
            latency_sec=max(0.0, time.monotonic() - self._started - transfer_sec),
            transfer_sec=transfer_sec,
            received=self._received,
            cpu_sec=reader.cpu_sec,
        )

    def _check_headers(self, call: str, response: requests.Response) -> None:
        """Raise unless this is a 200 with a body that may be read."""
        if response.status_code != HTTPStatus.OK:
            raise self._refusal(call, response)
        check_encoding(call, response, self._redactor)
        self._expected = expected_bytes(call, response, self._max_body)

    def _refusal(self, call: str, response: requests.Response) -> VehicleRefused:
        code, headers = response.status_code, response.headers
        if response.is_redirect or response.is_permanent_redirect:
            return VehicleRefused(call, code, f"HTTP {code}: a redirect, which is not followed")
        clock = parse_http_date(headers.get("Date"))
        refusal = Refusal(
            call,
            code,
            key_sent="X-API-Key" in self._request.headers,
            rest_sec=refusals.rest_sec(code, headers.get("Retry-After"), clock),
            redactor=self._redactor,
        )
        # Once the head is known, a deadline that comes is told as what the head has said.
        self._refused = refusal.error(None)
        return refusal.error(self._error_body(call, response))

    def _error_body(self, call: str, response: requests.Response) -> ErrorBody | None:
        """Return what comes soon of an error's body; None if nothing comes that can be read."""
        try:
            check_encoding(call, response, self._redactor)
        except BadAnswer:
            return None
        ends_at = self._started + self._pull_timeout_sec
        left = ends_at - time.monotonic() - ERROR_MARGIN_SEC
        with_deadline = self._deadline(max(0.0, min(ERROR_BODY_SEC, left)), TimeoutError)
        return read_error_body(response, with_deadline)


def _interval(window: Window) -> str:
    return f"from={iso_ms(window.start)}&to={iso_ms(window.end)}"
