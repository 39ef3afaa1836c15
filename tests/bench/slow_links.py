"""Simulated vehicles, each behind a mobile link of its own: a rate, round trips, losses.

`python -m tests.bench.slow_links '[[8, 0.3, 0.01], ...]'` (kbit/s, seconds, share of packets)
prints the vehicles as one JSON line, then serves until its standard input ends. `GET /carried` at
any link tells the bytes of answers that it has carried to their end, and in how many seconds since
its first request, without those in which it waited for the vehicle itself.
"""

from fleetsyncd import green

green.patch()

# Nothing may be imported before the patch.
import json  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402
from gevent.server import StreamServer  # noqa: E402
from gevent.socket import create_connection, socket  # noqa: E402

from fleetsyncd.demo.fleet import demo_specs  # noqa: E402
from fleetsyncd.demo.vehicle import SimulatedVehicle  # noqa: E402

PACKET_BYTES = 1_400
TIMEOUT_SEC = 1.0
"""After which a packet is sent again at the latest."""


class SlowLink:
    """A proxy in front of one vehicle; answers share the link's rate, requests only its latency."""

    def __init__(
        self, vehicle: tuple[str, int], kbit: float, latency_sec: float, loss: float
    ) -> None:
        self._vehicle = vehicle
        self._rate = kbit * 1000 / 8
        self._latency_sec = latency_sec
        self._loss = loss
        self._dice = random.Random(kbit)  # noqa: S311  no secret
        self._free_at = 0.0
        """When the link has sent all that it was given."""
        self.carried = 0
        self._thinking_sec = 0.0
        """How long the vehicle has taken for its answers, and the link had nothing to carry."""
        self.began: float | None = None
        """When the first request came."""
        self._server = StreamServer(("127.0.0.1", 0), self._serve)

    def start(self) -> tuple[str, int]:
        """Listen; return the address."""
        self._server.start()
        host, port = self._server.socket.getsockname()[:2]
        return host, port

    def _serve(self, client: socket, _address: object) -> None:
        try:
            vehicle = create_connection(self._vehicle)
            while request := _read_head(client):
                if request.startswith(b"GET /carried"):
                    seconds = time.monotonic() - (self.began or time.monotonic())
                    seconds -= self._thinking_sec
                    body = json.dumps([self.carried, seconds]).encode()
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                    client.sendall(head + body)
                    continue
                self.began = self.began or time.monotonic()
                gevent.sleep(self._latency_sec / 2)
                thinks_from = time.monotonic()
                vehicle.sendall(request)
                answer = _read_answer(vehicle)
                self._thinking_sec += time.monotonic() - thinks_from
                self._deliver(client, answer)
                self.carried += len(answer)
        except OSError:
            self._free_at = 0.0  # the daemon went away; what was to come is not sent
        finally:
            client.close()

    def _deliver(self, client: socket, answer: bytes) -> None:
        """Send an answer packet by packet, each when it comes out of the link."""
        arrives = time.monotonic()
        self._free_at = max(self._free_at, arrives)
        for at in range(0, len(answer), PACKET_BYTES):
            packet = answer[at : at + PACKET_BYTES]
            packet_sec = len(packet) / self._rate
            self._free_at += packet_sec
            late = 0.0
            if self._dice.random() < self._loss:
                # It is sent again, after three more packets or a timeout have told of the loss.
                self._free_at += packet_sec
                late = self._latency_sec + min(3 * packet_sec, TIMEOUT_SEC)
            # TCP delivers in order; what was lost does not keep the link from sending on.
            arrives = max(arrives, self._free_at + self._latency_sec / 2 + late)
            gevent.sleep(max(0.0, arrives - time.monotonic()))
            client.sendall(packet)


def _read_head(connection: socket) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        chunk = connection.recv(65_536)
        if not chunk:
            return b""
        received += chunk
    return received


def _read_answer(vehicle: socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += vehicle.recv(65_536)
    head, _, _ = received.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    whole = len(head) + 4 + int(fields[b"Content-Length"])
    while len(received) < whole:
        received += vehicle.recv(65_536)
    return received


def serve(links: list[list[float]]) -> None:
    specs = demo_specs(len(links), with_faults=False, begin=time.time())
    vehicles = [SimulatedVehicle(spec.name, spec.key) for spec in specs]
    known = []
    for vehicle, (kbit, latency_sec, loss) in zip(vehicles, links, strict=True):
        vehicle.start()
        host, port = SlowLink(vehicle.address, kbit, latency_sec, loss).start()
        known.append({"name": vehicle.name, "host": host, "port": port, "key": vehicle.key})
    print(json.dumps(known), flush=True)
    for _ in FileObject(sys.stdin.fileno(), "rb", close=False):
        pass


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
