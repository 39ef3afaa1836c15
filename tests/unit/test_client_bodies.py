import gzip
import time
import tracemalloc
import zlib
from codecs import BOM_UTF8, BOM_UTF16
from datetime import UTC, datetime
from itertools import repeat

import pytest

from fleetsyncd.errors import BadAnswer, VehicleError, VehicleTimeout
from fleetsyncd.vehicle import decode
from tests.hostile import CAP, Answer, HostileServer, client_of, http, reset

TOO_LONG = "/channels: longer than 1 MB"
CHANNELS = b'[{"channel_id":1,"name":"Engine speed","phys_min":0,"phys_max":3000}]'
OPEN_ENDED = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def channels_of(answer: Answer) -> bytes:
    with HostileServer([answer]) as server, client_of(server) as client:
        return client.channels().body


@pytest.mark.parametrize("length", [True, False])
def test_a_body_as_long_as_the_cap_is_read(length: bool) -> None:
    assert len(channels_of(http(b" " * CAP, length=length))) == CAP


@pytest.mark.parametrize(
    "answer",
    [
        http(b" " * (CAP + 1)),
        http(b" " * (CAP + 1), length=False),
        [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"],
        [OPEN_ENDED, *repeat(b" " * CAP, 5)],
        [CHUNKED, *repeat(b"100000\r\n" + b" " * CAP + b"\r\n", 5)],
    ],
)
def test_a_body_over_the_cap_is_refused(answer: Answer) -> None:
    with pytest.raises(BadAnswer) as caught:
        channels_of(answer)
    assert str(caught.value) == TOO_LONG


def bomb(megabytes: int) -> bytes:
    """Compress so many megabytes of blanks to a thousandth."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(b" " * CAP) for _ in range(megabytes)) + packer.flush()


@pytest.mark.parametrize("packed", [bomb(200), gzip.compress(b" " * CAP, 1) * 200])
def test_a_gzip_bomb_is_refused_in_bounded_memory(packed: bytes) -> None:
    answer = http(packed, "Content-Encoding: gzip")
    with HostileServer([answer]) as server, client_of(server) as client:
        tracemalloc.start()
        with pytest.raises(BadAnswer) as caught:
            client.channels()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert str(caught.value) == TOO_LONG
    assert peak < 4 * CAP


@pytest.mark.parametrize(
    "encoding",
    [
        *(["gzip, gzip"], ["gzip", "gzip"], ["gzip,x-gzip"], ["x-gzip, identity, gzip"]),
        *(["deflate"], ["br"], ["zstd"], ["gzip, br"], ["\x1b[2Jx"], ["gz"]),
    ],
)
def test_an_encoding_that_was_not_requested_is_refused_unread(encoding: list[str]) -> None:
    headers = [f"Content-Encoding: {name}" for name in encoding]
    packed = gzip.compress(gzip.compress(CHANNELS))
    with pytest.raises(BadAnswer, match=r"^/channels: Content-Encoding .* unasked for$") as caught:
        channels_of(http(packed, *headers))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        *("gzip", "GZIP", "x-gzip", "X-GZip", "gzip ", " , gzip", "identity, x-gzip"),
        *("identity", "Identity", "", " ", ","),
    ],
)
@pytest.mark.parametrize("length", [True, False])
def test_every_way_to_name_gzip_or_no_encoding_is_read(name: str, length: bool) -> None:
    packed = gzip.compress(CHANNELS) if "gzip" in name.lower() else CHANNELS
    assert channels_of(http(packed, f"Content-Encoding: {name}", length=length)) == CHANNELS


@pytest.mark.parametrize("zipped", [True, False])
def test_a_byte_order_mark_before_json_is_left_out(zipped: bool) -> None:
    body = BOM_UTF8 + CHANNELS
    answer = (
        http(gzip.compress(body), "Content-Encoding: gzip") if zipped else http(body, length=False)
    )
    assert channels_of(answer) == CHANNELS


@pytest.mark.parametrize("body", [BOM_UTF8 * 2 + b"[]", b" " + BOM_UTF8 + b"[]", BOM_UTF16 + b"[]"])
def test_any_other_mark_makes_the_answer_no_json(body: bytes) -> None:
    with pytest.raises(BadAnswer, match="not the JSON expected"):
        decode.channels(channels_of(http(body)))


def test_gzip_within_gzip_is_unpacked_once_and_so_no_json() -> None:
    body = channels_of(http(gzip.compress(gzip.compress(CHANNELS)), "Content-Encoding: gzip"))
    with pytest.raises(BadAnswer):
        decode.channels(body)


@pytest.mark.parametrize("length", [True, False])
def test_truncated_gzip_is_an_error_wherever_it_is_cut(length: bool) -> None:
    packed = gzip.compress(b"[" + b",".join([CHANNELS[1:-1]] * 50) + b"]")
    for kept in range(0, len(packed) - 8, 7):
        with pytest.raises(BadAnswer):
            decode.channels(
                channels_of(http(packed[:kept], "Content-Encoding: gzip", length=length))
            )


@pytest.mark.parametrize("body", [b"nonsense", gzip.compress(CHANNELS)[:-8] + b"\0" * 8])
def test_broken_gzip_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer, match="the gzip body is broken"):
        channels_of(http(body, "Content-Encoding: gzip"))


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]", 0.02, reset],
        [CHUNKED, b"5\r\n[]"],
        [CHUNKED, b"2\r\n[]\r\n"],
        [CHUNKED, b"zz\r\n[]\r\n0\r\n\r\n"],
    ],
)
def test_an_answer_cut_in_its_body_is_an_error_and_not_requested_again(answer: Answer) -> None:
    with HostileServer([answer], [http(b"[]")]) as server, client_of(server) as client:
        with pytest.raises(BadAnswer, match="the answer was cut off"):
            client.channels()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]"],
        http(b" " * (CAP + 1)),
        http(b"x", "Content-Encoding: br"),
        http(b"no", status="500 Broken"),
        [b"garbage\r\n"],
    ],
)
def test_a_connection_is_not_used_again_after_a_bad_answer(answer: Answer) -> None:
    good = http(b"[]", "Date: Sun, 22 Feb 2026 12:00:00 GMT")
    unwanted = http(b"of the old connection")
    with HostileServer([answer, unwanted], [good]) as server, client_of(server) as client:
        with pytest.raises(VehicleError, match="/channels"):
            client.channels()
        answered = client.channels()
        assert (answered.body, server.connections) == (b"[]", 2)
        assert answered.clock == datetime(2026, 2, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["])
def test_a_mute_vehicle_is_a_timeout(said: bytes) -> None:
    with (
        HostileServer([[said, 2.0]]) as server,
        client_of(server, timeout=0.1) as client,
        pytest.raises(VehicleTimeout) as caught,
    ):
        client.channels()
    assert str(caught.value) == "/channels: no complete answer within 0.1 s"


def test_the_bytes_of_a_body_that_broke_off_are_known_with_those_that_were_to_come() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"
    with (
        HostileServer([[head + b"1" * 700, 0.05, b"2" * 300, 2.0]]) as server,
        client_of(server, timeout=0.3) as client,
        pytest.raises(VehicleTimeout) as caught,
    ):
        client.channels()
    assert (caught.value.received, caught.value.expected) == (1000, 4000)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
def test_of_a_vehicle_that_sent_no_body_no_bytes_are_counted(said: bytes) -> None:
    with (
        HostileServer([[said, 2.0]]) as server,
        client_of(server, timeout=0.2) as client,
        pytest.raises(VehicleTimeout) as caught,
    ):
        client.channels()
    assert caught.value.received == 0


def test_the_bytes_of_a_complete_answer_are_those_of_its_body() -> None:
    packed = gzip.compress(CHANNELS * 100)
    answers = [http(packed, "Content-Encoding: gzip")] * 2
    with HostileServer(answers) as server, client_of(server) as client:
        assert [client.channels().received for _ in range(2)] == [len(packed)] * 2


@pytest.mark.parametrize("gap", [0.01, 0.2])
def test_the_end_of_a_chunked_answer_that_comes_late_does_not_make_the_link_seem_slow(
    gap: float,
) -> None:
    body = b"%x\r\n" % len(CHANNELS) + CHANNELS + b"\r\n"
    with HostileServer([[CHUNKED + body, gap, b"0\r\n\r\n"]]) as server:
        began = time.monotonic()
        with client_of(server) as client:
            answer = client.channels()
        assert answer.body == CHANNELS
        assert answer.transfer_sec <= 2 * (time.monotonic() - began)


def test_a_head_of_bare_newlines_is_read_and_its_body_counted() -> None:
    body = b"[" + b" " * 100_000 + b"]"
    head = b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(body)
    with HostileServer([[head + body]]) as server, client_of(server) as client:
        answer = client.channels()
    assert (answer.body, answer.received) == (body, len(body))
