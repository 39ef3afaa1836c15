"""A simulated vehicle: the Outbound API over real HTTP/1.1, keep-alive and gzip included.

A request costs little more than writing its rows, so that one process serves a thousand
vehicles. Times are integer milliseconds of the vehicle's own clock unless named otherwise.
"""

import json
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

from gevent import sleep
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_REUSEADDR,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
)

from fleetsyncd.demo import signals
from fleetsyncd.demo.faults import HEALTHY, Faults

DEFAULT_LIMIT = 10_000
MAX_LIMIT = 50_000
SOFTWARE_VERSION = "1.1.0"

_GZIP_ABOVE = 500
_GZIP_WBITS = 31
_MAX_HEAD = 16_384
_MAX_BODY = 65_536
_MAX_CONNECTIONS = 64
_BACKLOG = 64
_IDLE_S = 600.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONFIGURED_AT = "2026-01-01T00:00:00.000Z"
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII).fullmatch
_WHOLE = re.compile(r"\d{1,18}", re.ASCII).fullmatch
_GZIP_REFUSED = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)").search

Params = Mapping[str, str]


class SimulatedVehicle:
    """One vehicle that has been collecting for `history_s` seconds when it is made.

    A `limit` above 50,000 is taken as 50,000. With `old_alarms` the alarms are filtered by
    `triggered_at` alone. `clock` is the true time in seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        key: str,
        *,
        faults: Faults = HEALTHY,
        channels: int = len(signals.CHANNELS),
        history_s: float = 90 * 86_400.0,
        old_alarms: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.key = key
        self.faults = faults
        self.channels = channels
        self.old_alarms = old_alarms
        self.seed = signals.seed_of(name)
        self.requests = 0
        self.last_request_at: float | None = None
        self._clock = clock
        self._started_at = clock()
        began = self._started_at + faults.clock_offset_s - history_s
        self.history_start_ms = int(max(began, faults.offline_before) * 1000)
        self._server: StreamServer | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on; only after `start`."""
        if self._server is None:
            raise RuntimeError(f"{self.name} is not started")
        host, port = self._server.socket.getsockname()[:2]
        return host, port

    @property
    def now_ms(self) -> int:
        """The time by the vehicle's own clock."""
        return int((self._clock() + self.faults.clock_offset_s) * 1000)

    def visible_until_ms(self, now_ms: int) -> int:
        """Return the end (excluded) of what the vehicle has committed by then."""
        return now_ms - int(self.faults.commit_delay_s * 1000) + 1

    def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, on any free port when it is 0; OSError if the port is taken."""
        listener = _listen(host, port)
        self._server = StreamServer(listener, self._serve, spawn=Pool(_MAX_CONNECTIONS))
        self._server.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.stop(timeout=0)
            self._server = None

    def answer(self, path: str, query: str, key: str | None) -> tuple[HTTPStatus, bytes]:
        """Return the status and JSON body for a GET with this `X-API-Key`."""
        if key != self.key or self.faults.refuse_key:
            return HTTPStatus.UNAUTHORIZED, b'{"error":"unauthorized"}'
        call = _CALLS.get(path)
        if call is None:
            return HTTPStatus.NOT_FOUND, b'{"error":"not_found"}'
        if path != "/status" and self.faults.is_down(self._clock()):
            return HTTPStatus.SERVICE_UNAVAILABLE, b'{"error":"database_unavailable"}'
        try:
            body = call(self, dict(parse_qsl(query, keep_blank_values=True)), self.now_ms)
        except ValueError as error:
            detail = {"error": "invalid_params", "detail": str(error)}
            return HTTPStatus.BAD_REQUEST, _dumps(detail).encode()
        return HTTPStatus.OK, body.encode()

    def _status(self, _params: Params, now_ms: int) -> str:
        is_up = not self.faults.is_down(self._clock())
        newest = self._newest_ms(now_ms) if is_up else None
        return _dumps(
            {
                "vehicle_id_hint": self.name,
                "software_version": SOFTWARE_VERSION,
                "uptime_sec": int(self._clock() - self._started_at),
                "collector_running": True,
                "agent_running": True,
                "db_ok": is_up,
                "last_measurement_at": None if newest is None else signals.iso(newest),
            }
        )

    def _channels(self, _params: Params, _now_ms: int) -> str:
        return _channels_json(self.channels)

    def _data(self, params: Params, now_ms: int) -> str:
        start, end = _interval(params)
        page = signals.page(
            self.seed,
            max(start, self.history_start_ms),
            min(end, self.visible_until_ms(now_ms)),
            min(_whole(params, "limit", least=1) or DEFAULT_LIMIT, MAX_LIMIT),
            _whole(params, "channel_id"),
            channels=self.channels,
        )
        return (
            f'{{"from":"{signals.iso(start)}","to":"{signals.iso(end)}","count":{page.count},'
            f'"truncated":{"true" if page.truncated else "false"},"rows":[{page.json}]}}'
        )

    def _latest(self, _params: Params, now_ms: int) -> str:
        newest = self._newest_ms(now_ms)
        if newest is None:
            return "[]"
        page = signals.page(self.seed, newest, newest + 1, MAX_LIMIT, channels=self.channels)
        return f"[{page.json}]"

    def _alarms(self, params: Params, now_ms: int) -> str:
        start, end = _interval(params)
        unresolved_only = _flag(params, "unresolved_only")
        until = self.visible_until_ms(now_ms)
        end = min(end, until)
        reach = 0 if self.old_alarms else signals.MAX_ALARM_MS
        since = max(start - reach, self.history_start_ms)
        found = (
            alarm
            for alarm in signals.alarms(self.seed, since, end, channels=self.channels)
            if alarm.triggered_ms >= start or start <= alarm.resolved_ms < end
        )
        return _dumps(
            [
                _alarm_object(alarm, until)
                for alarm in found
                if not (unresolved_only and alarm.resolved_ms < until)
            ]
        )

    def _newest_ms(self, now_ms: int) -> int | None:
        until = self.visible_until_ms(now_ms)
        second = (until - 1) // 1000
        stamps = (signals.stamp_ms(self.seed, at) for at in (second, second - 1))
        return next((at for at in stamps if self.history_start_ms <= at < until), None)

    def _serve(self, connection: socket, _address: object) -> None:
        try:
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            connection.settimeout(_IDLE_S)
            received = bytearray()
            while self._exchange(connection, received):
                pass
        except OSError:
            # The client went away or fell silent: on a mobile link that is no event.
            return

    def _exchange(self, connection: socket, received: bytearray) -> bool:
        """Answer one request; False when the connection is to be closed."""
        request = _read_request(connection, received)
        if request is None:
            return False
        self.requests += 1
        self.last_request_at = now = self._clock()
        if hanging_s := self.faults.hangs_for(now):
            _await_hang_up(connection, hanging_s)
            return False
        if self.faults.latency_s:
            sleep(self.faults.latency_s)
        status, body = self._reply(request)
        date = self._clock() + self.faults.clock_offset_s
        connection.sendall(_response(status, body, request, date))
        return request.keep_alive

    def _reply(self, request: "_Request") -> tuple[HTTPStatus, bytes]:
        if request.refusal is not None:
            return request.refusal, b'{"error":"unreadable_request"}'
        if request.method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, b'{"error":"method_not_allowed"}'
        path, _, query = request.target.partition("?")
        return self.answer(path, query, request.headers.get("x-api-key"))


class _Request(NamedTuple):
    """One request without its body; `refusal` is set when the rest could not be read."""

    method: str = ""
    target: str = ""
    headers: Mapping[str, str] = {}
    keep_alive: bool = False
    refusal: HTTPStatus | None = None


def _listen(host: str, port: int) -> socket:
    # StreamServer would do as much by itself, but leaks the socket of a port that is taken.
    listener = socket(AF_INET6 if ":" in host else AF_INET)
    try:
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _read_request(connection: socket, received: bytearray) -> _Request | None:
    """Take one request off the connection; None when the client has closed it."""
    while (end := received.find(b"\r\n\r\n")) < 0:
        if len(received) > _MAX_HEAD:
            return _Request(refusal=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if not (chunk := connection.recv(_MAX_HEAD)):
            return None
        received += chunk
    request_line, *fields = received[:end].decode("latin-1").split("\r\n")
    del received[: end + 4]
    match request_line.split(" "):
        case [method, target, ("HTTP/1.1" | "HTTP/1.0") as version]:
            parts = (field.partition(":") for field in fields)
            headers = {name.lower(): value.strip() for name, _, value in parts}
        case _:
            return _Request(refusal=HTTPStatus.BAD_REQUEST)
    refusal = _drain_body(connection, received, headers)
    # Anything but GET ends the connection: the answer to a HEAD must not be read as the next.
    keep_alive = (version, method, refusal) == ("HTTP/1.1", "GET", None)
    keep_alive = keep_alive and headers.get("connection", "").lower() != "close"
    return _Request(method, target, headers, keep_alive, refusal)


def _drain_body(
    connection: socket, received: bytearray, headers: Mapping[str, str]
) -> HTTPStatus | None:
    """Throw away the request's body; a status when its length is unknown or too large."""
    text = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not _WHOLE(text):
        return HTTPStatus.LENGTH_REQUIRED
    length = int(text)
    if length > _MAX_BODY:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    while len(received) < length:
        if not (chunk := connection.recv(_MAX_BODY)):
            raise ConnectionResetError
        received += chunk
    del received[:length]
    return None


