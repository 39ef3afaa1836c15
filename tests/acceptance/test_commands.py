import json
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from psycopg2 import sql

from fleetsyncd import __version__
from fleetsyncd.demo import embedded
from tests.acceptance.conftest import Installation
from tests.acceptance.test_doctor import NEWER

KeyFile = Callable[[str], str]


def test_wrong_settings_are_all_reported_at_once_and_end_with_two(
    installation: Installation,
) -> None:
    code, output, errors = installation.command(
        "run", SYNC_INTERVAL_SEC="soon", LOG_LEVEL="LOUD", VEHICLE_DEFAULT_API_KEY="ключ"
    )
    assert code == 2
    assert output == ""
    assert errors.splitlines()[0] == "fleetsyncd: the configuration cannot be used:"
    assert [line.split(":")[0].strip() for line in errors.splitlines()[1:]] == [
        "LOG_LEVEL",
        "SYNC_INTERVAL_SEC",
        "VEHICLE_DEFAULT_API_KEY",
    ]
    assert "ключ" not in errors


@pytest.mark.parametrize(
    "arguments",
    [("fly",), ("run", "--fast"), ("run", "--cycles", "0"), ("vehicle", "add", "Truck-01")],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_ends_with_two(
    installation: Installation, arguments: tuple[str, ...]
) -> None:
    code, output, errors = installation.command(*arguments)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "--help" in errors


@pytest.mark.parametrize("command", ["run", "once", "status", "health", "migrate"])
def test_an_unreachable_database_is_one_line_and_ends_with_two(
    installation: Installation, command: str
) -> None:
    code, _, errors = installation.command(
        command, DB_HOST="127.0.0.1", DB_PORT="1", DB_PASSWORD="secret-of-mine"
    )
    assert (code, errors.count("\n")) == (2, 1)
    assert "no connection to 127.0.0.1:1" in errors
    assert "secret-of-mine" not in errors


def test_migrate_makes_a_schema_that_check_finds_complete(
    installation: Installation, empty_database: str
) -> None:
    owner = {"DB_NAME": empty_database, "DB_USER": embedded.OWNER}
    code, output, _ = installation.command("migrate", "--check", **owner)
    assert (code, output.startswith("missing: 0001")) == (1, True)
    assert installation.command("migrate", **owner)[0] == 0
    assert installation.command("migrate", **owner)[1] == "the schema is up to date\n"
    assert installation.command("migrate", "--check", DB_NAME=empty_database)[0] == 0


def test_a_schema_of_a_newer_version_is_told_wherever_it_matters(
    installation: Installation,
) -> None:
    installation.server.execute(sql.SQL(NEWER), database=installation.database_name)
    text = f"the schema is newer than this program, version {__version__}: it does not know"
    text += " 9999.of-a-later-version"
    for command in (("migrate", "--check"), ("migrate",)):
        code, output, _ = installation.command(*command, DB_USER=embedded.OWNER)
        assert code == 0
        assert f"{text} (upgrade this program" in output
        assert "up to date" not in output
    for daemon in (("run", "--cycles", "1"), ("once",)):
        code, log, _ = installation.command(*daemon)
        assert code == 0
        assert f"[WARNING] sync: {text}" in log
    drop = sql.SQL("DROP INDEX public.sync_journal_failures")
    installation.server.execute(drop, database=installation.database_name)
    for command in (("migrate", "--check"), ("migrate",)):
        _, output, _ = installation.command(*command, DB_USER=embedded.OWNER)
        assert "sync_journal_failures" in output
        assert text in output, "also if something is missing"


def test_an_index_that_is_missing_is_found_by_check_and_built(installation: Installation) -> None:
    drop = sql.SQL("DROP INDEX public.sync_journal_failures")
    installation.server.execute(drop, database=installation.database_name)
    owner = {"DB_USER": embedded.OWNER}
    assert installation.command("migrate", "--check", **owner)[:2] == (
        1,
        "missing: sync_journal_failures\n",
    )
    assert "applied: sync_journal_failures\n" in installation.command("migrate", **owner)[1]
    assert installation.command("migrate", "--check", **owner)[0] == 0


def test_the_exit_code_of_once_shows_whether_a_vehicle_failed(installation: Installation) -> None:
    installation.fleet(2)
    assert installation.command("once")[0] == 0
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Gone-01', '127.0.0.1', 1)"
    )
    assert installation.command("once")[0] == 1


