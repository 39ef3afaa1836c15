import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from fleetsyncd.errors import RefusalCause, VehicleError, VehicleRefused
from fleetsyncd.telemetry import Status
from fleetsyncd.vehicle.refusals import (
    ERROR_BODY_BYTES,
    LONGEST_REST_SEC,
    judge_by_status,
    rest_sec,
)
from tests.hostile import KEY, Answer, HostileServer, Step, client_of, http, reset, zipped

KEY_CAUSE, DATABASE, PAGE, UNKNOWN = (
    RefusalCause.KEY,
    RefusalCause.DATABASE,
    RefusalCause.PAGE,
    RefusalCause.UNKNOWN,
)
NGINX = b"<html>\r\n<head><title>503 Service\n Temporarily &amp; so on</title></head>\r\n</html>"
FASTAPI = b'{"detail":[{"type":"missing","loc":["header","x-api-key"],"msg":"Field required"}]}'
NO_FIELD = b'{"detail":[{"type":"missing","loc":["query","from"],"msg":"Field required"}]}'


def refused(answer: Answer, key: str | None = KEY, timeout: float = 5.0) -> VehicleRefused:
    with HostileServer([answer]) as server, client_of(server, key=key, timeout=timeout) as client:
        with pytest.raises(VehicleRefused) as caught:
            client.status()
        return caught.value


@pytest.mark.parametrize(
    ("status", "body", "reason", "cause"),
    [
        (401, b"", "HTTP 401: the vehicle refuses the API key", KEY_CAUSE),
        (401, b" \r\n", "HTTP 401: the vehicle refuses the API key", KEY_CAUSE),
        (401, b"{}", "HTTP 401: the vehicle refuses the API key", KEY_CAUSE),
        (401, b"Unauthorized", "HTTP 401: the vehicle refuses the API key", KEY_CAUSE),
        (401, b"Unauthorized by the portal", "HTTP 401: Unauthorized by the portal", UNKNOWN),
        (401, b"Squid: log in at the portal", "HTTP 401: Squid: log in at the portal", UNKNOWN),
        (
            401,
            b'{"message":"portal login needed"}',
            'HTTP 401: {"message":"portal login needed"}',
            UNKNOWN,
        ),
        (
            401,
            b'{"error":"unauthorized"}',
            "HTTP 401: the vehicle refuses the API key",
            KEY_CAUSE,
        ),
        (
            401,
            b'{"error":"key_expired","detail":7}',
            "HTTP 401: the vehicle refuses the API key: key_expired",
            KEY_CAUSE,
        ),
        (
            401,
            b'{"detail":"key has expired"}',
            "HTTP 401: the vehicle refuses the API key: key has expired",
            KEY_CAUSE,
        ),
        (
            401,
            NGINX,
            "HTTP 401: an HTML page: 503 Service Temporarily & so on",
            PAGE,
        ),
        (403, b"<h1>Forbidden</h1>", "HTTP 403: an HTML page: <h1>Forbidden</h1>", PAGE),
        (403, b"", "HTTP 403", UNKNOWN),
        (403, b'{"error":"ip not allowed"}', 'HTTP 403: {"error":"ip not allowed"}', UNKNOWN),
        (403, b'{"detail":"monkey"}', 'HTTP 403: {"detail":"monkey"}', UNKNOWN),
        (
            403,
            b'{"detail":"Not authenticated"}',
            "HTTP 403: the vehicle refuses the API key: Not authenticated",
            KEY_CAUSE,
        ),
        (
            403,
            b'{"error":"Invalid API Key"}',
            "HTTP 403: the vehicle refuses the API key",
            KEY_CAUSE,
        ),
        (
            403,
            b'{"message":"no Route matched"}',
            'HTTP 403: {"message":"no Route matched"}',
            UNKNOWN,
        ),
        (422, FASTAPI, f"HTTP 422: the vehicle misses the API key: {FASTAPI.decode()}", KEY_CAUSE),
        (422, NO_FIELD, f"HTTP 422: {NO_FIELD.decode()}", UNKNOWN),
        (422, NGINX, "HTTP 422: an HTML page: 503 Service Temporarily & so on", PAGE),
        (
            503,
            b'{"error":"database_unavailable"}',
            "HTTP 503: the vehicle's own database is down",
            DATABASE,
        ),
        (
            503,
            b'{"error":"db_down","detail":"disk full\\u001b[2J"}',
            "HTTP 503: the vehicle's own database is down: db_down: disk full�[2J",
            DATABASE,
        ),
        (
            503,
            b'{"detail":"no connection to PostgreSQL"}',
            "HTTP 503: the vehicle's own database is down: no connection to PostgreSQL",
            DATABASE,
        ),
        (
            503,
            b'{"error":"Service Unavailable"}',
            'HTTP 503: {"error":"Service Unavailable"}',
            UNKNOWN,
        ),
        (
            503,
            b'{"detail":"agent is restarting, see feedback"}',
            'HTTP 503: {"detail":"agent is restarting, see feedback"}',
            UNKNOWN,
        ),
        (503, NGINX, "HTTP 503: an HTML page: 503 Service Temporarily & so on", PAGE),
        (503, b"upstream connect error", "HTTP 503: upstream connect error", UNKNOWN),
        (503, b'{"message":"busy"}', 'HTTP 503: {"message":"busy"}', UNKNOWN),
        (503, b"", "HTTP 503", UNKNOWN),
        (503, b"[1]", "HTTP 503: [1]", UNKNOWN),
        (503, b'{"error":', 'HTTP 503: {"error":', UNKNOWN),
        (500, b"\xef\xbb\xbf \xff\n", "HTTP 500: �", UNKNOWN),
        (502, b"<" + b"x" * 9000, f"HTTP 502: an HTML page: <{'x' * 178}…", PAGE),
    ],
)
def test_what_was_seen_is_told_and_a_remedy_only_for_the_vehicles_own_words(
    status: int, body: bytes, reason: str, cause: RefusalCause
) -> None:
    for answer in (http(body, status=f"{status} X"), zipped_refusal(body, status)):
        error = refused(answer)
        assert (error.status, error.reason, error.cause) == (status, reason, cause)