def _await_hang_up(connection: socket, longest_s: float) -> None:
    """Say nothing until the client gives up, or for so many seconds."""
    connection.settimeout(longest_s)
    connection.recv(1)


def _response(status: HTTPStatus, body: bytes, request: _Request, date: float) -> bytes:
    """Return the whole answer as it goes over the wire; `date` in seconds since 1970."""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {formatdate(date, usegmt=True)}",
        "Content-Type: application/json",
    ]
    accepted = request.headers.get("accept-encoding", "").lower()
    if len(body) > _GZIP_ABOVE and "gzip" in accepted and not _GZIP_REFUSED(accepted):
        body = zlib.compress(body, level=1, wbits=_GZIP_WBITS)
        lines.append("Content-Encoding: gzip")
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET")
    if not request.keep_alive:
        lines.append("Connection: close")
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("ascii") + body


def _interval(params: Params) -> tuple[int, int]:
    """Read `from` and `to`, rounded up to milliseconds; ValueError says what is wrong."""
    start, end = _microseconds(params, "from"), _microseconds(params, "to")
    if start >= end:
        raise ValueError("from must be before to")
    return -(-start // 1000), -(-end // 1000)


def _microseconds(params: Params, name: str) -> int:
    text = params.get(name)
    if not text:
        raise ValueError(f"{name} is missing")
    if not _TIME(text):
        raise ValueError(f"{name} is not an ISO 8601 UTC time ending in Z")
    # What the pattern lets through, such as hour 25, fromisoformat refuses by name.
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _whole(params: Params, name: str, *, least: int = 0) -> int | None:
    """Read an optional whole number; ValueError when it is none or too small."""
    text = params.get(name)
    if text is None:
        return None
    if not _WHOLE(text) or int(text) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}")
    return int(text)