def test_a_vehicle_is_registered_changed_paused_and_removed(
    installation: Installation, key_file: KeyFile
) -> None:
    vehicle = ("vehicle",)
    assert installation.command(
        *vehicle, "add", "Truck-01", "10.8.0.17", "--key-file", key_file("key-4711")
    )[1].startswith("added Truck-01 as ")
    assert installation.command(*vehicle, "add", "Truck-02", "10.8.0.17")[0] == 2
    code, output, _ = installation.command(*vehicle, "list", "--json")
    listed = json.loads(output)
    assert (code, listed[0]["address"], listed[0]["has_own_key"]) == (0, "10.8.0.17:8001", True)
    assert "key-4711" not in output
    assert installation.command(*vehicle, "set", "Truck-01", "--address", "fd00::17")[0] == 0
    assert installation.command(*vehicle, "set", "Truck-01", "--no-key", "--port", "9001")[0] == 0
    assert "[fd00::17]:9001" in installation.command(*vehicle, "list")[1]
    (listed,) = json.loads(installation.command(*vehicle, "list", "--json")[1])
    assert (listed["host"], listed["port"]) == ("fd00::17", 9001)
    assert installation.command(*vehicle, "pause", "Truck-01")[0] == 0
    assert "paused" in installation.command("status")[1]
    assert "resume it first" in installation.command(*vehicle, "sync", "Truck-01")[2]
    assert installation.command(*vehicle, "resume", "Truck-01")[0] == 0
    assert installation.command(*vehicle, "sync", "Truck-01")[0] == 0
    assert installation.command(*vehicle, "remove", "Truck-01", stdin="n\n")[0] != 0
    assert installation.command(*vehicle, "remove", "Truck-01", "--yes")[0] == 0
    assert installation.rows("SELECT count(*) FROM vehicles") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "Truck-01", "truck.example"), "truck.example is not an IPv4 or IPv6 address"),
        (("add", "\x1b[2J", "10.8.0.17"), "printable characters"),
        (("pause", "Truck-99"), "no vehicle is called Truck-99"),
        (("set", "Truck-99"), "nothing to change"),
        (("add", "Truck-01", "10.8.0.17", "--key-file", "/nowhere"), "cannot be read"),
    ],
    ids=["no address", "escape", "unknown", "no change", "no key file"],
)
def test_a_bad_argument_is_explained_in_one_line(
    installation: Installation, arguments: tuple[str, ...], message: str
) -> None:
    code, _, errors = installation.command("vehicle", *arguments)
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors


def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(
    installation: Installation, key_file: KeyFile
) -> None:
    code, _, errors = installation.command(
        "vehicle", "add", "Truck-01", "10.8.0.17", "--key-file", key_file("мой-ключ")
    )
    assert code == 2
    assert "printable ASCII" in errors
    assert "мой" not in errors


def test_testing_a_vehicle_prints_a_verdict_for_each_call(installation: Installation) -> None:
    installation.fleet(1)
    code, output, _ = installation.command("vehicle", "test", "Truck-01")
    assert code == 0
    assert [line.split()[:2] for line in output.splitlines()[1:]] == [
        ["ok", "/status"],
        ["ok", "/channels"],
        ["ok", "/data"],
        ["ok", "/alarms"],
    ]
    installation.rows("UPDATE vehicles SET api_key = 'wrong'")
    code, output, _ = installation.command("vehicle", "test", "Truck-01")
    assert code == 1
    assert output.count("HTTP 401: the vehicle refuses the API key") == 4


def test_missing_keys_are_warned_of_with_their_number(installation: Installation) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Gone-01', '127.0.0.1', 1)"
    )
    _, output, _ = installation.command("once")
    assert "VEHICLE_DEFAULT_API_KEY is not set: 1 vehicle(s) have no key of their own" in output


def test_status_is_a_table_for_people_and_json_for_scripts(installation: Installation) -> None:
    installation.fleet(2)
    installation.command("once", SYNC_INTERVAL_SEC="30")
    code, output, _ = installation.command("status", SYNC_INTERVAL_SEC="30")
    assert code == 0
    assert [line.split()[:2] for line in output.splitlines()[1:]] == [
        ["Excavator-02", "online"],
        ["Truck-01", "online"],
    ]
    listed = json.loads(installation.command("status", "--json")[1])
    assert {vehicle["name"] for vehicle in listed} == {"Excavator-02", "Truck-01"}