def zipped_refusal(body: bytes, status: int) -> Answer:
    (answer,) = zipped(body)
    assert isinstance(answer, bytes)
    return [answer.replace(b"200 OK", b"%d X" % status, 1)]


def test_without_a_key_any_422_of_the_vehicles_own_is_about_the_key() -> None:
    assert refused(http(NO_FIELD, status="422 X"), key=None).cause is RefusalCause.KEY
    assert refused(http(NGINX, status="422 X"), key=None).cause is RefusalCause.PAGE


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
def test_of_a_body_that_cannot_be_read_the_status_is_told(encoding: str) -> None:
    answer = http(b"no gzip", f"Content-Encoding: {encoding}", status="500 No")
    assert refused(answer).reason == "HTTP 500: its reason cannot be read"


def test_a_body_that_does_not_come_does_not_make_a_timeout_of_a_status() -> None:
    answer: Answer = [b"HTTP/1.1 503 X\r\nContent-Length: 100\r\n\r\n", 3.0]
    began = time.monotonic()
    assert refused(answer, timeout=0.3).reason == "HTTP 503: its reason cannot be read"
    assert time.monotonic() - began < 2


DOWN = b'{"error":"db_down"}'
LENGTH_100 = b"Content-Length: 100\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
UNFINISHED = {
    "no length": b"\r\n" + DOWN,
    "a longer length": LENGTH_100 + DOWN,
    "no last chunk": CHUNKED + b"%x\r\n%b\r\n" % (len(DOWN), DOWN),
    "half a chunk": CHUNKED + b"40\r\n" + DOWN,
    "gzip without its end": b"Content-Encoding: gzip\r\n" + LENGTH_100 + gzip.compress(DOWN)[:-8],
}


@pytest.mark.parametrize("name", UNFINISHED)
@pytest.mark.parametrize("then", [3.0, reset, None], ids=["held open", "reset", "closed"])
def test_what_has_come_of_a_body_is_told_though_its_end_does_not_come(
    name: str, then: Step | None
) -> None:
    head = b"HTTP/1.1 503 X\r\nRetry-After: 7\r\n"
    steps: list[Step] = [head + UNFINISHED[name], 0.1]
    error = refused([*steps, then] if then is not None else steps, timeout=0.4)
    assert error.reason.startswith("HTTP 503: the vehicle's own database is down: db_down")
    assert (error.cause, error.retry_after_sec) == (DATABASE, 7.0)


@pytest.mark.parametrize("size", range(1, len(KEY)))
def test_of_a_key_in_a_body_without_its_end_nothing_is_told(size: int) -> None:
    answer: Answer = [b"HTTP/1.1 400 X\r\n\r\nno: " + KEY[:size].encode(), 3.0]
    assert refused(answer, timeout=0.2).reason == "HTTP 400: no:"
    alone: Answer = [b"HTTP/1.1 400 X\r\n\r\n" + KEY[:size].encode(), 3.0]
    assert refused(alone, timeout=0.2).reason == "HTTP 400: its reason cannot be read"


