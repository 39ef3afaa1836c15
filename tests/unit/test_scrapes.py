"""Scrapes over real sockets, of a process that is green as the daemon is."""

import gzip
import http.client
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest

from fleetsyncd.monitoring.gzip_coding import accepts_gzip
from fleetsyncd.monitoring.http_server import Page, Server

ROOT = Path(__file__).parents[2]
VEHICLES = 2_000
LIMITS = {
    "connections": 6,
    "head_bytes": 4_096,
    "head_sec": 0.5,
    "idle_sec": 1.0,
    "wait_sec": 0.5,
    "answer_sec": 30.0,
    "linger_sec": 0.2,
}
PATIENCE_SEC = 20.0
LONGEST_STALL_SEC = 0.05
GONE = (ConnectionResetError, BrokenPipeError)
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
SMALL = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SEC)
        self._stream = self.socket.makefile("rb")

    def close(self) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, *, head_only: bool = False) -> Answer:
        """Read one answer."""
        status_line = self._stream.readline()
        assert status_line.startswith(b"HTTP/1.1 "), status_line
        headers = http.client.parse_headers(self._stream)
        return Answer(
            int(status_line.split()[1]), headers, b"" if head_only else self._body(headers)
        )

    def _body(self, headers: http.client.HTTPMessage) -> bytes:
        if headers.get("Transfer-Encoding") != "chunked":
            return self._stream.read(int(headers.get("Content-Length", -1)))
        body = b""
        while size := int(self._stream.readline(), 16):
            body += self._stream.read(size)
            assert self._stream.readline() == b"\r\n"
        assert self._stream.readline() == b"\r\n"
        return body

    def is_closed(self) -> bool:
        """Wait until the server closes the connection, and sends nothing before."""
        try:
            return self._stream.read(1) == b""
        except ConnectionResetError:
            return True


@dataclass
class Exporter:
    """The process that is scraped."""

    process: subprocess.Popen[str]
    port: int
    errors: Path

    def connect(self) -> "closing[Client]":
        return closing(Client(self.port))

    def ask(self, request: bytes, *, head_only: bool = False) -> Answer:
        """Send a request on a connection of its own."""
        with self.connect() as client:
            client.send(request)
            return client.read(head_only=head_only)

    def stall(self) -> float:
        """Return the longest stall since this was last called."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def threads_end(self) -> bool:
        """Return whether all connections are closed before long."""
        for _ in range(200):
            if not self.connections():
                return True
            time.sleep(0.02)
        return False

    def connections(self) -> int:
        """Count the sockets beside the one that listens."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        targets = []
        for entry in folder.iterdir():
            try:
                targets.append(entry.readlink().name)
            except FileNotFoundError:
                continue
        return sum(target.startswith("socket:") for target in targets) - 1


def exporter(
    errors: Path, vehicles: int, limits: dict[str, float], before: Callable[[], None] | None = None
) -> Iterator[Exporter]:
    command = [sys.executable, "-W", "error", "-m", "tests.unit.green_scrapes"]
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [*command, str(vehicles), json.dumps(limits)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            preexec_fn=before,  # noqa: PLW1509  the tests' process has no other threads then
        ) as process,
    ):
        assert process.stdout is not None
        yield Exporter(process, int(process.stdout.readline()), errors)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE_SEC) == 0
    assert errors.read_text() == ""


@pytest.fixture(scope="module")
def _process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    yield from exporter(tmp_path_factory.mktemp("exporter") / "stderr", VEHICLES, LIMITS)


@pytest.fixture
def served(_process: Exporter) -> Iterator[Exporter]:
    """Return an exporter that must have printed no error and kept nobody waiting at the end."""
    _process.stall()
    yield _process
    assert _process.stall() < LONGEST_STALL_SEC
    assert _process.ask(SMALL, head_only=True).status == 200
    assert _process.threads_end()
    assert _process.errors.read_text() == ""


def series(body: bytes) -> int:
    return body.count(b"\nfleetsync_vehicle_cycles_total{")


