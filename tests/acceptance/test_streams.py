"""Standard streams that are closed, full or of another encoding: one line, and the exit code."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleetsyncd.demo import embedded
from tests.acceptance.conftest import PATIENCE_SEC, Installation
from tests.acceptance.test_scripting import leaves
from tests.locales import latin1

USER = "11111111-2222-3333-4444-555555555555"
OWNER = {"DB_USER": embedded.OWNER}
GIVEN = {**OWNER, "NOTIFY_URLS": "json://127.0.0.1:1/nobody"}
# What each command needs to get as far as its output; every vehicle is used by one command.
PRINTING: dict[tuple[str, ...], tuple[str, ...]] = {
    ("health",): (),
    ("status",): (),
    ("vehicle", "list"): (),
    ("vehicle", "add"): ("New-01", "10.8.0.9"),
    ("vehicle", "set"): ("T-1", "--port", "9001"),
    ("vehicle", "remove"): ("T-2", "--yes"),
    ("vehicle", "restore"): ("Gone-1",),
    ("vehicle", "purge"): ("Gone-2", "--yes"),
    ("vehicle", "pause"): ("T-3",),
    ("vehicle", "resume"): ("T-4",),
    ("vehicle", "mute"): ("--tag", "mine-3"),
    ("vehicle", "unmute"): ("--tag", "mine-3"),
    ("vehicle", "sync"): ("T-5",),
    ("vehicle", "test"): ("T-6",),
    ("vehicle", "swap"): ("T-10", "T-11"),
    ("vehicle", "accept"): ("T-12",),
    ("access", "list"): (),
    ("access", "grant"): (USER, "T-7"),
    ("access", "revoke"): (USER, "T-8"),
    ("backfill",): ("T-9", "--from", "1d", "--no-wait"),
    ("audit",): ("T-9", "--cancel"),
    ("quarantine", "list"): (),
    ("quarantine", "show"): ("1",),
    ("quarantine", "replay"): (),
    ("quarantine", "purge"): ("T-9",),
    ("notify", "list"): (),
    ("notify", "test"): (),
    ("retention",): (),
    ("storage",): (),
    ("minutes",): (),
    ("log",): (),
    ("traffic",): (),
    ("migrate",): (),
    ("doctor",): ("--no-vehicles",),
    ("completion",): ("bash",),
    ("schema",): (),
}
PROGRAM = (sys.executable, "-m", "fleetsyncd")
FAILING = {("health",), ("vehicle", "test"), ("doctor",), ("notify", "test")}
"""Those that find a fault in the fleet of these tests, or reach nobody."""
WAITED_SEC = 3.0
BASH = shutil.which("bash") or "bash"
"""Not every /bin/sh knows pipefail."""
LOGGING = {("run",), ("once",)}
DEMO = {("demo",), ("simulate",)}


@pytest.fixture
def fleet(installation: Installation) -> Installation:
    """Return an installation with vehicles that do not answer, and a quarantined row."""
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port)"
        " SELECT 'T-' || n, '127.0.0.1', n FROM generate_series(1, 12) n"
    )
    installation.rows(
        "INSERT INTO fleetsync.quarantine (vehicle_id, call, reason, raw, digest)"
        " SELECT id, '/data', 'odd', '{}', id FROM vehicles WHERE name = 'T-8'"
    )
    installation.rows(
        "INSERT INTO fleetsync.removed_vehicle (vehicle_id, name, vpn_ip, removed_at)"
        " SELECT gen_random_uuid(), 'Gone-' || n, '10.8.0.8', now() FROM generate_series(1, 2) n"
    )
    return installation


def redirected(
    installation: Installation, redirection: str, *arguments: str, **changes: str
) -> tuple[int, str, str]:
    """Run a command with its streams redirected by a shell; return what it still could write."""
    done = subprocess.run(
        [BASH, "-c", f'set -o pipefail; "$@" {redirection}', "sh", *PROGRAM, *arguments],
        env=installation.environment(**changes),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SEC,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_every_command_is_among_those_that_are_redirected() -> None:
    assert leaves() == {*PRINTING, *LOGGING, *DEMO}


@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
    ids=["full", "closed"],
)
def test_every_command_tells_in_one_line_that_its_output_cannot_be_written(
    fleet: Installation, redirection: str, reason: str
) -> None:
    def run(path: tuple[str, ...]) -> tuple[int, str, str]:
        return redirected(fleet, redirection, *path, *PRINTING[path], **GIVEN)

    with ThreadPoolExecutor(3) as several:
        for path, told in zip(PRINTING, several.map(run, PRINTING), strict=True):
            message = f"fleetsyncd: the output cannot be written: {reason}\n"
            without_hints = told[2].replace(
                "no daemon is running: the backfill starts with the next one\n", ""
            )
            assert (told[0], without_hints) == (2, message), path


def test_every_command_without_a_reader_is_quiet_and_has_its_own_exit_code(
    fleet: Installation,
) -> None:
    def run(path: tuple[str, ...]) -> tuple[int, str]:
        ours, theirs = os.pipe()
        os.close(ours)
        done = subprocess.run(
            [*PROGRAM, *path, *PRINTING[path]],
            env=fleet.environment(**GIVEN),
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_SEC,
            check=False,
        )
        os.close(theirs)
        return done.returncode, done.stderr

    hint = "no daemon is running: backfills wait for the next one\n"
    with ThreadPoolExecutor(3) as several:
        for path, (code, errors) in zip(PRINTING, several.map(run, PRINTING), strict=True):
            assert (code, errors.replace(hint, "")) == (int(path in FAILING), ""), path


@pytest.mark.parametrize(
    "arguments",
    [("doctor",), ("doctor", "--json"), ("health",), ("vehicle", "test", "--json", "T-6")],
)
def test_a_check_that_fails_fails_whether_its_output_is_read_or_not(
    fleet: Installation, arguments: tuple[str, ...]
) -> None:
    for reader in ("cat", "true", "head -1"):
        done = redirected(fleet, f"| {reader}", *arguments)
        assert (done[0], done[2]) == (1, ""), reader


def test_missing_migrations_are_told_by_the_exit_code_without_a_reader(
    installation: Installation, empty_database: str
) -> None:
    owner = {**OWNER, "DB_NAME": empty_database}
    assert redirected(installation, "| true", "migrate", "--check", **owner)[0] == 1


def test_a_backfill_is_waited_for_though_nobody_reads_its_progress(fleet: Installation) -> None:
    fleet.command("backfill", "T-9", "--from", "1d", "--no-wait")
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(redirected, fleet, "| true", "backfill", "T-9")
        time.sleep(WAITED_SEC)
        assert not waiting.done()
        fleet.command("backfill", "T-9", "--cancel")
        assert waiting.result()[0] == 1


@pytest.mark.parametrize("command", ["list", "fly"])
def test_a_full_pipe_that_does_not_block_is_waited_for(fleet: Installation, command: str) -> None:
    fleet.rows(
        "INSERT INTO vehicles (name, vpn_ip)"
        " SELECT 'V-' || n, '10.8.0.0'::inet + n FROM generate_series(1, 5000) n"
    )
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    os.write(theirs, b"." * 65536)
    with subprocess.Popen(
        [*PROGRAM, "vehicle", command],
        env=fleet.environment(),
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        time.sleep(WAITED_SEC)
        assert process.poll() is None
        with os.fdopen(ours, encoding="utf-8") as reader:
            output = reader.read().lstrip(".")
    if command == "list":
        assert (process.returncode, output.count("V-")) == (0, 5000)
    else:
        assert (process.returncode, output.count("\n")) == (2, 1)


@pytest.mark.parametrize("group", [(), ("vehicle",), ("access",), ("quarantine",)])
def test_a_group_without_a_command_shows_its_help(
    installation: Installation, group: tuple[str, ...]
) -> None:
    help_text = redirected(installation, "", *group, "--help")[1]
    assert help_text.count("\n") > len(group) + 10
    assert redirected(installation, "", *group) == (2, "", help_text)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("vehicle", "--help")])
def test_help_that_cannot_be_written_is_one_line_as_well(
    installation: Installation, arguments: tuple[str, ...]
) -> None:
    code, _, errors = redirected(installation, ">/dev/full", *arguments)
    assert (code, errors.count("\n"), "cannot be written" in errors) == (2, 1, True)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&- >&-", "2>/dev/full >&2"])
@pytest.mark.parametrize("arguments", [("fly",), ("vehicle", "pause", "Truck-99"), ("status",)])
def test_an_error_that_nobody_can_read_still_has_its_exit_code(
    installation: Installation, redirection: str, arguments: tuple[str, ...]
) -> None:
    code, _, errors = redirected(installation, redirection, *arguments)
    good = arguments == ("status",) and ">&" not in redirection.replace("2>&-", "", 1)
    assert (code, errors) == (0 if good else 2, "")


def test_without_standard_input_there_is_no_key_and_no_yes(fleet: Installation) -> None:
    key = ("vehicle", "set", "T-1", "--key-file", "-")
    code, _, errors = redirected(fleet, "<&-", *key)
    assert (code, errors.count("\n"), "an API key is one line" in errors) == (2, 1, True)
    assert redirected(fleet, "<&-", "vehicle", "remove", "T-1")[0] == 2
    assert fleet.rows("SELECT count(*) FROM vehicles WHERE name = 'T-1'") == [(1,)]
    assert redirected(fleet, "<&-", "status")[0] == 0


@pytest.mark.parametrize(
    "redirection", [">/dev/full", ">/dev/full 2>&1", ">&-", "<&- >&- 2>&-", "| true"]
)
def test_a_daemon_whose_log_cannot_be_written_goes_on(
    installation: Installation, redirection: str
) -> None:
    installation.fleet(1, channels=2)
    code, _, errors = redirected(installation, redirection, "run", "--cycles", "3")
    assert (code, errors) == (0, "")
    assert installation.rows("SELECT count(*) >= 3 FROM sync_journal WHERE status = 'ok'") == [
        (True,)
    ]
    assert installation.check().clean


def test_a_log_that_can_be_written_again_says_how_much_is_missing(tmp_path: Path) -> None:
    script = """
