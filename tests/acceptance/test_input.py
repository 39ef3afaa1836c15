"""What operators type or hand over: names, files and numbers that are not what they should be."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.conftest import PATIENCE_SEC, Installation
from tests.acceptance.test_scripting import ASKING

NO_UTF8 = b"Z\xfcrich"
NUMBERS = ("9" * 4000, "9" * 5000, "-" + "9" * 5000)
# Every place of the command line at which a vehicle is named.
NAMING: dict[tuple[str, ...], Sequence[str]] = {
    ("vehicle", "set"): ("--port", "1"),
    ("vehicle", "remove"): ("--yes",),
    ("vehicle", "pause"): (),
    ("vehicle", "resume"): (),
    ("vehicle", "mute"): (),
    ("vehicle", "unmute"): (),
    ("vehicle", "sync"): (),
    ("vehicle", "test"): (),
    ("backfill",): ("--no-wait",),
    ("quarantine", "list"): (),
    ("traffic",): (),
    ("quarantine", "replay"): (),
    ("quarantine", "purge"): (),
    ("access", "grant", "11111111-2222-3333-4444-555555555555"): (),
    ("access", "revoke", "11111111-2222-3333-4444-555555555555"): (),
}


def run(
    installation: Installation, *arguments: str | bytes, stdin: bytes = b"", **changes: str
) -> tuple[int, str, str]:
    """Run a command with arguments and input of any bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "fleetsyncd", *map(os.fsencode, arguments)],
        env=installation.environment(**changes),
        cwd=installation.folder,
        input=stdin,
        capture_output=True,
        timeout=PATIENCE_SEC,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_name_that_is_no_utf_8_is_no_vehicles_name(installation: Installation) -> None:
    for path, options in NAMING.items():
        code, _, errors = run(installation, *path, NO_UTF8, *options)
        told = "fleetsyncd: no vehicle is called Z�rich: see `fleetsyncd vehicle list`\n"
        assert (code, errors) == (2, told), path


@pytest.mark.parametrize(
    "arguments",
    [
        (b"fly\xff",),
        (b"--\xff",),
        ("vehicle", "add", NO_UTF8, "10.8.0.1"),
        ("vehicle", "add", "Truck-01", b"10.8.0.\xff"),
        ("vehicle", "add", "Truck-01", "10.8.0.1", "--port", b"\xff"),
        ("vehicle", "add", "Truck-01", "10.8.0.1", "--key-file", b"/nowhere/\xff"),
        ("vehicle", "add", "--from-file", b"/nowhere/\xff"),
        ("vehicle", "set", "Truck-01", "--name", NO_UTF8),
        ("vehicle", "set", "Truck-01", "--address", NO_UTF8),
        ("backfill", "--all", "--from", b"\xffd"),
        ("quarantine", "purge", "--all", "--older", b"\xffd"),
        ("quarantine", "show", b"\xff"),
        ("access", "list", "--user", b"\xff"),
        ("access", "grant", b"\xff", "Truck-01"),
        ("completion", b"\xff"),
        ("demo", "--vehicles", b"\xff"),
    ],
    ids=ascii,
)
def test_arguments_that_are_no_utf_8_are_one_line(
    installation: Installation, arguments: tuple[str | bytes, ...]
) -> None:
    code, output, errors = run(installation, *arguments)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "\udcff" not in errors


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{number[:2]} {len(number)}")
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--cycles"),
        ("vehicle", "add", "Truck-01", "10.8.0.1", "--port"),
        ("vehicle", "set", "Truck-01", "--port"),
        ("quarantine", "list", "--limit"),
        ("quarantine", "show", "--"),
        ("quarantine", "purge", "--all", "--older"),
        ("backfill", "--all", "--from"),
        ("demo", "--vehicles"),
        ("simulate", "--base-port"),
        ("simulate", "--late"),
    ],
    ids=" ".join,
)
def test_numbers_of_thousands_of_digits_are_one_short_line(
    installation: Installation, arguments: tuple[str, ...], number: str
) -> None:
    code, _, errors = run(installation, *arguments, number)
    assert (code, errors.count("\n")) == (2, 1), errors
    assert len(errors) < 500


