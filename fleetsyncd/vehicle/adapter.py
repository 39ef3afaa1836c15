"""The kept connection to a vehicle, whose reads let other greenlets run.

recv() on a readable socket does not switch greenlets. A vehicle that sends without end (`100
Continue`, chunks of one byte, empty gzip members) would stop the whole process, its own deadline
included. So reads yield to the other greenlets from time to time.
"""

import http.client
import io
import re
import sys
import time
from contextlib import suppress
from fcntl import ioctl
from functools import partial
from http import HTTPStatus
from socket import MSG_PEEK, socket
from termios import FIONREAD
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from fleetsyncd.slices import pause
from fleetsyncd.traffic import Traffic

YIELD_EVERY_SEC = 0.005
"""How long a connection is read before other greenlets may run."""
MOST_HEAD_BYTES = 1 << 16
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"HTTP/\S+\s+1(?!01)[0-9][0-9]\b")
"""How the head of an interim answer begins; another head follows it."""
LONGEST_READING_SEC = 0.15
"""Of CPU time, for one answer from its first byte to its last, decompression included."""


class ReadingTooLong(Exception):
    """An answer has cost more CPU time than its bytes are worth; the text says what of it."""


class AnswerReader(io.RawIOBase):
    """The raw stream of one answer; reading it yields to other greenlets from time to time.

    Between two reads no other greenlet runs, so the CPU time in between is the answer's own.
    """

    def __init__(self, raw: io.RawIOBase, traffic: Traffic) -> None:
        self._raw = raw
        self._traffic = traffic
        self.body_received = 0
        """Bytes that came after the head."""
        self._first_bytes = 0
        """Of the body, that came together with the end of the head."""
        self._body_began = 0.0
        self._head: bytes | None = b""
        """What has come of the head; None once the body has begun."""
        self._yield_at = time.monotonic() + YIELD_EVERY_SEC
        self.cpu_sec = 0.0
        self._resumed = time.thread_time()

    def readable(self) -> bool:
        """Return True, as `io` asks."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into `buffer` and return how many bytes; raise ReadingTooLong."""
        if time.monotonic() > self._yield_at:
            self.give_way()
        else:
            self._meter()
        size = self._raw.readinto(buffer)
        self._resumed = time.thread_time()
        if size:
            self._traffic.received += size
            self._count(buffer, size)
        return size

    def _count(self, buffer: Any, size: int) -> None:
        """Count the bytes of the body; urllib3 knows of none before it has a whole chunk."""
        if self._head is None:
            self.body_received += size
            return
        head, at = self._head + bytes(buffer[:size]), 0
        while end := _HEAD_END.search(head, at):
            if not _INTERIM.match(head, at):
                self.body_received = self._first_bytes = len(head) - end.end()
                self._head, self._body_began = None, time.monotonic()
                return
            at = end.end()
        self._head = head[at:]
        if len(self._head) > MOST_HEAD_BYTES:
            raise ReadingTooLong("not an HTTP answer: its headers are too long")

    @property
    def transfer_sec(self) -> float:
        """How long the body took, from its first bytes on; 0 if it came at once.

        The first bytes are estimated by what followed, unless that is less.
        """
        rest = self.body_received - self._first_bytes
        if rest <= 0:
            return 0.0
        return (time.monotonic() - self._body_began) * min(self.body_received / rest, 2.0)

    def give_way(self) -> None:
        """Let other greenlets run."""
        self._meter()
        pause()
        self._yield_at = time.monotonic() + YIELD_EVERY_SEC
        self._resumed = time.thread_time()

    def _meter(self) -> None:
        """Add the CPU time since the last read; raise ReadingTooLong if it is too much."""
        self.cpu_sec += time.thread_time() - self._resumed
        if self.cpu_sec > LONGEST_READING_SEC:
            raise ReadingTooLong("reading it takes too long")

    def close(self) -> None:
        """Close the stream."""
        if self._head is not None and not self.closed:
            self.count_unread()
        self._raw.close()
        super().close()

    def count_unread(self) -> None:
        """Count what has come of an answer that is given up: the link has carried it, too."""
        self._traffic.received += _unread_bytes(self._raw)


