"""An HTTP/1.1 server for one page, whose clients cannot delay the daemon.

It is the standard library's, within `Limits`. Its threads are greenlets in the daemon, where a
client that sends or reads fast enough never makes its greenlet wait; so every thread pauses after
each request and each slice of an answer, and only one of them at a time makes a slice.
"""

import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedReader, BytesIO
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, cast

from fleetsyncd.errors import INTERNAL_ERROR
from fleetsyncd.monitoring.gzip_coding import accepts_gzip, compress
from fleetsyncd.monitoring.slots import ConnectionSlots
from fleetsyncd.monitoring.turns import Turns
from fleetsyncd.slices import pause
from fleetsyncd.time_limits import Deadline, no_deadline

log = logging.getLogger("sync.metrics")

ACCEPT_RETRY_SEC = 0.5
"""Without a pause the main loop of a server that may open no more files would not rest."""
_METHODS = ("GET", "HEAD")
_BLANK = (b"\r\n", b"\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may use."""

    connections: int = 16
    """One more closes the connection that has waited longest for a request."""
    head_bytes: int = 8_192
    """Bytes of a request's first line and headers."""
    head_sec: float = 10.0
    """How long a request's head may take, and its first byte on a new connection."""
    idle_sec: float = 300.0
    """How long a connection is kept between two requests: the longest pause between scrapes."""
    wait_sec: float = 10.0
    """How long a client may take to send the next bytes, or to read a slice of an answer."""
    answer_sec: float = 60.0
    """How long an answer may take."""
    linger_sec: float = 1.0
    """How long a client may take to close a connection after the last answer."""


@dataclass(frozen=True, slots=True)
class Page:
    """The page at `path`; `parts` makes it anew, in parts that each take few milliseconds."""

    path: str
    content_type: str
    parts: Callable[[], Iterator[bytes]]


class Server(ThreadingMixIn, TCPServer):
    """Serves a page on host:port; raises OSError if the port cannot be opened."""

    # http.server's own class asks DNS for the host's name, which may take long.
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        host: str,
        port: int,
        page: Page,
        *,
        deadline: Deadline = no_deadline,
        limits: Limits | None = None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.page, self.deadline, self.limits = page, deadline, limits or Limits()
        self.turns = Turns()
        self.slots = ConnectionSlots(self.limits.connections)
        super().__init__((host, port), _Handler)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.server_address[1])

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(ACCEPT_RETRY_SEC)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, as soon as there is room."""
        self.slots.take()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection once its client has, or the client might miss the last answer."""
        try:
            with suppress(OSError), self.deadline(self.limits.linger_sec, TimeoutError):
                request.shutdown(socket.SHUT_WR)
                request.settimeout(self.limits.linger_sec)
                while request.recv(self.limits.head_bytes):
                    pause()
        finally:
            self.close_request(request)
            self.slots.give_back()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log what ended a connection; that a client is gone or too slow is no error of ours."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.debug("a scrape by %s ended: %s", client_address[0], error)
        else:
            log.exception("%s: a scrape by %s ended", INTERNAL_ERROR, client_address[0])


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"
    server: Server
    connection: socket.socket

    def setup(self) -> None:
        super().setup()
        self._input = cast(BufferedReader, self.rfile)
        self.request_version, self.requestline = self.default_request_version, ""

    def finish(self) -> None:
        super().finish()
        self._input.close()

    def handle(self) -> None:
        """Answer requests until the connection is to end."""
        first_byte_sec = self.server.limits.head_sec
        self.close_connection = False
        while not self.close_connection and self._read_head(first_byte_sec):
            pause()
            self._answer()
            first_byte_sec = self.server.limits.idle_sec

    def _read_head(self, first_byte_sec: float) -> bool:
        """Read a request's line and headers; False if there is none that can be answered."""
        limits = self.server.limits
        self.command = ""
        with self.server.slots.waiting(self.connection):
            self.connection.settimeout(first_byte_sec)
            # Blocks until a byte is there, and takes none.
            if not self._input.peek(1):
                return False
            self.connection.settimeout(limits.wait_sec)
            with self.server.deadline(limits.head_sec, TimeoutError):
                head = self._input.readline(limits.head_bytes)
                line = head
                while line not in (*_BLANK, b"") and len(head) < limits.head_bytes:
                    line = self._input.readline(limits.head_bytes - len(head))
                    head += line
        self.raw_requestline, _, fields = head.partition(b"\n")
        self.rfile = BytesIO(fields)
        if line in _BLANK:
            return self.parse_request()
        if line:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return False

    def _answer(self) -> None:
        # What would follow a body that is not read might be taken for a request.
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        page = self.server.page
        with self.server.deadline(self.server.limits.answer_sec, TimeoutError):
            if self.command not in _METHODS:
                allow = {"Allow": ", ".join(_METHODS)}
                self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD only", allow)
            elif self.path.partition("?")[0] != page.path:
                self._refuse(HTTPStatus.NOT_FOUND, f"metrics are at {page.path}")
            else:
                self._send_page(page)

    def _send_page(self, page: Page) -> None:
        gzipped = accepts_gzip(self.headers.get("Accept-Encoding", ""))
        # The length is not known before the end, which HTTP/1.0 tells by closing the connection.
        chunked = self.request_version >= "HTTP/1.1"
        self.close_connection |= not chunked
        headers = {"Content-Type": page.content_type, "Vary": "Accept-Encoding"}
        headers |= {"Content-Encoding": "gzip"} if gzipped else {}
        headers |= {"Transfer-Encoding": "chunked"} if chunked else {}
        self._send_head(HTTPStatus.OK, headers)
        if self.command == "HEAD":
            return
        parts = compress(page.parts()) if gzipped else page.parts()
        for part in self.server.turns.slices(parts):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _send_head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _refuse(
        self, status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with a line of text, and end the connection."""
        self.close_connection = True
        body = f"{text}\n".encode()
        described = {"Content-Type": "text/plain", "Content-Length": str(len(body))}
        self._send_head(status, {**described, **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, *_details: object) -> None:
        """Refuse a request that cannot be read; the base class would repeat parts of it."""
        status = HTTPStatus(code)
        self._refuse(status, status.phrase)

    def handle_expect_100(self) -> bool:
        """Do not ask for a body: none is read."""
        return True

    def version_string(self) -> str:
        """Name the program and no versions."""
        return "fleetsyncd"

    def log_message(self, *_details: object) -> None:
        """Keep scrapes out of the log."""