def test_status_of_one_vehicle_says_what_of_it_is_stored_and_missing(
    installation: Installation,
) -> None:
    installation.fleet(2)
    installation.command("once", SYNC_INTERVAL_SEC="30")
    installation.rows(
        "UPDATE fleetsync.vehicle_state s SET gap_error = '/data: HTTP 503', islands ="
        " tstzmultirange(tstzrange(v.last_sync_at + interval '3 h', v.last_sync_at + '4 h'))"
        " FROM vehicles v WHERE v.id = s.vehicle_id AND v.name = 'Truck-01'"
    )
    installation.rows(
        "INSERT INTO fleetsync.lost_interval (vehicle_id, kind, from_at, to_at) SELECT id,"
        " 'gone for good', last_sync_at - interval '5 s', last_sync_at FROM vehicles"
        " WHERE name = 'Truck-01'"
    )
    code, output, _ = installation.command("status", "Truck-01")
    assert code == 0
    assert "missing before that: 3h" in output
    assert "its gap makes no progress: /data: HTTP 503" in output
    kinds = [line.split("  ")[-1].strip() for line in output.splitlines()[-4:]]
    assert kinds == ["complete", "gone for good", "gap", "live island"]
    (vehicle,) = json.loads(installation.command("status", "Truck-01", "--json")[1])
    assert [part["kind"] for part in vehicle["coverage"]] == kinds
    assert vehicle["gap"]["missing_sec"] == pytest.approx(3 * 3600)
    code, _, errors = installation.command("status", "Truck-99")
    assert (code, "no vehicle is called Truck-99" in errors) == (2, True)
    assert installation.command("status", "Truck-01", "--tag", "yard")[0] == 2


def test_a_commands_log_is_beside_its_result_and_one_object_a_line(
    empty_database: str, installation: Installation
) -> None:
    owner = {"DB_NAME": empty_database, "DB_USER": embedded.OWNER}
    code, output, errors = installation.command("migrate", **owner, LOG_FORMAT="json")
    assert (code, output.startswith("applied: "), output.count("\n")) == (0, True, 1)
    logged = [json.loads(line)["message"] for line in errors.splitlines()]
    applied = [name for name in output.split(": ")[1].strip().split(", ") if "." in name]
    assert {f"applied migration {name}" for name in applied} <= {*logged}


def test_the_log_says_first_in_which_zone_its_times_are(installation: Installation) -> None:
    installation.fleet(1)
    daemon = installation.daemon("--cycles", "1", TZ="Asia/Kolkata")
    first = daemon.wait_for("Sync service starting")
    assert first.rstrip().endswith("  times=UTC")
    at = datetime.strptime(first[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    assert daemon.end() == 0


def test_a_daemon_that_logs_changes_has_no_line_for_a_good_cycle(
    installation: Installation,
) -> None:
    installation.fleet(2)
    daemon = installation.daemon("--cycles", "3", LOG_VEHICLES="changes")
    assert daemon.end() == 0
    of_vehicles = [line for line in daemon.lines if "sync: [" in line]
    assert len(of_vehicles) == 2
    assert all("] online  sw=" in line for line in of_vehicles)
    ends = [line for line in daemon.lines if "Cycle done in" in line]
    assert all(re.search(r"  ok=2  failed=0  resting=0  rows=\d+$", line) for line in ends)
    assert len(ends) == 3


def test_json_logs_are_one_object_a_line(installation: Installation) -> None:
    installation.fleet(1)
    _, output, _ = installation.command("once", LOG_FORMAT="json")
    lines = [json.loads(line) for line in output.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert [line["vehicle"] for line in lines if "vehicle" in line] == ["Truck-01"]


def test_a_role_without_rights_gets_the_command_that_grants_them(
    installation: Installation,
) -> None:
    installation.server.execute(
        sql.SQL("DROP ROLE IF EXISTS fleet_nobody"), sql.SQL("CREATE ROLE fleet_nobody LOGIN")
    )
    code, _, errors = installation.command("once", DB_USER="fleet_nobody")
    assert (code, errors.count("\n")) == (2, 1)
    assert "permission denied" in errors
    assert "run `fleetsyncd migrate` with its DB_APP_ROLE" in errors


def test_a_daemon_that_is_stopped_while_it_starts_has_ended_well(
    installation: Installation,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        where = {"DB_HOST": "127.0.0.1", "DB_PORT": str(mute.getsockname()[1])}
        daemon = installation.daemon(**where)
        daemon.wait_for("Sync service starting")
        with mute.accept()[0]:
            daemon.process.terminate()
            daemon.wait_for("Sync service stopped before its first cycle")
            assert daemon.end() == 0
