"""Signals that end a command in the middle: nothing is half done, and no vehicle stays unpulled."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from psycopg2 import sql

from fleetsyncd.commands.group import PROGRAM
from fleetsyncd.demo import embedded
from tests.acceptance.conftest import PATIENCE_SEC, Installation
from tests.acceptance.test_scripting import leaves

USER = "11111111-2222-3333-4444-555555555555"
# Every command that changes something, with what it needs to come to its change.
CHANGING: dict[tuple[str, ...], tuple[str, ...]] = {
    ("vehicle", "add"): ("New-01", "10.8.0.9"),
    ("vehicle", "set"): ("T-1", "--port", "9001"),
    ("vehicle", "remove"): ("T-1", "--with-measurements", "--yes"),
    ("vehicle", "restore"): ("Gone-01",),
    ("vehicle", "purge"): ("Gone-01", "--yes"),
    ("vehicle", "pause"): ("T-1",),
    ("vehicle", "resume"): ("T-1",),
    ("vehicle", "mute"): ("T-1",),
    ("vehicle", "unmute"): ("--all",),
    ("vehicle", "sync"): ("T-1",),
    ("vehicle", "swap"): ("T-1", "T-2"),
    ("vehicle", "accept"): ("--all",),
    ("access", "grant"): (USER, "T-1"),
    ("access", "revoke"): (USER, "T-2"),
    ("backfill",): ("T-1", "--from", "1d"),
    ("audit",): ("T-1", "--from", "1d"),
    ("quarantine", "replay"): (),
    ("quarantine", "purge"): ("--all", "--yes"),
    ("migrate",): (),
}
READING = {
    ("health",),
    ("status",),
    ("vehicle", "list"),
    ("vehicle", "test"),
    ("access", "list"),
    ("quarantine", "list"),
    ("quarantine", "show"),
    ("notify", "list"),
    ("notify", "test"),
    ("doctor",),
    ("storage",),
    ("minutes",),
    ("log",),
    ("traffic",),
    ("completion",),
    ("schema",),
}
OWN_HANDLING = {("run",), ("once",), ("demo",), ("simulate",), ("retention",)}
"""Retention goes by small transactions, and waits for nobody: it may end between any two."""
GIVING_WAY = [("migrate",), ("vehicle", "remove")]
"""These wait for a moment at a time."""
AT_ONCE = 7
"""Commands that are started together."""
_TABLES = """
SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables
WHERE schemaname IN ('public', 'fleetsync') AND tablename !~ '^measurements_' ORDER BY 1
"""
_WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Let the commands heed SIGHUP and SIGINT, though the tests may run under nohup."""
    before = {each: signal.getsignal(each) for each in (signal.SIGHUP, signal.SIGINT)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def start(installation: Installation, *arguments: str, **changes: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "fleetsyncd", *arguments]
    process = subprocess.Popen(
        command,
        env=installation.environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    installation.stack.enter_context(process)
    installation.stack.callback(process.kill)
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=PATIENCE_SEC)
    return process.returncode, errors


@contextmanager
def locked(installation: Installation, *statements: str) -> Iterator[Any]:
    """Hold the locks of these statements, as another program would."""
    with closing(installation.server.connect(installation.database_name)) as connection:
        connection.autocommit = False
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            yield cursor


def waiting(installation: Installation, number: int) -> None:
    installation.until(f"SELECT ({_WAITING}) >= %s", number)


def table_names(installation: Installation) -> list[str]:
    return [name for (name,) in installation.rows(_TABLES)]


def contents(installation: Installation) -> dict[str, Any]:
    """Return what every table holds, but for what a migration notes of itself."""
    return {
        name: installation.rows(f"SELECT t::text FROM {name} t ORDER BY 1")  # noqa: S608  names
        for name in table_names(installation)
        if "yoyo" not in name and name != "fleetsync.migration"
    }


@pytest.fixture
def fleet(installation: Installation) -> Installation:
    """Return an installation in which every changing command has something to change."""
    for statement in (
        "INSERT INTO vehicles (name, vpn_ip, api_port)"
        " SELECT 'T-' || n, '127.0.0.1', n FROM generate_series(1, 2) n",
        "INSERT INTO fleetsync.removed_vehicle (vehicle_id, name, vpn_ip, removed_at)"
        " VALUES (gen_random_uuid(), 'Gone-01', '10.8.0.8', now())",
        "SELECT fleetsync.make_month(date_trunc('month', now())::date)",
        "INSERT INTO measurements SELECT vehicle_id, 1, now(), 0.5 FROM fleetsync.removed_vehicle",
        "INSERT INTO fleetsync.quarantine (vehicle_id, call, reason, raw, digest)"
        """ SELECT id, '/data', 'odd', '{"channel_id": 1, "value": 1.0, "time": "'"""
        """ || to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS".000Z"') || '"}', id FROM vehicles""",
    ):
        installation.rows(statement)
    installation.server.execute(
        sql.SQL("INSERT INTO vehicle_access SELECT {}, id FROM vehicles WHERE name = 'T-2'").format(
            sql.Literal(USER)
        ),
        database=installation.database_name,
    )
    return installation


def test_every_command_is_among_those_that_change_something_or_do_not() -> None:
    assert leaves() == {*CHANGING, *READING, *OWN_HANDLING}


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name
)
def test_a_signal_ends_every_changing_command_with_one_line_and_nothing_changed(
    fleet: Installation, number: signal.Signals
) -> None:
    before = contents(fleet)
    tables = ", ".join(table_names(fleet))
    rest = [path for path in CHANGING if path not in GIVING_WAY]
    batches = [[path] for path in GIVING_WAY]
    while rest:
        batches, rest = [*batches, rest[:AT_ONCE]], rest[AT_ONCE:]
    for paths in batches:
        # Readers pass, writers wait.
        with locked(fleet, f"LOCK TABLE {tables} IN SHARE MODE"):
            running = {
                path: start(
                    fleet, *path, *CHANGING[path], DB_USER=embedded.OWNER, LOG_LEVEL="WARNING"
                )
                for path in paths
            }
            waiting(fleet, len(paths))
            for process in running.values():
                process.send_signal(number)
            for path, process in running.items():
                code, errors = ended(process)
                line = f"{PROGRAM}: ended by {number.name}: what was not committed is rolled back\n"
                assert (path, code, errors) == (path, 128 + number, line)
        fleet.until(f"SELECT ({_WAITING}) = 0")
    assert contents(fleet) == before


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name
)
def test_a_signal_ends_a_question_with_nothing_done(
    fleet: Installation, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "fleetsyncd", "vehicle", "remove", "T-1"]
    process = subprocess.Popen(
        command,
        env=fleet.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"Remove T-1" in process.stdout.read(10)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_SEC)
    assert process.returncode == 128 + number
    assert errors.count(b"\n") == 1
    assert fleet.rows("SELECT count(*) FROM vehicles WHERE name = 'T-1'") == [(1,)]


