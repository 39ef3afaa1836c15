"""The program in a real terminal: what it writes there, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from fleetsyncd.database import (
    loading,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_tags import change_tags
from fleetsyncd.demo.embedded import Server
from tests.locales import latin1
from tests.tui.driving import add, attempts, beat, execute, set_state, small_fleet
from tests.tui.terminal import locked, terminal
from tests.tui.test_hostile import storm
from tui.__main__ import NO_TERMINAL
from tui.background import QUERY_SEC

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tui"]
PATIENCE_SEC = 60.0
SETTLE_SEC = 3.0
IDLE_SEC = 6.0


def test_hostile_text_reaches_no_terminal_and_idling_sends_little(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    storm(database)
    for number in range(30):
        name = f"Truck-{number:02}"
        add(database, name, f"10.9.0.{number + 1}")
        set_state(database, name, "ok", f"{number} s", f"{number} s")
    beat(database)

    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-05")
        it.read_for(SETTLE_SEC)
        assert it.read_for(IDLE_SEC) < 1000 * IDLE_SEC
        it.type("N\x1b[H\r")
        it.sees("1 History")
        for tab, text in (("2", "SEVERITY"), ("3", "RESULT"), ("4", "SCALE"), ("5", "committed")):
            it.type(tab)
            it.sees(text)
        it.type("qq")
        assert it.ended() == 0
        assert b"52;c;Zm9v\x07" not in it.shown
        assert b"\x1b[2J\xc2\x9b" not in it.shown
        assert "\x9b".encode() not in it.shown
        for unsafe in "\u202e\u2066\u200b":
            assert unsafe.encode() not in it.shown
        assert b"its-secret-key" not in it.shown


def test_the_program_shows_the_vehicles_of_the_tags_that_it_is_given(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    ids = small_fleet(database)
    database.run(lambda cursor: change_tags(cursor, ids["Dozer-03"], ["mine-3"], []))
    with terminal(server, database_name, tmp_path, "--read-only", "--tag", "Mine-3") as it:
        it.sees("Dozer-03")
        it.sees("tag mine-3")
        it.type("#")
        it.sees("CATCHING")
        it.type("\r")
        it.sees("filter: tag:mine-3")
        it.type("q")
        assert it.ended() == 0
        assert b"Truck-01" not in it.shown
    with terminal(server, database_name, tmp_path, "--tag", "a:b") as it:
        it.sees("fleetsync-tui: a:b is no tag: a tag has 1 to 32 letters")
        assert it.ended() == 2


def test_quitting_does_not_wait_for_a_query(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 3)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        with locked(server, database_name, "public.vehicles, public.sync_journal"):
            it.type("l")
            it.sees("reading")
            began = time.monotonic()
            it.type("qq")
            assert it.ended() == 0
            assert time.monotonic() - began < QUERY_SEC / 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_restores_the_terminal(
    server: Server, database: Database, database_name: str, tmp_path: Path, number: signal.Signals
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.program.send_signal(number)
        assert it.ended() == 0
        assert b"\x1b[?1049l" in it.shown


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_a_dashboard_that_is_ended_while_it_removes_a_vehicle_leaves_it_in_the_fleet(
    server: Server, database: Database, database_name: str, tmp_path: Path, number: signal.Signals
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Crane-02"], 3)
    with (
        terminal(server, database_name, tmp_path) as it,
        closing(server.connect(database_name)) as other,
        other.cursor() as cursor,
    ):
        it.sees("Crane-02")
        it.type("N\x1b[H\x04")
        it.sees("Delete Crane-02")
        cursor.execute("SELECT 1 FROM sync_journal LIMIT 1 FOR UPDATE")
        it.type("Crane-02\r")
        it.sees("being removed")
        until_waiting(database, some=True)
        it.program.send_signal(number)
        assert it.ended() == (-number if number == signal.SIGKILL else 0)
        until_waiting(database, some=False)
    (vehicle,) = database.run(lambda cursor: loading.load_vehicles(cursor, [ids["Crane-02"]]))
    assert not vehicle.paused


def until_waiting(database: Database, *, some: bool) -> None:
    """Wait until some transaction waits for a lock, or none."""

    def is_so(cursor: Cursor) -> bool:
        cursor.execute("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchall()[0][0]) == some

    ends = time.monotonic() + PATIENCE_SEC
    while not database.run(is_so):
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_keymap_and_read_only_come_from_the_command_line(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    (tmp_path / "keys.toml").write_text('[keys]\nback = "f10"\n')
    with terminal(
        server, database_name, tmp_path, "--read-only", "--keymap", str(tmp_path / "keys.toml")
    ) as it:
        it.sees("read-only")
        it.sees("f10")
        it.type("\x11")
        assert it.ended() == 0


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_terminal_the_error_names_what_is_missing() -> None:
    ended = run()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "fleetsync-tui: standard input and error must be a terminal; over ssh and docker give -t\n"
    )


def test_an_invalid_configuration_is_reported_in_one_line(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    with terminal(server, database_name, tmp_path, "--keymap", "nowhere.toml") as it:
        it.sees("fleetsync-tui: the keymap nowhere.toml cannot be read")
        assert it.ended() == 2
        assert b"Traceback" not in it.shown


def test_a_latin_1_terminal_shows_straight_lines_and_its_keys_end_nothing(
    server: Server,
    database: Database,
    database_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in latin1(tmp_path).items():
        monkeypatch.setenv(name, value)
    add(database, "Gr\u00e4der-\u8f66", "10.9.0.1")
    beat(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("VEHICLE")
        it.read_for(SETTLE_SEC)
        assert b"Gr\xe4der-??" in it.shown
        assert b"\\u" not in it.shown
        assert "\u25cf".encode() not in it.shown
        it.type("/")
        it.read_for(1)
        before = len(it.shown)
        os.write(it.ours, "Gr\u00e4".encode("iso-8859-1"))
        it.read_for(1)
        it.type("x")
        it.read_for(2)
        assert it.program.poll() is None
        assert b"Gr\xe4" in it.shown[before:]
        it.type("\x1b")
        it.read_for(1)
        it.type("q")
        assert it.ended() == 0


def test_without_a_terminal_it_tells_so_even_if_streams_are_closed(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    for redirection in ("<&-", "<&- >&-", "<&- >&- 2>&-", ">/dev/full </dev/null"):
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND],
            cwd=tmp_path,
            env={**os.environ, **server.environment(database_name), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        told = "" if "2>&-" in redirection else f"fleetsync-tui: {NO_TERMINAL}\n"
        assert (done.returncode, done.stderr) == (2, told)


def test_a_key_that_is_no_utf_8_does_not_end_the_dashboard(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("/")
        it.read_for(1)
        os.write(it.ours, b"\xe4\xff")
        it.type("01")
        it.read_for(2)
        assert it.program.poll() is None
        it.type("\x1b")
        it.read_for(1)
        it.type("q")
        assert it.ended() == 0


def test_a_frozen_screen_tells_that_the_daemon_was_killed(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("live")
        it.type("Z")
        it.sees("frozen at")
        execute(database, "UPDATE fleetsync.replica SET beat_at = now() - interval '31 s'")
        it.sees("daemon not running, last seen ")
        it.sees("✖ no daemon")
        it.type("q")
        assert it.ended() == 0


def test_a_database_that_was_never_reached_is_named_with_what_to_do(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    nowhere = ["env", "DB_HOST=127.0.0.1", "DB_PORT=1", *COMMAND]
    with terminal(server, database_name, tmp_path, command=nowhere) as it:
        it.sees("127.0.0.1:1/")
        it.sees("no answer of the database for")
        it.sees("fleetsyncd doctor")
        it.type("q")
        assert it.ended() == 0
        assert b"lost" not in it.shown
