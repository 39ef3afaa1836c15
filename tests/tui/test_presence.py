"""The dashboard ends when nobody is at its terminal any more."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.events import AppFocus, CursorPosition

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import small_fleet
from tests.tui.terminal import Terminal, locked, terminal
from tui.presence import ASK_SEC, CLOSED, GONE_SEC, TICK_SEC, Presence, may_answer

ANSWER = "\x1b[24;80R"
SHIFT_F3 = "\x1b[1;2R"
QUESTION = b"\x1b[6n"
# As in tui.__main__, with seconds for minutes.
QUICK = """
from tui import presence
presence.TICK_SEC, presence.ASK_SEC, presence.GONE_SEC, presence.GRACE_SEC = 0.2, 0.6, 3.0, 1.0
from tui.__main__ import main
main(prog_name="fleetsync-tui")
"""
QUICK_GONE_SEC = 3.0


def ticks(presence: Presence, seconds: float, *, writable: bool = True) -> list[str]:
    seen = [
        presence.absence(hung_up=False, writable=writable) for _ in range(int(seconds / TICK_SEC))
    ]
    return [reason for reason in seen if reason is not None]


def test_a_terminal_that_has_never_answered_is_not_expected_to() -> None:
    presence = Presence()
    presence.heard(answer=False)
    assert ticks(presence, 100 * GONE_SEC) == []


def test_a_terminal_that_answers_no_more_is_given_up_after_some_questions() -> None:
    presence = Presence()
    assert presence.must_ask()
    presence.heard(answer=True)
    questions = 0
    for _ in range(int(GONE_SEC / TICK_SEC) - 1):
        assert presence.absence(hung_up=False, writable=True) is None
        questions += presence.must_ask()
    assert questions == int(GONE_SEC / ASK_SEC) - 1
    assert ticks(presence, TICK_SEC) == ["the terminal has not answered for 300 s"]


@pytest.mark.parametrize("answer", [True, False], ids=["answer", "key"])
def test_any_input_shows_that_somebody_is_there(answer: bool) -> None:
    presence = Presence(answers=True)
    for _ in range(3):
        assert ticks(presence, GONE_SEC - TICK_SEC) == []
        presence.heard(answer=answer)


def test_output_that_nobody_reads_is_borne_for_a_while() -> None:
    presence = Presence()
    assert ticks(presence, GONE_SEC - TICK_SEC, writable=False) == []
    assert ticks(presence, TICK_SEC) == []
    assert ticks(presence, GONE_SEC - TICK_SEC, writable=False) == []
    told = ticks(presence, TICK_SEC, writable=False)
    assert told == ["nothing was read from the terminal for 300 s"]


@pytest.mark.parametrize("answer", [True, False], ids=["answer", "key"])
def test_who_types_is_there_though_the_output_is_always_congested(answer: bool) -> None:
    presence = Presence(answers=True)
    for _ in range(3):
        assert ticks(presence, GONE_SEC - TICK_SEC, writable=False) == []
        presence.heard(answer=answer)


def test_a_position_that_nobody_has_asked_for_is_no_answer() -> None:
    presence = Presence()
    presence.heard(answer=True)
    assert not presence.answers
    assert presence.must_ask() is False
    assert ticks(presence, 2 * GONE_SEC) == []
    assert presence.must_ask()
    presence.heard(answer=True)
    assert presence.answers


@pytest.mark.parametrize("column", [1, 2, 5, 16, 17])
def test_f3_with_other_keys_is_no_answer(column: int) -> None:
    assert may_answer(CursorPosition(column - 1, 0)) is (column in (1, 17))
    assert may_answer(CursorPosition(column - 1, 23))
    assert not may_answer(AppFocus())


def test_a_terminal_that_hangs_up_is_gone_at_once() -> None:
    assert Presence().absence(hung_up=True, writable=True) == CLOSED


@pytest.fixture
def vehicles(database: Database) -> None:
    small_fleet(database)


@contextmanager
def quick(server: Server, database_name: str, folder: Path) -> Iterator[Terminal]:
    command = [sys.executable, "-c", QUICK]
    with terminal(server, database_name, folder, command=command) as it:
        it.sees("Truck-01")
        yield it


def until_ended(it: Terminal, within: float) -> int:
    """Wait for the program without reading what it writes."""
    return it.program.wait(within)


@pytest.mark.usefixtures("vehicles")
def test_a_closed_terminal_ends_it_within_seconds(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.close()
        assert until_ended(it, 15.0) == 0


@pytest.mark.usefixtures("vehicles")
def test_a_terminal_that_stops_answering_ends_it_with_a_message(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with quick(server, database_name, tmp_path) as it:
        asked = 0
        ends = time.monotonic() + 2 * QUICK_GONE_SEC
        while time.monotonic() < ends:
            if (seen := it.shown.count(QUESTION)) > asked:
                it.type(ANSWER)
                asked = seen
            it.read(0.1)
        assert asked >= 3
        assert it.program.poll() is None
        assert it.ended() == 0
        assert b"\x1b[?1049l" in it.shown
        assert b"fleetsync-tui: the terminal has not answered for 3 s" in it.shown


@pytest.mark.usefixtures("vehicles")
def test_a_terminal_that_never_answers_is_left_alone(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with quick(server, database_name, tmp_path) as it:
        it.read_for(3 * QUICK_GONE_SEC)
        assert it.shown.count(QUESTION) > 3
        assert it.program.poll() is None
        it.type("q")
        assert it.ended() == 0


@pytest.mark.usefixtures("vehicles")
def test_a_key_that_looks_like_an_answer_is_none(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with quick(server, database_name, tmp_path) as it:
        it.type(SHIFT_F3)
        it.read_for(2 * QUICK_GONE_SEC)
        assert it.shown.count(QUESTION) > 3
        assert it.program.poll() is None


COMPUTING = """
from tui.app import FleetApp
def compute(self):
    while True:
        pass
