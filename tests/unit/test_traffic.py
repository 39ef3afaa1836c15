from contextlib import suppress

import pytest

from fleetsyncd.errors import VehicleError
from fleetsyncd.traffic import Traffic
from tests.hostile import Answer, HostileServer, client_of, http, reset, zipped

BODY = b'{"software_version":"1.1.0"}' * 100
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LONG_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
WHOLE: dict[str, Answer] = {
    "gzip": zipped(BODY),
    "plain": http(BODY),
    "after an interim one": [CONTINUE, *http(b"{}")],
    "chunked": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ],
}
BROKEN: dict[str, Answer] = {
    "refused": http(b"no such key", status="401 Unauthorized"),
    "redirected": http(b"x" * 20_000, status="301 Moved Permanently"),
    "cut off": [LONG_HEAD, b"x" * 1234],
    "cut off in its head": [b"HTTP/1.1 200 OK\r\nContent-Len"],
    "no HTTP": [b"\0" * 300],
    "too large": http(b"x" * (1 << 18)),
}


def size_of(answer: Answer) -> int:
    return sum(len(step) for step in answer if isinstance(step, bytes))


def carried_by(*connections: list[Answer], calls: int = 1) -> tuple[list[str], list[Traffic]]:
    """Return the requests that came in, and what each call counted."""
    counted: list[Traffic] = []
    server = HostileServer(*connections)
    with (
        server,
        client_of(server, on_call=lambda _call, _sec, carried: counted.append(carried)) as client,
    ):
        for _ in range(calls):
            with suppress(VehicleError):
                client.status()
    return server.requests, counted


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_counts_as_the_link_carries_it_head_and_body(name: str) -> None:
    answer = WHOLE[name]
    requests, calls = carried_by([answer, answer], calls=2)
    assert calls == [Traffic(size_of(answer), len(request), 1) for request in requests]


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_fails_counts_with_all_that_came_of_it(name: str) -> None:
    (request,), (call,) = carried_by([BROKEN[name]])
    assert call == Traffic(call.received, len(request), 1)
    if name == "too large":  # more is under way when the client hangs up
        assert 0 < call.received <= size_of(BROKEN[name])
    else:
        assert call.received == size_of(BROKEN[name])


def test_a_second_try_on_a_new_connection_counts_too() -> None:
    requests, calls = carried_by([http(b"{}"), [reset]], [http(b"{}")], calls=2)
    first, second, third = map(len, requests)
    assert calls == [
        Traffic(size_of(http(b"{}")), first, 1),
        Traffic(size_of(http(b"{}")), second + third, 2),
    ]


def test_a_vehicle_that_takes_no_connection_was_sent_nothing() -> None:
    counted: list[Traffic] = []
    with HostileServer() as server:
        gone = client_of(server, on_call=lambda _call, _sec, carried: counted.append(carried))
    with gone as client, pytest.raises(VehicleError):
        client.status()
    assert counted == [Traffic()]