@pytest.mark.parametrize(
    ("accepted", "is_zipped"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("br, *", True),
        ("*;q=0, gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
        ("gzip;q=much", False),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_is_used_if_the_client_accepts_it(accepted: str, is_zipped: bool) -> None:
    assert accepts_gzip(accepted) is is_zipped


def test_a_scrape_that_accepts_gzip_is_compressed_and_any_other_is_not(served: Exporter) -> None:
    plain = served.ask(GET)
    zipped = served.ask(GET.replace(b"Host", b"Accept-Encoding: gzip\r\nHost"))
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == zipped.headers["Vary"] == "Accept-Encoding"
    assert series(plain.body) == series(gzip.decompress(zipped.body)) == VEHICLES
    assert len(zipped.body) < len(plain.body) / 4


def test_a_connection_serves_one_scrape_after_the_other(served: Exporter) -> None:
    with served.connect() as client:
        for _ in range(3):
            client.send(GET)
            assert series(client.read().body) == VEHICLES


def test_requests_that_come_at_once_are_answered_in_order(served: Exporter) -> None:
    with served.connect() as client:
        client.send(GET + SMALL + GET + b"GET /else HTTP/1.1\r\n\r\n" + GET)
        assert series(client.read().body) == VEHICLES
        assert client.read(head_only=True).status == 200
        assert series(client.read().body) == VEHICLES
        assert client.read().status == 404
        assert client.is_closed()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics HTTP/1.0\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n",
        # A body is not read, so what follows might be a part of it.
        b"GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_connection_that_cannot_go_on_is_closed_after_the_answer(
    served: Exporter, request_: bytes
) -> None:
    with served.connect() as client:
        client.send(request_)
        answer = client.read()
        assert series(answer.body) == VEHICLES
        assert answer.headers["Connection"] == "close"
        assert client.is_closed()


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
@pytest.mark.parametrize(("path", "status"), [(b"/metrics", 200), (b"/", 404)])
def test_head_is_answered_as_get_but_without_a_body(
    served: Exporter, path: bytes, status: int, version: bytes
) -> None:
    with served.connect() as client:
        client.send(b"HEAD %b %b\r\nConnection: close\r\n\r\n" % (path, version))
        answer = client.read(head_only=True)
        assert answer.status == status
        assert client.is_closed()
    same = served.ask(b"GET %b %b\r\nConnection: close\r\n\r\n" % (path, version))
    ours, theirs = dict(answer.headers), dict(same.headers)
    assert ours.pop("Date")
    assert theirs.pop("Date")
    assert ours == theirs


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"NONSENSE"])
@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n",
        b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000,
        b"Content-Length: 9999999999\r\nExpect: 100-continue\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1_000,
    ],
)
def test_only_get_and_head_are_allowed(served: Exporter, method: bytes, rest: bytes) -> None:
    with served.connect() as client:
        client.send(method + b" /metrics HTTP/1.1\r\n" + rest)
        answer = client.read()
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert answer.headers["Connection"] == "close"
        assert client.is_closed()


def test_a_query_does_not_change_the_page_and_another_path_names_the_right_one(
    served: Exporter,
) -> None:
    assert served.ask(SMALL.replace(b"/metrics", b"/metrics?x=1"), head_only=True).status == 200
    answer = served.ask(b"GET /secret-path HTTP/1.1\r\n\r\n")
    assert (answer.status, answer.body) == (404, b"metrics are at /metrics\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"\x16\x03\x01<script>\r\n\r\n", 400),
        (b"<script> a b c HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/<script>\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n<script>: x\r\n\r\n", 505),
        (b"GET /" + b"<script>" * 1_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"<script>" * 1_000 + b"\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\n" + b"<script>: x\r\n" * 1_000 + b"\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\n" + b"a:b\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_and_nothing_of_it_is_repeated(
    served: Exporter, request_: bytes, status: int
) -> None:
    with served.connect() as client:
        client.send(request_)
        answer = client.read()
        assert answer.status == status
        assert b"script" not in answer.body + answer.headers.as_bytes()
        assert client.is_closed()


def test_a_refusal_after_a_head_request_has_its_body(served: Exporter) -> None:
    with served.connect() as client:
        client.send(SMALL + b"GET /" + b"x" * 5_000)
        client.read(head_only=True)
        assert client.read().body == b"Request Header Fields Too Large\n"
        assert client.is_closed()


@pytest.mark.parametrize(
    "half",
    [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: x\r\n", GET + b"GET /met", b"\r\n"],
)
def test_a_client_that_asks_for_nothing_is_disconnected(served: Exporter, half: bytes) -> None:
    with served.connect() as client:
        client.send(half)
        if half.startswith(GET):
            client.read()
        began = time.monotonic()
        assert client.is_closed()
        assert time.monotonic() - began < 5


def drip(client: Client) -> None:
    for _ in range(100):
        client.send(b"G")
        time.sleep(0.05)


def test_a_head_that_drips_in_is_given_up(served: Exporter) -> None:
    with served.connect() as client, pytest.raises(GONE):
        drip(client)


def test_a_client_that_leaves_in_the_middle_is_no_error(served: Exporter) -> None:
    for request_ in (b"", b"GET /met", GET, GET * 3):
        with served.connect() as client:
            client.send(request_)
            if request_.startswith(GET):
                client.socket.recv(1_000)
            reset = struct.pack("ii", 1, 0)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)


@pytest.mark.parametrize("limit", ["wait_sec", "answer_sec"])
def test_a_client_that_reads_slowly_is_given_up_and_keeps_nobody_waiting(
    tmp_path: Path, limit: str
) -> None:
    for served in exporter(tmp_path / "stderr", VEHICLES, {limit: 0.5, "linger_sec": 0.2}):
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.connect(("127.0.0.1", served.port))
            slow.sendall(GET)
            began = time.monotonic()
            while served.connections():
                assert slow.recv(2_000)
                time.sleep(0.05)
            assert time.monotonic() - began < 5
        assert served.stall() < LONGEST_STALL_SEC


def test_more_clients_than_connections_are_answered_one_after_the_other(served: Exporter) -> None:
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(served.ask, [GET] * 12))
    assert [series(answer.body) for answer in answers] == [VEHICLES] * 12