def test_a_refusal_is_told_as_one_though_its_deadline_comes_before_its_body() -> None:
    @contextmanager
    def late(_seconds: float, error: Callable[[], Exception]) -> Iterator[None]:
        try:
            yield
        except VehicleError:
            raise error() from None

    head = b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno"
    with (
        HostileServer([[head]]) as server,
        client_of(server, deadline=late) as client,
        pytest.raises(VehicleRefused) as caught,
    ):
        client.status()
    assert (caught.value.status, caught.value.retry_after_sec) == (503, 7.0)
    assert caught.value.reason == "HTTP 503: its reason cannot be read; not asked again for 7 s"


@pytest.mark.parametrize("digits", [4_300, 4_301, 8_000])
@pytest.mark.parametrize("zeros", [0, 4_400])
def test_an_entity_of_many_digits_takes_nothing_from_a_refusal(digits: int, zeros: int) -> None:
    entity = "&#" + ("0" * zeros + "9" * digits)[:8_000] + ";"
    page = f"<title>Bad{entity}gateway</title>".encode()
    error = refused(http(page, "Retry-After: 60", status="503 X"))
    assert error.reason == "HTTP 503: an HTML page: Bad�gateway; not asked again for 60 s"
    assert (error.status, error.cause, error.retry_after_sec) == (503, PAGE, 60.0)


@pytest.mark.parametrize("size", [40, 3_000, 5_000, ERROR_BODY_BYTES - 1, ERROR_BODY_BYTES])
@pytest.mark.parametrize("kind", ["{key}", "<title>{key}", '{{"detail":"{key}"}}', "&#60;{key}"])
def test_a_key_that_an_error_repeats_is_not_even_told_in_part(size: int, kind: str) -> None:
    key = "k0<&".ljust(size, "s")
    for status in (400, 401, 422, 503):
        for written in (key, key.replace("&", "&amp;").replace("<", "&lt;")):
            body = kind.format(key=written * (2 * ERROR_BODY_BYTES // size + 2))
            error = refused(http(body.encode(), status=f"{status} X"), key=key)
            assert "ss" not in str(error).replace("Address", "")


def test_an_error_in_small_chunks_is_put_together_before_the_key_is_looked_for() -> None:
    body = f'{{"detail":"your key {KEY} is odd"}}'.encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    answer: Answer = [b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n", chunks]
    assert refused(answer).reason == 'HTTP 400: {"detail":"your key •••• is odd"}'


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("60", 60),
        (" 7 ", 7),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("300", 300),
        ("86400", LONGEST_REST_SEC),
        ("9" * 5000, LONGEST_REST_SEC),
        ("٣٠", None),
        ("Sun, 22 Feb 2026 12:01:30 GMT", 90),
        ("Sun, 22 Feb 2026 11:59:00 GMT", None),
        ("Sun, 22 Feb 2099 12:00:00 GMT", LONGEST_REST_SEC),
        ("Sun, 32 Feb 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_by_the_vehicles_clock_and_within_bounds(
    told: str | None, seconds: float | None
) -> None:
    clock = datetime(2026, 2, 22, 12, tzinfo=UTC)
    assert rest_sec(503, told, clock) == rest_sec(429, told, clock) == seconds
    assert rest_sec(500, told, clock) is None


def test_a_wish_to_be_left_alone_is_told_with_the_reason() -> None:
    date = "Date: Sun, 22 Feb 2026 12:00:00 GMT"
    until = "Retry-After: Sun, 22 Feb 2026 12:02:00 GMT"
    error = refused(http(b"too many", date, until, status="429 X"))
    assert str(error) == "/status: HTTP 429: too many; not asked again for 120 s"
    assert error.retry_after_sec == 120
    assert refused(http(b"", "Retry-After: 5", status="500 X")).retry_after_sec is None


def test_a_503_is_the_databases_if_status_says_so() -> None:
    page = VehicleRefused("/data", 503, "HTTP 503: an HTML page: x", RefusalCause.PAGE, 60.0)
    judged = judge_by_status(page, Status("1", db_ok=False))
    assert (judged.cause, judged.retry_after_sec) == (RefusalCause.DATABASE, 60.0)
    assert str(judged).endswith("x; /status says that the vehicle's own database is down")
    assert judge_by_status(page, Status("1", db_ok=True)) is page
    assert judge_by_status(page, None) is page
    busy = VehicleRefused("/data", 500, "HTTP 500")
    assert judge_by_status(busy, Status("1", db_ok=False)) is busy
