import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from fleetsyncd.errors import (
    BadAnswer,
    VehicleError,
    VehicleRefused,
    VehicleTimeout,
    VehicleUnreachable,
)
from fleetsyncd.models import Window
from fleetsyncd.vehicle.client import VehicleClient
from tests.hostile import KEY, Answer, HostileServer, client_of, http, reset, zipped

START = datetime(2026, 2, 22, 10, 30, 0, 123_999, UTC)
MINUTE = Window(START, START + timedelta(minutes=1))
MINUTE_QUERY = "from=2026-02-22T10:30:00.123Z&to=2026-02-22T10:31:00.123Z"
OK = http(b"{}")


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda client: client.status(), "/status"),
        (lambda client: client.channels(), "/channels"),
        (lambda client: client.data(MINUTE), f"/data?{MINUTE_QUERY}&limit=50000"),
        (lambda client: client.data(MINUTE, 7), f"/data?{MINUTE_QUERY}&channel_id=7&limit=50000"),
        (lambda client: client.alarms(MINUTE), f"/alarms?{MINUTE_QUERY}"),
    ],
)
def test_a_call_asks_its_path_with_the_key_and_accepts_gzip(
    ask: Callable[[VehicleClient], object], line: str
) -> None:
    with HostileServer([OK]) as server, client_of(server) as client:
        ask(client)
        assert server.requests[0].startswith(f"GET {line} HTTP/1.1\r\n")
        assert server.header("X-API-Key") == KEY
        assert server.header("Accept-Encoding") == "gzip"
        assert server.header("Host") == f"127.0.0.1:{server.port}"


def test_without_a_key_none_is_sent() -> None:
    with HostileServer([OK]) as server, client_of(server, key=None) as client:
        client.status()
        assert server.header("X-API-Key") is None


def test_a_gzip_body_is_unpacked() -> None:
    body = b'{"software_version":"1.1.0"}' * 100
    with HostileServer([zipped(body)]) as server, client_of(server) as client:
        assert client.status().body == body


def test_a_chunked_body_is_put_together() -> None:
    chunked: Answer = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n{\r\n1\r\n}\r\n",
        b"0\r\n\r\n",
    ]
    with HostileServer([chunked]) as server, client_of(server) as client:
        assert client.status().body == b"{}"


def test_an_ipv6_host_is_bracketed() -> None:
    try:
        server = HostileServer([OK], host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server, client_of(server) as client:
        assert client.status().body == b"{}"
        assert server.header("Host") == f"[::1]:{server.port}"


def test_calls_share_one_kept_connection() -> None:
    with HostileServer([OK, OK, OK]) as server, client_of(server) as client:
        for _ in range(3):
            client.status()
        assert (server.connections, len(server.requests)) == (1, 3)


INTERIM = {
    "Continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "Processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "Early Hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nX: y\r\n\r\n",
    "of no name": b"HTTP/1.1 199\r\nContent-Length: 7\r\n\r\n",
    "several": b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nA: b\r\n\r\nHTTP/1.1 102 P\n\n",
}


@pytest.mark.parametrize("name", INTERIM)
@pytest.mark.parametrize("gap", [[], [0.02]])
def test_interim_answers_before_the_answer_are_skipped_and_no_body(
    name: str, gap: list[float]
) -> None:
    answer = [INTERIM[name], *gap, *http(b'{"db_ok":true}')]
    with HostileServer([answer, answer]) as server, client_of(server) as client:
        for _ in range(2):
            got = client.status()
            assert (got.body, got.received) == (b'{"db_ok":true}', 14)
        assert server.connections == 1


@pytest.mark.parametrize("status", ["101 Switching Protocols", "099 Odd", "1000 Odd"])
def test_an_answer_that_is_no_interim_one_is_not_skipped(status: str) -> None:
    answer = [f"HTTP/1.1 {status}\r\n\r\n".encode(), *OK]
    with (
        HostileServer([answer]) as server,
        client_of(server) as client,
        pytest.raises(VehicleError, match=r"HTTP 101|not an HTTP answer"),
    ):
        client.status()


@pytest.mark.parametrize("end", [[], [reset]])
def test_a_kept_connection_that_closes_under_a_request_is_requested_once_more(end: Answer) -> None:
    with HostileServer([OK, end], [OK]) as server, client_of(server) as client:
        client.status()
        assert client.status().body == b"{}"
        assert (server.connections, len(server.requests)) == (2, 3)


def test_a_vehicle_that_always_hangs_up_is_requested_no_more_than_twice() -> None:
    with HostileServer([[]], [[]], [OK]) as server, client_of(server) as client:
        with pytest.raises(VehicleUnreachable, match="hung up without an answer"):
            client.status()
        assert server.connections == 2


def test_one_deadline_of_the_timeout_spans_a_call_its_body_and_its_second_try() -> None:
    spans: list[str] = []

    @contextmanager
    def deadline(seconds: float, error: Callable[[], Exception]) -> Iterator[None]:
        spans.append(f"{seconds} s, or {error()}")
        yield
        spans.append(f"ended after {server.connections} connections")

    with (
        HostileServer([[]], [OK]) as server,
        client_of(server, timeout=7, deadline=deadline) as client,
    ):
        client.status()
    assert spans == [
        "7 s, or /status: no complete answer within 7 s",
        "ended after 2 connections",
    ]


def test_a_refused_connection_is_unreachable_for_a_readable_reason() -> None:
    with HostileServer() as server:
        gone = client_of(server)
    with gone as client, pytest.raises(VehicleUnreachable) as caught:
        client.status()
    assert str(caught.value) == "/status: no connection: Connection refused"


def test_a_host_that_takes_no_connection_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        host, port = full.getsockname()
        client = VehicleClient(
            host,
            port,
            None,
            pull_timeout_sec=0.1,
            pull_max_body_mb=1,
            deadline=lambda *_given: nullcontext(),
        )
        # The first connection fills the queue of those that wait to be accepted.
        with (
            socket.create_connection((host, port)),
            closing(client),
            pytest.raises(VehicleTimeout, match="/status: connecting timed out"),
        ):
            client.status()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "HTTP 401: the vehicle refuses the API key: x"),
        (403, 'HTTP 403: {"error":"x"}'),
        (422, 'HTTP 422: {"error":"x"}'),
        (503, 'HTTP 503: {"error":"x"}'),
        (500, 'HTTP 500: {"error":"x"}'),
        (404, 'HTTP 404: {"error":"x"}'),
        (204, "HTTP 204"),
    ],
)
def test_any_other_status_than_200_is_refused_with_its_meaning(status: int, reason: str) -> None:
    answer = http(b'{"error":"x"}', status=f"{status} Whatever")
    with HostileServer([answer]) as server, client_of(server) as client:
        with pytest.raises(VehicleRefused) as caught:
            client.status()
        assert (caught.value.status, caught.value.reason) == (status, reason)