def test_a_carriage_return_is_refused_in_a_name_and_never_reaches_the_terminal(
    installation: Installation,
) -> None:
    for arguments in (("vehicle", "add", "Tr\ruck", "10.8.0.1"), ("vehicle", "pause", "Tr\ruck")):
        code, output, errors = run(installation, *arguments)
        assert (code, "\r" in output + errors, errors.count("\n")) == (2, False, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name,address\nZ\xfcrich,10.8.0.1\n", "it is not UTF-8"),
        ("name,address\nA,10.8.0.1\n".encode("utf-16"), "it is not UTF-8"),
        (b"\xff\xfe\0", "it is not UTF-8"),
    ],
    ids=["Latin-1", "UTF-16", "NUL"],
)
def test_files_that_are_no_utf_8_are_told(
    installation: Installation, tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    before = ("vehicle", "add")
    for arguments in (("--from-file",), ("Truck-01", "10.8.0.1", "--key-file")):
        for source, stdin in ((str(path), b""), ("-", content)):
            code, _, errors = run(installation, *before, *arguments, source, stdin=stdin)
            assert (code, errors.count("\n")) == (2, 1)
            assert f"cannot be read from {source}: {reason}" in errors
    assert installation.rows("SELECT count(*) FROM vehicles") == [(0,)]


def test_standard_input_is_utf_8_in_any_locale(installation: Installation) -> None:
    fleet = "name,address\nЭкскаватор,10.8.0.1\n".encode()
    add = ("vehicle", "add", "--from-file", "-")
    assert run(installation, *add, stdin=fleet, PYTHONIOENCODING="iso-8859-1")[0] == 0
    assert installation.rows("SELECT name FROM vehicles") == [("Экскаватор",)]


@pytest.mark.parametrize("option", ["--key-file", "--from-file"])
def test_a_file_without_end_is_not_read_for_ever(installation: Installation, option: str) -> None:
    vehicle = ("Truck-01", "10.8.0.1") if option == "--key-file" else ()
    code, _, errors = run(installation, "vehicle", "add", *vehicle, option, "/dev/zero")
    assert (code, errors.count("\n"), "it has more than 16 MB" in errors) == (2, 1, True)


def test_a_name_is_taken_once_whichever_way_it_comes(installation: Installation) -> None:
    assert run(installation, "vehicle", "add", "Truck-01", "10.8.0.1")[0] == 0
    assert run(installation, "vehicle", "add", "Truck-02", "10.8.0.2")[0] == 0
    taken = "a vehicle called Truck-01 is registered already: choose another name"
    csv = b"name,address\nTruck-03,10.8.0.3\nTruck-01,10.8.0.4\n"
    for arguments, stdin in (
        (("add", "Truck-01", "10.8.0.9"), b""),
        (("set", "Truck-02", "--name", "Truck-01"), b""),
        (("add", "--from-file", "-"), csv),
    ):
        code, _, errors = run(installation, "vehicle", *arguments, stdin=stdin)
        assert (code, taken in errors) == (2, True), arguments
    assert "line 3: a vehicle called" in errors
    assert installation.rows("SELECT name FROM vehicles ORDER BY name") == [
        ("Truck-01",),
        ("Truck-02",),
    ]


def test_vehicles_that_share_a_name_from_before_keep_it_and_can_be_changed(
    installation: Installation,
) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip) VALUES ('Twin', '10.8.0.1'), ('Twin', '10.8.0.2')"
    )
    ((one,),) = installation.rows("SELECT id::text FROM vehicles WHERE vpn_ip = '10.8.0.1'")
    change = ("vehicle", "set", str(one), "--name")
    assert run(installation, *change, "Twin", "--port", "9001")[0] == 0
    assert run(installation, *change, "Single")[0] == 0
    assert run(installation, *change, "Twin")[0] == 2
    assert installation.rows("SELECT name, api_port FROM vehicles ORDER BY name") == [
        ("Single", 9001),
        ("Twin", 8001),
    ]


def test_a_backfill_of_ten_years_is_not_said_to_be_requested(installation: Installation) -> None:
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('Truck-01', '10.8.0.1')")
    request = ("backfill", "Truck-01", "--no-wait", "--from")
    code, output, errors = run(installation, *request, "3650d")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "3650d is before" in errors
    assert installation.rows("SELECT count(*) FROM fleetsync.backfill") == [(0,)]
    code, output, _ = run(installation, *request, "60d", MEASUREMENTS_KEEP_MONTHS="1")
    assert (code, output) == (2, "")
    code, output, _ = run(installation, *request, "400d")
    assert (code, output.startswith("requested: [")) == (0, True)
    assert installation.rows(
        "SELECT to_at - from_at = interval '400 days' FROM fleetsync.backfill"
    ) == [(True,)]


def test_a_wrong_url_with_its_password_in_it_is_never_shown(installation: Installation) -> None:
    secret = "s3cret-part"
    for url in (
        f"postgresql://app:p@{secret}@127.0.0.1/fleet",
        f"postgresql://app:p@x:{secret}@127.0.0.1/fleet",
        f"postgresql://app:1/{secret}@127.0.0.1/fleet",
        f"postgresql://app:%zz{secret}@127.0.0.1/fleet",
        f"postgresql://app:[{secret}]@127.0.0.1:1/fleet",
    ):
        for command in (("status",), ("doctor",)):
            code, output, errors = run(installation, *command, DATABASE_URL=url)
            assert code != 0
            assert secret not in output + errors, url


def test_a_password_with_brackets_opens_the_database(installation: Installation) -> None:
    parameters = installation.server.parameters(installation.database_name)
    host = parameters["host"].replace("/", "%2F")
    url = f"postgresql://{parameters['user']}:a[b]c@{host}/{parameters['dbname']}"
    assert run(installation, "status", DATABASE_URL=url)[0] == 0


def test_every_command_that_asks_the_database_refuses_a_dotenv_file_in_another_encoding(
    installation: Installation, tmp_path: Path
) -> None:
    installation.folder = tmp_path
    (tmp_path / ".env").write_bytes("DB_HOST=x\n".encode("utf-16"))
    here = str(Path(__file__).parents[2])
    for path, arguments in ASKING.items():
        code, _, errors = run(installation, *path, *arguments, PYTHONPATH=here)
        expected = (
            "fleetsyncd: the configuration cannot be used:\n"
            "  .env: cannot be read: it is UTF-16: save it as UTF-8.\n"
        )
        assert (code, errors) == (2, expected), path