FleetApp.action_copy = compute
from tui.__main__ import main
main(prog_name="fleetsync-tui")
"""
AT_ONCE_SEC = 3.0
"""It is to take one; the tests share their machine."""


def compute(it: Terminal) -> None:
    it.type("y")
    it.read_for(0.3)


def storm_of_keys(it: Terminal) -> None:
    for _ in range(40):
        it.type("jk\r?qq4q"[:-1] + "\x1b")


def fill(it: Terminal) -> None:
    """Have so much written that nobody reads that the program waits for its output."""
    for _ in range(30):
        it.type("??")
        time.sleep(0.05)


@pytest.mark.usefixtures("vehicles")
def test_output_that_nobody_reads_ends_it(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with quick(server, database_name, tmp_path) as it:
        fill(it)
        assert until_ended(it, 20.0) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
@pytest.mark.usefixtures("vehicles")
def test_a_signal_ends_it_though_nobody_reads_its_output(
    server: Server, database_name: str, tmp_path: Path, number: signal.Signals
) -> None:
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        fill(it)
        it.program.send_signal(number)
        assert until_ended(it, 15.0) == 0


@pytest.mark.usefixtures("vehicles")
def test_a_stopped_process_does_not_take_the_pause_for_silence(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with quick(server, database_name, tmp_path) as it:
        it.type(ANSWER)
        it.read_for(0.5)
        it.program.send_signal(signal.SIGSTOP)
        it.read_for(2 * QUICK_GONE_SEC)
        it.program.send_signal(signal.SIGCONT)
        it.type(ANSWER)
        it.read_for(1.0)
        assert it.program.poll() is None


@pytest.mark.parametrize("hang", [compute, storm_of_keys, fill], ids=lambda f: f.__name__)
@pytest.mark.parametrize("end", ["closed", "SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.usefixtures("vehicles")
def test_it_is_gone_at_once_whatever_it_is_busy_with(
    server: Server, database_name: str, tmp_path: Path, hang: Callable[[Terminal], None], end: str
) -> None:
    command = [sys.executable, "-c", COMPUTING]
    with terminal(server, database_name, tmp_path, command=command) as it:
        it.sees("Truck-01")
        hang(it)
        began = time.monotonic()
        if end == "closed":
            it.close()
        else:
            it.program.send_signal(getattr(signal, end))
        assert until_ended(it, 15.0) == 0
        assert time.monotonic() - began < AT_ONCE_SEC


@pytest.mark.parametrize("end", ["closed", "SIGTERM"])
@pytest.mark.usefixtures("vehicles")
def test_it_is_gone_at_once_in_the_middle_of_a_query(
    server: Server, database_name: str, tmp_path: Path, end: str
) -> None:
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        with locked(server, database_name, "public.vehicles, public.sync_journal"):
            it.type("l")
            it.sees("reading")
            began = time.monotonic()
            if end == "closed":
                it.close()
            else:
                it.program.send_signal(getattr(signal, end))
            assert until_ended(it, 15.0) == 0
            assert time.monotonic() - began < AT_ONCE_SEC


@pytest.mark.usefixtures("vehicles")
def test_a_signal_restores_the_terminal_although_the_dashboard_computes(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", COMPUTING]
    with terminal(server, database_name, tmp_path, command=command) as it:
        it.sees("Truck-01")
        compute(it)
        it.program.send_signal(signal.SIGTERM)
        assert it.ended() == 0
        assert b"\x1b[?1049l" in it.shown