def test_the_detail_of_a_400_is_reported_without_control_characters() -> None:
    body = b'{"error":"invalid_params","detail":"from \x1b]52;c;eA==\x07\nis \xffnot"}'
    with HostileServer([http(body, status="400 No")]) as server, client_of(server) as client:
        with pytest.raises(VehicleRefused) as caught:
            client.data(MINUTE)
        assert str(caught.value) == (
            '/data: HTTP 400: {"error":"invalid_params","detail":"from �]52;c;eA==�⏎is �not"}'
        )


def test_the_detail_of_a_400_is_cut_to_a_line() -> None:
    answer = http(b"x" * 500_000, status="400 No")
    with HostileServer([answer]) as server, client_of(server) as client:
        with pytest.raises(VehicleRefused) as caught:
            client.status()
        assert len(str(caught.value)) < 250


def test_a_400_whose_body_is_broken_is_still_a_400() -> None:
    answer = http(b"no gzip", "Content-Encoding: gzip", status="400 No")
    with (
        HostileServer([answer]) as server,
        client_of(server) as client,
        pytest.raises(VehicleRefused, match="HTTP 400: its reason cannot be read"),
    ):
        client.status()


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ("Sun, 22 Feb 2026 12:00:00 GMT", datetime(2026, 2, 22, 12, tzinfo=UTC)),
        ("Sun, 22 Feb 2026 14:00:00 +0200", datetime(2026, 2, 22, 12, tzinfo=UTC)),
        ("Sun, 22 Feb 2026 12:00:00 -0000", datetime(2026, 2, 22, 12, tzinfo=UTC)),
        ("Thu, 01 Jan 1970 00:00:07 GMT", datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)),
    ],
)
def test_the_date_header_is_the_vehicles_clock(date: str, clock: datetime) -> None:
    with HostileServer([http(b"{}", f"Date: {date}")]) as server, client_of(server) as client:
        told = client.status().clock
        assert told == clock
        assert told is not None
        assert told.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Date: "],
        ["Date: soon"],
        ["Date: Sun, 32 Feb 2026 12:00:00 GMT"],
        ["Date: Sun, 22 Feb 99999999 12:00:00 GMT"],
        ["Date: Sun, 22 Feb 2026 12:00:00 +9999"],
        ["Date: Fri, 31 Dec 9999 23:59:59 -0800"],
        ["Date: \xff\x00,,,"],
    ],
)
def test_without_a_date_that_can_be_read_the_clock_is_unknown(headers: list[str]) -> None:
    with HostileServer([http(b"{}", *headers)]) as server, client_of(server) as client:
        assert client.status().clock is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"{}",
        b"\x00\xff" * 500,
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ],
)
def test_garbage_instead_of_http_is_a_bad_answer(garbage: bytes) -> None:
    with (
        HostileServer([[garbage]]) as server,
        client_of(server) as client,
        pytest.raises(BadAnswer, match="/status: not an HTTP answer: "),
    ):
        client.status()


@pytest.mark.parametrize("extra", [http(b'{"of":"the first"}'), [b"HTTP/1.1 408 Late\r\n\r\n"]])
def test_an_unrequested_answer_is_not_taken_for_the_next_one(extra: Answer) -> None:
    first, second = http(b'{"of":"the first"}'), http(b'{"of":"the second"}')
    sent = threading.Event()
    doubled = [*first, 0.1, *extra, lambda _connection: sent.set()]
    with HostileServer([doubled], [second]) as server, client_of(server) as client:
        assert client.status().body == b'{"of":"the first"}'
        assert sent.wait(5)
        assert client.channels().body == b'{"of":"the second"}'
        assert server.connections == 2
