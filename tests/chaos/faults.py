"""What a vehicle's client gets to see of each kind of fault: bytes, pauses, ends of connections."""

import gzip
import json
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from random import Random

from tests.chaos import past, poison
from tests.chaos.honest import Fault, Honest, changed, json_answer
from tests.hostile import Answer, Step, http, reset

HANG_SEC = 20.0
DRIP_SEC = 0.04
SINGLE_CHANNEL_SEC = 0.9
MANY_CHANNELS, MANY_ALARMS = 4_000, 1_900
SLOW_BYTES, SLOW_SEC = 500, 0.05
"""80 kbit/s."""
BOMB = gzip.compress(b"0" * (48 << 20), 1)
"""More than the daemon is let to read of an answer, in few bytes."""
ESCAPES = "\x1b]52;c;aGk=\x07\x1b[2J[/nope]\u202e\u2028\x00\x9b"


def _hang(_honest: Honest, _dice: Random) -> Answer:
    return [HANG_SEC]


def _drip(honest: Honest, _dice: Random) -> Iterator[Step]:
    head, end, body = honest.wire.partition(b"\r\n\r\n")
    yield head + end
    for at in range(len(body) - 1):
        yield body[at : at + 1]
        yield DRIP_SEC
    yield HANG_SEC


def _drip_head(_honest: Honest, _dice: Random) -> Iterator[Step]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X-Filler: 1\r\n"
        yield DRIP_SEC


def _endless_100(_honest: Honest, _dice: Random) -> Iterator[Step]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n"
        yield DRIP_SEC


def _endless_103(_honest: Honest, _dice: Random) -> Iterator[Step]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\nLink: </status>\r\n\r\n"
        yield DRIP_SEC


def _busy(honest: Honest, dice: Random) -> Answer:
    status = dice.choice(("429 Too Many Requests", "503 Service Unavailable"))
    return http(b"busy", honest.date, "Retry-After: 1", status=status)


def _other_notation(honest: Honest, dice: Random) -> Answer:
    """Answer what is true, as nobody is expected to write it."""
    text = re.sub(rb'(_id": ?-?[0-9]+)(?=[,}])', rb"\1.0", honest.body)
    text = BOM_UTF8 + re.sub(rb"(:[0-9]{2})\.([0-9]{3})Z", rb"\1,\2+00", text)
    interim = dice.choice((b"", b"HTTP/1.1 102 Processing\r\n\r\n"))
    if dice.random() < 1 / 2:
        return [interim, *http(text, honest.date, "Content-Encoding: ")]
    packed = zlib.compress(text, level=1, wbits=31)
    return [interim, *http(packed, honest.date, "Content-Encoding: X-GZIP")]


def _slow_link(honest: Honest, _dice: Random) -> Iterator[Step]:
    for at in range(0, len(honest.wire), SLOW_BYTES):
        yield honest.wire[at : at + SLOW_BYTES]
        yield SLOW_SEC


def _reset(honest: Honest, dice: Random) -> Answer:
    return [honest.wire[: dice.randrange(1, len(honest.wire))], reset]


def _cut(honest: Honest, dice: Random) -> Answer:
    return [honest.wire[: dice.randrange(1, len(honest.wire))]]


def _hang_up(_honest: Honest, _dice: Random) -> Answer:
    return []


def _refusal(status: str) -> Fault:
    return lambda honest, _dice: http(b'{"error":"no"}', honest.date, status=status)


def _html(honest: Honest, _dice: Random) -> Answer:
    return http(poison.WHOLE["HTML"], honest.date, "Content-Type: text/html")


def _redirect(honest: Honest, dice: Random) -> Answer:
    status = dice.choice(("301 Moved Permanently", "302 Found", "307 Temporary Redirect"))
    return http(b"", f"Location: http://{honest.canary}{honest.call}", status=status)


def _cut_gzip(honest: Honest, dice: Random) -> Answer:
    packed = gzip.compress(honest.body)
    part = packed[: dice.randrange(1, len(packed) - 8)]
    return http(part, honest.date, "Content-Encoding: gzip")


def _double_gzip(honest: Honest, dice: Random) -> Answer:
    encoding = dice.choice(("gzip", "gzip, gzip"))
    twice = gzip.compress(gzip.compress(honest.body))
    return http(twice, honest.date, f"Content-Encoding: {encoding}")


def _bomb(honest: Honest, _dice: Random) -> Answer:
    return http(BOMB, honest.date, "Content-Encoding: gzip")


def _huge_length(honest: Honest, _dice: Random) -> Answer:
    parts = http(b"[", honest.date, "Content-Length: 10000000000", length=False)
    return [*parts, HANG_SEC]


def _hand_made(honest: Honest, dice: Random) -> Answer:
    return http(poison.WHOLE[dice.choice(list(poison.WHOLE))], honest.date)


def _bad_entries(honest: Honest, dice: Random) -> Answer:
    entries = poison.bad_entries(honest.call, dice)
    return json_answer(honest, poison.mixed(honest.call, honest.body, entries))


