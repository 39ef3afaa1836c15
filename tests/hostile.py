"""A scripted HTTP server of raw bytes, for answers that no honest library would give."""

import gzip
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext
from types import TracebackType
from typing import Self

from fleetsyncd.time_limits import Deadline
from fleetsyncd.vehicle.client import OnCall, VehicleClient, ignore_call

Step = bytes | float | Callable[[socket.socket], None]
"""Bytes to send, seconds to wait, or anything else to do to the connection."""
Answer = Iterable[Step]
"""What is played when a request has come in; the connection closes after its last answer."""

POLL_SEC = 0.02
KEY = "made-up-key-0123456789"
KEYS = (KEY, "4711471147")
"""The second one may occur in a number."""
CAP = 1 << 20
"""The most a client made here reads of one answer."""


class HostileServer:
    """Plays `connections` one after the other: a list of answers each, closed without any left.

    `requests` are the heads that came in, as they were sent; `connections` counts every one.
    """

    def __init__(self, *connections: Sequence[Answer], host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._listener.settimeout(POLL_SEC)
        self._script = list(connections)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join(10)
        self._listener.close()

    def header(self, name: str, request: int = -1) -> str | None:
        """Return one header of a request that came in, None if it had none of this name."""
        lines = (line.partition(": ") for line in self.requests[request].split("\r\n")[1:])
        return next((value for key, _, value in lines if key.lower() == name.lower()), None)

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            answers = self._script.pop(0) if self._script else []
            with connection:
                connection.settimeout(POLL_SEC)
                self._play(connection, answers)

    def _play(self, connection: socket.socket, answers: Sequence[Answer]) -> None:
        try:
            for answer in answers:
                if not self._take_request(connection):
                    return
                for step in answer:
                    if self._closing.is_set():
                        return
                    self._perform(connection, step)
        except OSError:
            return  # the client went away, as some of the tests want it to

    def _take_request(self, connection: socket.socket) -> bool:
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                if self._closing.is_set():
                    return False
                continue
            if not chunk:
                return False
            received += chunk
        self.requests.append(received.decode("latin-1"))
        return True

    def _perform(self, connection: socket.socket, step: Step) -> None:
        if isinstance(step, bytes):
            connection.settimeout(5)
            connection.sendall(step)
            connection.settimeout(POLL_SEC)
        elif callable(step):
            step(connection)
        else:
            self._closing.wait(step)


def reset(connection: socket.socket) -> None:
    """Close the connection with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def http(body: bytes, *headers: str, status: str = "200 OK", length: bool = True) -> Answer:
    """Return a well-formed answer with these headers beside its Content-Length."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return ["\r\n".join([*lines, "", ""]).encode("latin-1") + body]


def zipped(body: bytes, *headers: str) -> Answer:
    """Return `body` as an honest gzip answer."""
    return http(gzip.compress(body), "Content-Encoding: gzip", *headers)


def client_of(
    server: HostileServer,
    *,
    key: str | None = KEY,
    timeout: float = 5.0,
    deadline: Deadline = lambda _seconds, _error: nullcontext(),
    on_call: OnCall = ignore_call,
) -> closing[VehicleClient]:
    """Return a client of `server`, closed at the end of a `with`, without a deadline by default."""
    client = VehicleClient(
        server.host,
        server.port,
        key,
        pull_timeout_sec=timeout,
        pull_max_body_mb=CAP >> 20,
        deadline=deadline,
        on_call=on_call,
    )
    return closing(client)
