"""HTTP/1.1 of a simulated vehicle: read one request, write one answer."""

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

from gevent.socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket

_GZIP_ABOVE = 500
_GZIP_WBITS = 31
_MAX_HEAD = 16_384
_MAX_BODY = 65_536
_BACKLOG = 64
_DIGITS = re.compile(r"\d{1,18}", re.ASCII).fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII).fullmatch
_GZIP_REFUSED = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)").search


Params = Mapping[str, str]


class Request(NamedTuple):
    """One request without its body; `refusal` is set when the rest could not be read."""

    method: str = ""
    target: str = ""
    headers: Mapping[str, str] = {}
    keep_alive: bool = False
    refusal: HTTPStatus | None = None


def listen(host: str, port: int) -> socket:
    """Return a listening socket, on any free port when it is 0; OSError if the port is taken."""
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


def read_request(connection: socket, received: bytearray) -> Request | None:
    """Take one request off the connection; None when the client has closed it."""
    while (end := received.find(b"\r\n\r\n")) < 0:
        if len(received) > _MAX_HEAD:
            return Request(refusal=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
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
            return Request(refusal=HTTPStatus.BAD_REQUEST)
    refusal = _drain_body(connection, received, headers)
    # Anything but GET ends the connection: the answer to a HEAD must not be read as the next.
    keep_alive = (version, method, refusal) == ("HTTP/1.1", "GET", None)
    keep_alive = keep_alive and headers.get("connection", "").lower() != "close"
    return Request(method, target, headers, keep_alive, refusal)


def _drain_body(
    connection: socket, received: bytearray, headers: Mapping[str, str]
) -> HTTPStatus | None:
    """Throw away the request's body; a status when its length is unknown or too large."""
    text = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not _DIGITS(text):
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


def await_hang_up(connection: socket, longest_s: float) -> None:
    """Send nothing until the client gives up, or for so many seconds."""
    connection.settimeout(longest_s)
    connection.recv(1)


def response(status: HTTPStatus, body: bytes, request: Request, date: float) -> bytes:
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


def interval(params: Params) -> tuple[int, int]:
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
    # fromisoformat refuses what the pattern accepts, such as hour 25.
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def whole_number(params: Params, name: str, *, least: int = 0) -> int | None:
    """Read an optional whole number; ValueError when it is none or too small."""
    text = params.get(name)
    if text is None:
        return None
    if not _DIGITS(text) or int(text) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}")
    return int(text)


def flag(params: Params, name: str) -> bool:
    """Read an optional flag, false when it is missing; ValueError when it is neither."""
    text = params.get(name, "false").lower()
    if text not in _FLAGS:
        raise ValueError(f"{name} must be true or false")
    return _FLAGS[text]