def _control_characters(honest: Honest, dice: Random) -> Answer:
    if honest.call == "/status":
        return changed(honest, software_version=ESCAPES)
    extra = {"channel_id": 900, "name": ESCAPES, "unit": ESCAPES, "phys_min": 0, "phys_max": 1}
    entry = json.dumps(extra, ensure_ascii=dice.random() < 1 / 2)
    return json_answer(honest, poison.mixed("/channels", honest.body, [entry]))


def _echoed_key(honest: Honest, dice: Random) -> Answer:
    detail = json.dumps({"error": "invalid_params", "detail": f"your key {honest.key} is odd"})
    if honest.call == "/status" and dice.random() < 1 / 2:
        return changed(honest, software_version=f"1.0 {honest.key}")
    return http(detail.encode(), honest.date, status="400 Bad Request")


def _other_interval(honest: Honest, _dice: Random) -> Answer:
    answer = json.loads(honest.body)
    return changed(honest, **{"from": answer["to"], "to": "2031-01-01T00:00:00.000Z"})


def _channels_change(honest: Honest, dice: Random) -> Answer:
    channels = json.loads(honest.body)
    changed = channels.pop(dice.randrange(len(channels)))
    if dice.random() < 1 / 2:
        channels.append(changed | {"name": "Renamed", "phys_max": 4711})
    return json_answer(honest, json.dumps(channels).encode())


def _dear_to_read(honest: Honest, dice: Random) -> Answer:
    """Answer with some hundred kilobytes that unpack to megabytes of what costs most to read."""
    return json_answer(honest, poison.dear(honest.call, honest.key, dice))


def _never_complete(honest: Honest, _dice: Random) -> Answer:
    """Answer only if a single channel is asked for, and take a while."""
    if "channel_id=" in honest.query:
        return [SINGLE_CHANNEL_SEC, honest.wire]
    return changed(honest, truncated=True, rows=[])


def _alarm_flood(honest: Honest, _dice: Random) -> Answer:
    return json_answer(honest, poison.ALARM_FLOOD)


def _new_alarms(honest: Honest, dice: Random) -> Answer:
    first = dice.randrange(2**40)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    alarm = {"channel_id": 1, "message": "x" * 500, "triggered_at": at}
    alarms = [{"alarm_id": first + number, **alarm} for number in range(MANY_ALARMS)]
    return json_answer(honest, json.dumps(alarms).encode())


def _new_channels(honest: Honest, dice: Random) -> Answer:
    first = dice.randrange(2**30)
    channel = {"name": "x" * 100, "unit": "V", "phys_min": 0, "phys_max": 1}
    channels = [{"channel_id": first + number, **channel} for number in range(MANY_CHANNELS)]
    return json_answer(honest, json.dumps(channels).encode())


def _clock_9999(honest: Honest, _dice: Random) -> Answer:
    packed = zlib.compress(honest.body, level=1, wbits=31)
    return http(packed, "Date: Fri, 31 Dec 9999 23:59:59 GMT", "Content-Encoding: gzip")


def _two_lengths(honest: Honest, _dice: Random) -> Answer:
    length = len(honest.body)
    head = [
        "HTTP/1.1 200 OK",
        honest.date,
        "Transfer-Encoding: chunked",
        f"Content-Length: {length}",
    ]
    start = "\r\n".join([*head, "", f"{length:x}", ""]).encode()
    return [start + honest.body + b"\r\n0\r\n\r\n"]


FAULTS: Mapping[str, Fault] = {
    "hang": _hang,
    "drip": _drip,
    "drip-head": _drip_head,
    "endless-100": _endless_100,
    "endless-103": _endless_103,
    "busy": _busy,
    "slow-link": _slow_link,
    "reset": _reset,
    "cut": _cut,
    "hang-up": _hang_up,
    "401": _refusal("401 Unauthorized"),
    "422": _refusal("422 Unprocessable Content"),
    "500": _refusal("500 Internal Server Error"),
    "503": _refusal("503 Service Unavailable"),
    "html": _html,
    "redirect": _redirect,
    "cut-gzip": _cut_gzip,
    "double-gzip": _double_gzip,
    "bomb": _bomb,
    "huge-length": _huge_length,
    "hand-made": _hand_made,
    "bad-entries": _bad_entries,
    "control-characters": _control_characters,
    "echoed-key": _echoed_key,
    "other-interval": _other_interval,
    "channels-change": _channels_change,
    "dear-to-read": _dear_to_read,
    "never-complete": _never_complete,
    "alarm-flood": _alarm_flood,
    "clock-9999": _clock_9999,
    "two-lengths": _two_lengths,
    "other-notation": _other_notation,
    "new-alarms": _new_alarms,
    "new-channels": _new_channels,
    "other-past": past.other_past,
    "past-flood": past.past_flood,
    "no-past": past.no_past,
}
