"""Answers that are cheap to send and dear to read: what any of them costs is bounded."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import KEYS, HostileServer, zipped

ROOT = Path(__file__).parents[2]
CPU_SEC, STALL_SEC, MEMORY_KB = 0.5, 0.05, 200_000
READINGS = 5
"""A busy machine counts more CPU time for the same work: the best of so many readings counts."""
MOST_BYTES = {"/status": 1 << 16, "/channels": 1 << 20, "/alarms": 1 << 22, "/data": 8 << 20}
TIME = "2026-02-22T12:00:00.000Z"
ZERO_WIDTH = "\u200b"

UNITS = (
    "NaN ",
    "NaN,",
    "-",
    "-Infinity,",
    " ",
    "[",
    "{",
    '"',
    '"",',
    '{"a":',
    "1",
    "1,",
    "2.2250738585072011e-308,",
    "8.98846567431158e+307,",
    "\\u0041",
    "\\ud800",
    "\\ud83d\\ude00",
    "\\\\",
    "\\n",
    ZERO_WIDTH,
    "\x01",
    f'"{KEYS[0]}",',
    f'"{KEYS[1]}",',
    f"{KEYS[1]},",
    f'{KEYS[1]} "',
    "\N{PILE OF POO}",
    '_id":1.0,',
    '_id":1e0 ',
)
"""What a body is filled with, as often as it fits."""
FRAMES = (
    "{fill}",
    "[{fill}",
    "[{fill}0]",
    '["{fill}"]',
    '{{"rows":[],"truncated":false,"x":["{fill}"]}}',
)
"""What stands around it."""
ENTRIES = {
    "/status": (
        '{{"software_version":"{fill}","db_ok":true}}',
        '{{"uptime_sec":NaN,"x":"{fill}"}}',
    ),
    "/channels": (
        '{{"channel_id":{n},"name":"{fill}","unit":"{fill}","phys_min":0,"phys_max":1}}',
        '{{"channel_id":{n},"name":"x","phys_min":{fill},"phys_max":NaN}}',
        '{{"channel_id":"{fill}"}}',
    ),
    "/alarms": (
        '{{"alarm_id":{n},"channel_id":1,"message":"{fill}","triggered_at":"' + TIME + '"}}',
        '{{"alarm_id":{n},"channel_id":1,"message":"","triggered_at":"{n}{fill}"}}',
        '{{"alarm_id":NaN,"message":"{fill}"}}',
        '{{"alarm_id":{n}.0,"message":"{fill}","triggered_at":"' + TIME + '"}}',
    ),
    "/data": (
        '{{"channel_id":{n},"value":8.98846567431158e+307,"time":"' + TIME + '"}}',
        '{{"channel_id":1,"value":NaN,"time":"2026-02-22T12:00:00.{n}Z"}}',
        '{{"channel_id":1,"value":1,"time":"{n}{fill}"}}',
        '{{"channel_id":"{fill}","value":{n}}}',
        '{{"channel_id":1,"value":{fill},"time":"{n}"}}',
        '{{"channel_id":{n}.0,"value":{n},"x":"{fill}","time":"' + TIME + '"}}',
        '{{"channel_id":{n}.5,"value":{n},"time":"2026-02-22T12:00:00,{n}{fill}"}}',
        "{fill}",
    ),
}
"""Entries of a list; `n` is another number in each."""


class Cost(TypedDict):
    ended: str
    cpu_sec: float
    stall_sec: float
    peak_kb: int


@dataclass
class Reader:
    """A green process that reads answers."""

    process: "subprocess.Popen[str]"
    before_kb: int = 0

    def read(self, call: str, key: int, body: bytes, *headers: str) -> Cost:
        with HostileServer([zipped(body, *headers)]) as server:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(f"{call} {key} {server.port}\n")
            self.process.stdin.flush()
            cost: Cost = json.loads(self.process.stdout.readline())
        return cost


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.unit.green_answers"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        made = Reader(process)
        made.before_kb = made.read("/status", 0, b"{}")["peak_kb"]
        yield made
        assert process.stdin is not None
        process.stdin.close()


def assert_bounded(reader: Reader, call: str, key: int, body: bytes) -> None:
    for _ in range(READINGS):
        cost = reader.read(call, key, body)
        if cost["stall_sec"] < STALL_SEC and cost["cpu_sec"] < CPU_SEC:
            break
    what = (call, body[:80], cost)
    assert cost["cpu_sec"] < CPU_SEC, what
    assert cost["stall_sec"] < STALL_SEC, what
    assert cost["peak_kb"] - reader.before_kb < MEMORY_KB, what
    assert KEYS[key] not in cost["ended"]


def filled(frame: str, unit: str, size: int) -> bytes:
    text = frame.format(fill=unit * (size // len(unit.encode())), n=1)
    return text.encode()[:size]


def listed(call: str, entry: str, unit: str, size: int, count: int) -> bytes:
    """Return so many entries that together have `size` bytes."""
    each = max(0, size // count - len(entry) - 10)
    fill = unit * (each // len(unit.encode()))
    entries = ",".join(entry.format(fill=fill, n=number) for number in range(count))
    if call == "/status":
        return entries.encode()[:size]
    whole = f'{{"truncated":false,"rows":[{entries}]}}' if call == "/data" else f"[{entries}]"
    return whole.encode()


@pytest.mark.long
@pytest.mark.parametrize("call", MOST_BYTES)
def test_whatever_fills_an_answer_reading_it_costs_little(reader: Reader, call: str) -> None:
    for unit in UNITS:
        frame = FRAMES[UNITS.index(unit) % len(FRAMES)]
        assert_bounded(reader, call, 1, filled(frame, unit, MOST_BYTES[call]))


@pytest.mark.long
@pytest.mark.parametrize("call", MOST_BYTES)
def test_whatever_its_entries_are_reading_an_answer_costs_little(reader: Reader, call: str) -> None:
    most = {"/status": 1, "/channels": 5_000, "/alarms": 2_000, "/data": 49_999}[call]
    for entry in ENTRIES[call]:
        for unit in (ZERO_WIDTH, "\\ud800", f"{KEYS[1]} ", '_id\\":1.0,'):
            assert_bounded(reader, call, 1, listed(call, entry, unit, MOST_BYTES[call], most))


@pytest.mark.parametrize(
    "headers",
    [
        [f"Set-Cookie: c{number}=" + "x" * 60_000 for number in range(95)],
        ["Set-Cookie: a=" + "b; " * 20_000],
        ["Date: " + "1 " * 30_000],
        ["Date: " + "(" * 60_000],
        ["Content-Encoding: " + "gzip, " * 9_000],
        [f"X-{number}: {'y' * 600}" for number in range(90)],
    ],
    ids=["cookies", "one cookie", "date", "nested date", "encodings", "many"],
)
def test_whatever_its_headers_are_reading_an_answer_costs_little(
    reader: Reader, headers: list[str]
) -> None:
    cost = reader.read("/status", 0, b"{}", *headers)
    assert cost["cpu_sec"] < CPU_SEC, cost
    assert cost["stall_sec"] < STALL_SEC, cost


@pytest.mark.parametrize("unit", ["\\u0041", "\\\\", '\\"', "{"])
@pytest.mark.parametrize("call", ["/status", "/alarms"])
def test_a_long_string_behind_a_number_that_is_none_costs_little(
    reader: Reader, call: str, unit: str
) -> None:
    (entry,) = (each for each in ENTRIES[call] if "NaN" in each)
    assert_bounded(reader, call, 0, listed(call, entry, unit, MOST_BYTES[call], 1))


def test_half_a_pair_in_each_of_many_rows_costs_little(reader: Reader) -> None:
    entry = ENTRIES["/data"][2].replace("{fill}", "{fill}" + "\\ud800")
    assert_bounded(reader, "/data", 0, listed("/data", entry, "1", MOST_BYTES["/data"], 49_990))


calls = st.sampled_from(sorted(MOST_BYTES))


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.data(), calls, st.integers(0, 1), st.lists(st.sampled_from(UNITS), min_size=1, max_size=4)
)
def test_any_mixture_costs_little(
    reader: Reader, data: st.DataObject, call: str, key: int, units: list[str]
) -> None:
    size = MOST_BYTES[call] // data.draw(st.sampled_from((1, 1, 2, 16)))
    if data.draw(st.booleans()):
        frame = data.draw(st.sampled_from(FRAMES))
        body = filled(frame, "".join(units), size)
    else:
        entry = data.draw(st.sampled_from(ENTRIES[call]))
        count = data.draw(st.sampled_from((1, 100, 1_000, 10_000, 49_999)))
        body = listed(call, entry, "".join(units), size, count)
    assert_bounded(reader, call, key, body)