def _flag(params: Params, name: str) -> bool:
    text = params.get(name, "false").lower()
    if text not in _FLAGS:
        raise ValueError(f"{name} must be true or false")
    return _FLAGS[text]


def _alarm_object(alarm: signals.Alarm, until_ms: int) -> dict[str, object]:
    """Return the alarm as the vehicle knows it: an end still to come is null."""
    return {
        "alarm_id": alarm.alarm_id,
        "channel_id": alarm.channel_id,
        "severity": alarm.severity,
        "message": alarm.message,
        "triggered_at": signals.iso(alarm.triggered_ms),
        "resolved_at": signals.iso(alarm.resolved_ms) if alarm.resolved_ms < until_ms else None,
    }


@cache
def _channels_json(count: int) -> str:
    extra = {"enabled": True, "updated_at": _CONFIGURED_AT}
    return _dumps([asdict(channel) | extra for channel in signals.CHANNELS[:count]])


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_CALLS: Mapping[str, Callable[[SimulatedVehicle, Params, int], str]] = {
    "/status": SimulatedVehicle._status,
    "/channels": SimulatedVehicle._channels,
    "/data": SimulatedVehicle._data,
    "/data/latest": SimulatedVehicle._latest,
    "/alarms": SimulatedVehicle._alarms,
}