import logging, resource, sys
from fleetsyncd import logs, streams
streams.prepare()
logs.set_up("INFO", "text", sys.stdout)
log = logging.getLogger("sync")
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
log.info("before")
limit(1000)
for number in range(2000):
    log.info("line %d", number)
limit(resource.RLIM_INFINITY)
log.info("one")
log.info("two")
streams.finish()
"""
    path = tmp_path / "log"
    with path.open("w") as file:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=file, stderr=subprocess.PIPE, check=True
        )
    lines = path.read_text().splitlines()
    assert done.stderr == b""
    assert lines[0].endswith("sync: before")
    (told,) = [line for line in lines if "are missing" in line]
    assert "[WARNING] sync: this log could not be written: up to " in told
    assert [line.endswith(("one", "two")) for line in lines[-3:]] == [True, False, True]


def test_a_log_whose_reader_comes_back_says_how_much_is_missing(tmp_path: Path) -> None:
    script = """
import logging, os, sys
from fleetsyncd import logs, streams
streams.prepare()
logs.set_up("INFO", "text", sys.stdout)
log = logging.getLogger("sync")
log.info("before")
os.close(3)
for number in range(3):
    log.info("line %d", number)
second = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
log.info("one")
log.info("two")
sys.stderr.write(os.read(second, 65536).decode())
"""
    os.mkfifo(tmp_path / "log")
    done = subprocess.run(
        [BASH, "-c", 'exec 3<>"$0"; exec "$1" -c "$2" "$0" >"$0"', str(tmp_path / "log"),
         sys.executable, script],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )  # fmt: skip
    lines = [line.partition("sync: ")[2] for line in done.stderr.splitlines()]
    missing = "this log could not be written: up to 3 line(s) before this are missing"
    assert lines == ["before", "one", missing, "two"]


def test_in_a_latin_1_locale_no_line_is_lost(installation: Installation, tmp_path: Path) -> None:
    installation.fleet(1, channels=2)
    installation.rows("UPDATE vehicles SET name = 'Gräder-履带'")
    variables = latin1(tmp_path)

    def output(*arguments: str, **changes: str) -> str:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            env=installation.environment(**variables, **changes),
            capture_output=True,
            timeout=PATIENCE_SEC,
            check=True,
        )
        assert done.stderr == b""
        return done.stdout.decode("iso-8859-1")

    lines = [line.partition("] ")[2] for line in output("once").splitlines()]
    assert "sync: Starting sync cycle for 1 vehicle(s)." in lines
    assert any(line.startswith("sync: [Gräder-????] online ") for line in lines), "\n".join(lines)
    objects = [json.loads(line) for line in output("once", LOG_FORMAT="json").splitlines()]
    assert {each["vehicle"] for each in objects if "vehicle" in each} == {"Gräder-履带"}
    # A machine that is busy may have let some seconds pass: that is late for a short interval.
    heading, row = output("status", SYNC_INTERVAL_SEC="30").splitlines()
    assert row.startswith("Gräder-????  online")
    assert row.index("online") == heading.index("STATE")


def test_a_c_locale_is_utf_8(installation: Installation) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, created_at)"
        " VALUES ('Gräder-履带', '10.8.0.1', now() - interval '2 days')"
    )
    for mode in (
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ):
        output = redirected(installation, "", "status", **mode)[1]
        assert "Gräder-履带" in output
        kept = redirected(installation, "", "status", **mode, PYTHONIOENCODING=":strict")[1]
        assert kept == output


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "us-ascii", "ANSI_X3.4-1968"])
def test_an_encoding_that_is_chosen_is_kept_though_it_is_ascii(
    installation: Installation, encoding: str
) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, created_at)"
        " VALUES ('Gräder-履带', '10.8.0.1', now() - interval '2 days')"
    )
    for locale in ("C.UTF-8", "C"):
        variables = {"LC_ALL": locale, "PYTHONIOENCODING": encoding}
        code, output, errors = redirected(installation, "", "status", **variables)
        assert (code, output.split("\n")[1][:11], errors) == (0, "Gr?der-????", "")


def test_a_password_reaches_postgresql_as_it_was_written_in_any_locale(tmp_path: Path) -> None:
    script = "from fleetsyncd import settings; print(ascii(settings.load().database.parameters))"
    variables = latin1(tmp_path)

    def loaded(**more: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **variables, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert f"'password': {'Zürich-пароль'!a}" in loaded(DB_PASSWORD="Zürich-пароль")
    (tmp_path / ".env").write_text("DB_PASSWORD=Zürich-пароль\n", encoding="utf-8")
    assert f"'password': {'Zürich-пароль'!a}" in loaded()