def test_under_nohup_a_closed_terminal_ends_neither_a_command_nor_the_daemon(
    fleet: Installation,
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as nohup does it
    daemon = fleet.daemon()
    with locked(fleet, "LOCK TABLE vehicles IN SHARE MODE"):
        process = start(fleet, "vehicle", "set", "T-1", "--name", "T-9")
        waiting(fleet, 1)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
    assert ended(process) == (0, "")
    assert fleet.rows("SELECT count(*) FROM vehicles WHERE name = 'T-9'") == [(1,)]
    daemon.wait_for("Cycle done")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("Cycle done", times=2)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0


def test_a_daemon_whose_terminal_is_closed_finishes_its_window_and_ends(
    installation: Installation,
) -> None:
    installation.fleet(1, channels=2)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.end() == 0
    assert "SIGHUP: stopping" in "\n".join(daemon.lines)
    assert installation.check().clean


def test_a_dropped_line_ends_a_removal_with_nothing_removed(fleet: Installation) -> None:
    terminal, theirs = pty.openpty()
    with locked(fleet, "LOCK TABLE sync_journal IN SHARE MODE"):
        process = subprocess.Popen(
            [sys.executable, "-m", "fleetsyncd", "vehicle", "remove", "T-1", "--yes"],
            env=fleet.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  no threads
        )
        os.close(theirs)
        waiting(fleet, 1)
        os.close(terminal)
        assert process.wait(PATIENCE_SEC) == 128 + signal.SIGHUP
    assert fleet.rows("SELECT count(*) FROM vehicles WHERE name = 'T-1'") == [(1,)]


@pytest.mark.parametrize("table", ["sync_journal", "channel_config"])
@pytest.mark.parametrize(
    "number",
    [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGKILL],
    ids=lambda n: n.name,
)
def test_a_removal_that_is_ended_leaves_the_vehicle_in_the_fleet_and_pulled(
    installation: Installation, number: signal.Signals, table: str
) -> None:
    installation.fleet(1, channels=2)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    synced = "SELECT last_sync_at > %s FROM vehicles"
    with locked(installation, f"SELECT 1 FROM {table} LIMIT 1 FOR UPDATE"):  # noqa: S608  names
        process = start(installation, "vehicle", "remove", "Truck-01", "--yes")
        waiting(installation, 1)
        if table == "sync_journal":
            # The vehicle's own row is not locked yet.
            installation.until(synced, installation.rows("SELECT clock_timestamp()")[0][0])
        process.send_signal(number)
        assert ended(process)[0] == (-number if number == signal.SIGKILL else 128 + number)
        installation.until(f"SELECT ({_WAITING}) = 0")
        installation.until(synced, installation.rows("SELECT clock_timestamp()")[0][0])
    assert installation.rows("SELECT count(*) FROM fleetsync.removed_vehicle") == [(0,)]
    assert installation.rows("SELECT paused FROM fleetsync.vehicle_state") == [(False,)]
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert installation.check().clean


# What is raised in the collector's callback goes no further: so may it be in a destructor.
LOSES_A_SIGNAL = """
import gc, os, runpy, signal, sys

def strike(phase, info):
    if callable(signal.getsignal(signal.SIGTERM)):
        gc.callbacks.clear()
        os.kill(os.getpid(), signal.SIGTERM)

gc.callbacks.append(strike)
sys.argv[0] = "fleetsyncd"
runpy.run_module("fleetsyncd", run_name="__main__")
"""


@pytest.mark.parametrize("command", ["run", "once"])
def test_a_signal_that_was_lost_while_it_started_ends_the_daemon_before_its_first_cycle(
    installation: Installation, command: str
) -> None:
    installation.fleet(1)
    done = subprocess.run(
        [sys.executable, "-c", LOSES_A_SIGNAL, command],
        env=installation.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SEC,
        check=False,
    )
    assert "EndedBySignal" in done.stderr  # it was lost
    assert done.returncode == (0 if command == "run" else 128 + signal.SIGTERM)
    assert "Starting sync cycle" not in done.stdout