def _unread_bytes(raw: io.RawIOBase) -> int:
    """Return how many bytes have come that nobody has read; 0 if that is not known any more."""
    with suppress(OSError, ValueError):
        return int.from_bytes(ioctl(raw.fileno(), FIONREAD, bytes(4)), sys.byteorder)
    return 0


class _Response(http.client.HTTPResponse):
    def __init__(self, traffic: Traffic, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.reader = AnswerReader(self.fp.detach(), traffic)
        self.fp = io.BufferedReader(self.reader)

    def _read_status(self) -> tuple[str, int, str]:
        """Let `begin` skip every interim answer; by itself it skips those of status 100 only."""
        version, status, reason = super()._read_status()  # type: ignore[misc]  # not in typeshed
        is_interim = status // 100 == 1 and status != HTTPStatus.SWITCHING_PROTOCOLS
        return version, HTTPStatus.CONTINUE if is_interim else status, reason


def reader_of(response: requests.Response) -> AnswerReader:
    """Return what reads a response from the socket."""
    original: Any = response.raw._original_response
    reader: AnswerReader = original.reader
    return reader


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, traffic: Traffic, **options: Any) -> None:
        super().__init__(*args, **options)
        self._traffic = traffic
        # http.client calls it as it would the class.
        self.response_class = partial(_Response, traffic)  # type: ignore[assignment]

    def send(self, data: Any) -> None:
        """Send a request, which has no body, and count it."""
        super().send(data)
        self._traffic.sent += len(data)
        self._traffic.requests += 1

    @property
    def is_connected(self) -> bool:
        """Whether the next answer on this connection will belong to the next request.

        It will not if the vehicle has closed it, or has sent data unasked. urllib3 would poll the
        socket, which under gevent takes a large part of a call's time; this peeks instead.
        """
        return self.sock is not None and _has_nothing_to_read(self.sock)


def _has_nothing_to_read(sock: socket) -> bool:
    """Return whether an open socket has nothing to read."""
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1, MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(timeout)
    return False


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class VehicleAdapter(HTTPAdapter):
    """Sends requests to one vehicle over one kept connection, without a retry.

    It is used without a requests session: a vehicle has no use for cookies, redirects, proxies and
    netrc, which take a large part of a call's time, and a session would be most of the memory that
    a vehicle takes.
    """

    def __init__(self, host: str, port: int, base: str) -> None:
        super().__init__(max_retries=0)
        self._base = base
        self.traffic = Traffic()
        """What was carried so far."""
        self._pool = _Pool(host, port, maxsize=1, traffic=self.traffic)

    def init_poolmanager(self, *_args: Any, **_options: Any) -> None:
        """Make no pools for other hosts."""

    def get_connection_with_tls_context(self, *_args: Any, **_options: Any) -> HTTPConnectionPool:
        """Return the vehicle's pool without looking it up by URL."""
        return self._pool

    def request_url(self, request: requests.PreparedRequest, _proxies: Any) -> str:
        """Return the part of the URL after the vehicle's address."""
        return (request.url or "")[len(self._base) :]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return an answer with its status and head; for cookies and its encoding it is not read.

        They take a twelfth of the time of a call, and nothing asks for them. Nor is the head
        copied: as urllib3 has it, it knows no upper and lower case either.
        """
        response = requests.Response()
        response.status_code, response.reason = resp.status, resp.reason
        response.headers = resp.headers
        response.raw, response.request, response.url = resp, req, req.url or ""
        return response

    def drop_connection(self) -> None:
        """Close the kept connection, though its answer was read; the next request opens another."""
        connection = self._pool._get_conn()
        connection.close()
        self._pool._put_conn(connection)

    def close(self) -> None:
        """Close the kept connection, and make no other."""
        self._pool.close()