def test_clients_that_only_wait_give_way_the_longest_first(tmp_path: Path) -> None:
    limits = {"connections": 4, "head_sec": 60.0, "idle_sec": 60.0, "linger_sec": 0.2}
    for served in exporter(tmp_path / "stderr", 1, limits):
        with ExitStack() as stack:
            waiting = [stack.enter_context(served.connect()) for _ in range(4)]
            for client in waiting:
                client.send(SMALL)
                client.read(head_only=True)
            assert served.ask(SMALL, head_only=True).status == 200
            assert waiting[0].is_closed()
            for client in waiting[1:]:
                client.send(SMALL)
                assert client.read(head_only=True).status == 200


@pytest.mark.parametrize(
    "request_", [SMALL, b"GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n"]
)
def test_a_flood_of_requests_on_one_connection_keeps_nobody_waiting(
    served: Exporter, request_: bytes
) -> None:
    def flood(client: Client) -> None:
        while True:
            client.send(request_ * 100)

    def drain(client: Client) -> None:
        with suppress(ConnectionResetError):
            while client.socket.recv(1_000_000):
                pass

    with ThreadPoolExecutor(2) as threads, served.connect() as client:
        flooding, draining = threads.submit(flood, client), threads.submit(drain, client)
        time.sleep(1.5)
        client.socket.shutdown(socket.SHUT_RDWR)
        draining.result(PATIENCE_SEC)
        with pytest.raises(GONE):
            flooding.result(PATIENCE_SEC)


def send_body_until(client: Client, ends: float) -> None:
    while time.monotonic() < ends:
        client.send(b"1\r\nx\r\n" * 10_000)


def test_a_body_without_end_keeps_nobody_waiting(served: Exporter) -> None:
    with served.connect() as client:
        client.send(b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(GONE):
            send_body_until(client, time.monotonic() + 1.5)


def test_a_fault_of_ours_breaks_the_answer_off_and_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"begun"
        raise ZeroDivisionError

    server = Server("127.0.0.1", 0, Page("/metrics", "text/plain", parts))
    thread = Thread(target=server.serve_forever)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SEC)
    connection.request("GET", "/metrics")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()
    server.shutdown()
    thread.join()
    server.server_close()
    assert "internal error, please report: a scrape by 127.0.0.1 ended" in caplog.messages
    assert "ZeroDivisionError" in caplog.text
    assert capfd.readouterr().err == ""


def test_a_process_that_may_open_no_more_files_neither_spins_nor_stays_so(tmp_path: Path) -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    for served in exporter(tmp_path / "stderr", 1, {"connections": 40}, few_files):
        cpu = Path(f"/proc/{served.process.pid}/stat")
        with ExitStack() as crowd:
            for _ in range(30):
                crowd.enter_context(served.connect())
            before = int(cpu.read_text().split()[13])
            time.sleep(1)
            assert int(cpu.read_text().split()[13]) - before < 20
        assert served.ask(SMALL, head_only=True).status == 200
