import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import TypedDict

import pytest

from tests.hostile import Answer, HostileServer, Step

ROOT = Path(__file__).parents[2]
TIMEOUT_SEC, TICK_SEC = 0.5, 0.01
TOO_LONG = "AnswerTooLarge: /data: reading it takes too long"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = b"HTTP/1.1 429 X\r\nRetry-After: 60\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\nX-Progress: 50\r\n\r\n"


class Outcome(TypedDict):
    ended: str
    seconds: float
    ticks: int


def dripping(first: bytes, drop: bytes) -> Iterator[Step]:
    yield first
    for _ in range(1000):
        yield drop
        yield 0.02


ANSWERS: dict[str, Callable[[], Answer]] = {
    "body drips": lambda: dripping(HEAD + b"\r\n", b" "),
    "chunks drip": lambda: dripping(CHUNKED, b"1\r\n \r\n"),
    "a header drips": lambda: dripping(HEAD + b"X-Slow: ", b"x"),
    "the status line drips": lambda: dripping(b"HTTP/1.1 200 ", b"O"),
    "an error's body drips": lambda: dripping(
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000000\r\n\r\n", b" "
    ),
    "an error comes late": lambda: [0.4, REFUSED + b"Content-Length: 99\r\n\r\nbusy", 5.0],
    "an error comes late and drips": lambda: chain(
        [0.4], dripping(REFUSED + CHUNKS, b"1\r\nx\r\n")
    ),
    "an error comes very late": lambda: [0.46, REFUSED + b"Content-Length: 4\r\n\r\nbusy", 5.0],
    "100 Continue drips": lambda: dripping(b"", CONTINUE),
    "100 Continue pours": lambda: repeat(CONTINUE * 1000),
    "102 Processing drips": lambda: dripping(b"", PROCESSING),
    "102 Processing pours": lambda: repeat(PROCESSING * 1000),
    "chunks of one byte pour": lambda: chain([CHUNKED], repeat(b"1\r\n \r\n" * 1000)),
    "empty gzip members pour": lambda: chain([ZIPPED], repeat(gzip.compress(b"") * 1000)),
    "mute": lambda: [5.0],
    "mute in the body": lambda: [HEAD + b"\r\n{", 5.0],
}


def ask(timeout_sec: float, answers: dict[str, Callable[[], Answer]]) -> dict[str, Outcome]:
    """Ask each hostile vehicle from a green process, the servers being threads of this one."""
    with ExitStack() as servers:
        ports = [
            f"{name}={servers.enter_context(HostileServer([answer()])).port}"
            for name, answer in answers.items()
        ]
        command = [sys.executable, "-W", "error", "-m", "tests.unit.green_deadlines"]
        done = subprocess.run(
            [*command, str(timeout_sec), *ports],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Outcome] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return ask(TIMEOUT_SEC, ANSWERS)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_call_without_a_complete_answer_ends_at_its_deadline(
    outcomes: dict[str, Outcome], name: str
) -> None:
    outcome = outcomes[name]
    if outcome["ended"] == TOO_LONG:
        assert "pour" in name
    elif "an error" in name:
        assert outcome["ended"].startswith("VehicleRefused: /data: HTTP 4")
    else:
        assert outcome["ended"] == "VehicleTimeout: /data: no complete answer within 0.5 s"
        assert outcome["seconds"] >= TIMEOUT_SEC * 0.9
    assert outcome["seconds"] <= TIMEOUT_SEC + 0.5


def test_a_refusal_is_told_as_one_however_little_time_is_left(
    outcomes: dict[str, Outcome],
) -> None:
    late = [outcome["ended"] for name, outcome in outcomes.items() if "an error comes" in name]
    assert len(late) == 3
    assert all(ended.endswith("; not asked again for 60 s") for ended in late)
    assert late[0] == "VehicleRefused: /data: HTTP 429: busy; not asked again for 60 s"
    assert outcomes["an error's body drips"]["ended"] == (
        "VehicleRefused: /data: HTTP 400: its reason cannot be read"
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_other_greenlets_go_on_while_a_call_waits(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome["ticks"] >= min(8, outcome["seconds"] / TICK_SEC / 4)


def test_an_answer_that_pours_in_without_end_is_given_up_before_it_takes_much_cpu() -> None:
    name = "chunks of one byte pour"
    # Long before the deadline, also where the process gets a small part of a core.
    assert ask(20, {name: ANSWERS[name]})[name]["ended"] == TOO_LONG
