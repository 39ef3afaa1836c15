"""A small HTTP proxy in front of one vehicle that lets faults befall its answers."""

import socket as plain
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

from gevent import sleep
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import IPPROTO_TCP, TCP_NODELAY, create_connection, socket

from tests.chaos.faults import FAULTS
from tests.chaos.honest import Honest
from tests.hostile import Answer

Address = tuple[str, int]
Strike = Callable[[int, str], tuple[str | None, Random]]
"""What befalls the answer of a number to a call, and the dice for its details."""
CHUNK = 65_536
TRUTH = "truth"
MAX_CONNECTIONS = 64


class Proxy:
    """Stands between a daemon and one vehicle.

    The vehicle has several clocks, each at an address of its own, and the proxy speaks to the one
    that `clock` names when a cycle begins: clocks jump between cycles, not within one. `counts`
    are the faults that really happened.
    """

    def __init__(
        self,
        vehicles: Mapping[str, Address],
        key: str,
        canary: Address,
        strike: Strike,
        clock: Callable[[], str | None],
    ) -> None:
        self._vehicles = vehicles
        self._key = key
        self._canary = "{}:{}".format(*canary)
        self._strike = strike
        self._clock = clock
        self._answers = 0
        self.counts: Counter[str] = Counter()
        self.storming = True
        self._server = StreamServer(("127.0.0.1", 0), self._serve, spawn=Pool(MAX_CONNECTIONS))

    def start(self) -> Address:
        """Listen; return the address."""
        self._server.start()
        host, port = self._server.socket.getsockname()[:2]
        return host, port

    def _serve(self, client: socket, _address: object) -> None:
        client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        line = _Line(self._vehicles)
        try:
            while request := _take(client):
                if not self._exchange(client, line, request):
                    return
        except OSError:
            return  # the daemon went away, or was killed
        finally:
            line.close()

    def _exchange(self, client: socket, line: "_Line", request: bytes) -> bool:
        """Pass one request on, and its answer or what became of it; False to close."""
        call, _, query = request.split(b" ", 2)[1].decode("latin-1").partition("?")
        clock = self._clock() if self.storming else None
        if call == "/status" and line.turn(clock or TRUTH) and clock:
            self.counts[clock] += 1
        wire = line.ask(request)
        self._answers += 1
        kind, dice = self._strike(self._answers, call)
        if kind is None or not self.storming:
            client.sendall(wire)
            return True
        self.counts[kind] += 1
        try:
            _play(client, FAULTS[kind](self._honest(call, query, wire), dice))
        finally:
            client.close()
        return False

    def _honest(self, call: str, query: str, wire: bytes) -> Honest:
        head, _, body = wire.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        if "Content-Encoding: gzip" in lines:
            body = zlib.decompress(body, wbits=31)
        date = next(field for field in lines if field.startswith("Date: "))
        return Honest(call, query, self._key, self._canary, wire, date, body)


class _Line:
    """A kept connection to the vehicle, by one of its clocks."""

    def __init__(self, vehicles: Mapping[str, Address]) -> None:
        self._vehicles = vehicles
        self._clock = TRUTH
        self._socket: socket | None = None

    def turn(self, clock: str) -> bool:
        """Speak to the vehicle by this clock from now on; tell whether that is news."""
        if clock == self._clock:
            return False
        self.close()
        self._clock = clock
        return True

    def ask(self, request: bytes) -> bytes:
        """Return the whole answer; ConnectionResetError if the vehicle closes first."""
        if self._socket is None:
            self._socket = create_connection(self._vehicles[self._clock])
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += _receive(self._socket)
        fields = received[:end].decode("latin-1").split("\r\n")[1:]
        headers = dict(field.split(": ", 1) for field in fields)
        whole = end + 4 + int(headers["Content-Length"])
        while len(received) < whole:
            received += _receive(self._socket)
        return bytes(received)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _receive(vehicle: socket) -> bytes:
    chunk: bytes = vehicle.recv(CHUNK)
    if not chunk:
        raise ConnectionResetError
    return chunk


def _take(client: socket) -> bytes:
    """Return the head of the next request, nothing when there is none."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        chunk = client.recv(CHUNK)
        if not chunk:
            return b""
        received += chunk
    return received


def _play(client: socket, answer: Answer) -> None:
    for step in answer:
        if isinstance(step, bytes):
            client.sendall(step)
        elif callable(step):
            step(client)
        elif step < 1:
            sleep(step)
        else:
            client.settimeout(step)
            client.recv(1)  # until the daemon has had enough
    client.shutdown(plain.SHUT_RDWR)
