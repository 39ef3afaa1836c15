import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import click
import pytest
from psycopg2 import sql

from fleetsyncd.cli import cli
from fleetsyncd.commands.parameters import complete_name
from fleetsyncd.times import utc_now
from tests.acceptance.conftest import Installation

FLEET = "name,address,port,api_key\nTruck-01,10.8.0.1,,key-4711\nTruck-02,fd00::2,9001,\n"


def commands(group: click.Command, *path: str) -> list[tuple[str, ...]]:
    """Return the path of every command at or beneath a group."""
    if not isinstance(group, click.Group):
        return [path]
    context = click.Context(group)
    paths = [path]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        paths += commands(command, *path, name)
    return paths


def test_vehicles_of_a_file_are_registered_all_or_none(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(FLEET.replace("fd00::2", "nowhere"))
    code, _, errors = installation.command("vehicle", "add", "--from-file", str(path))
    assert (code, "line 3: nowhere is not an IPv4 or IPv6 address" in errors) == (2, True)
    assert installation.rows("SELECT count(*) FROM vehicles") == [(0,)]
    path.write_text(FLEET)
    code, output, _ = installation.command("vehicle", "add", "--from-file", str(path))
    assert (code, output.startswith("added 2 vehicle(s)")) == (0, True)
    assert installation.rows(
        "SELECT name, host(vpn_ip), api_port, api_key FROM vehicles ORDER BY name"
    ) == [("Truck-01", "10.8.0.1", 8001, "key-4711"), ("Truck-02", "fd00::2", 9001, None)]


def test_a_vehicle_that_is_registered_already_keeps_its_whole_file_out(
    installation: Installation,
) -> None:
    assert installation.command("vehicle", "add", "Truck-09", "10.8.0.1")[0] == 0
    code, _, errors = installation.command("vehicle", "add", "--from-file", "-", stdin=FLEET)
    assert code == 2
    assert "line 2: a vehicle at 10.8.0.1 port 8001 is registered already" in errors
    assert "key-4711" not in errors
    assert installation.rows("SELECT count(*) FROM vehicles") == [(1,)]


@pytest.mark.parametrize(
    "arguments", [(), ("Truck-01",), ("Truck-01", "10.8.0.1", "--from-file", "fleet.csv")]
)
def test_a_name_with_an_address_or_a_file_is_needed_and_not_both(
    installation: Installation, arguments: tuple[str, ...]
) -> None:
    code, _, errors = installation.command("vehicle", "add", *arguments)
    assert (code, errors.count("\n"), "--from-file" in errors) == (2, 1, True)


@pytest.mark.parametrize("path", commands(cli), ids=lambda path: " ".join(path) or "fleetsyncd")
def test_every_help_text_begins_with_a_sentence_that_fits_its_line(path: tuple[str, ...]) -> None:
    command: click.Command = cli
    context = click.Context(cli, info_name="fleetsyncd")
    for name in path:
        assert isinstance(command, click.Group)
        subcommand = command.get_command(context, name)
        assert subcommand is not None
        command, context = subcommand, click.Context(subcommand, parent=context, info_name=name)
    sentence = command.get_short_help_str(80)
    assert sentence.endswith(".")
    assert "..." not in sentence
    undocumented = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not (option.help or option.show_default)
    ]
    assert undocumented == []
    assert "\\b" not in command.get_help(context)
    assert max(map(len, command.get_help(context).splitlines())) <= 80


VEHICLES = {"which", "vehicle", "vehicles", "names", "first", "second"}
REMOVED = {("vehicle", "restore", "which"), ("vehicle", "purge", "which")}
"""These complete the names of vehicles that are in the fleet no more."""
"""What arguments that name registered vehicles are called."""


def command_at(path: tuple[str, ...]) -> click.Command:
    """Return the command of a path."""
    command: click.Command | None = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    return command


def test_every_argument_that_names_vehicles_completes_their_names() -> None:
    arguments = {
        (*path, parameter.name)
        for path in commands(cli)
        for parameter in command_at(path).params
        if isinstance(parameter, click.Argument) and parameter.name in VEHICLES
    }
    completing = {
        (*path, parameter.name)
        for path in commands(cli)
        for parameter in command_at(path).params
        if parameter.__dict__.get("_custom_shell_complete") is complete_name
    }
    assert len(arguments) > 10
    assert completing == arguments - REMOVED
    assert arguments >= REMOVED


def test_an_option_that_several_commands_have_is_worded_alike() -> None:
    worded: dict[str, set[str | None]] = {}
    for path in commands(cli):
        for parameter in command_at(path).params:
            # The simulation prints one line of JSON and goes on: another thing.
            if parameter.name == "as_json" and path != ("simulate",):
                assert isinstance(parameter, click.Option)
                worded.setdefault(parameter.opts[0], set()).add(parameter.help)
    assert {option: len(texts) for option, texts in worded.items()} == {"--json": 1}


def test_every_switch_says_which_way_is_the_default() -> None:
    silent = [
        (*path, parameter.name)
        for path in commands(cli)
        for parameter in command_at(path).params
        if isinstance(parameter, click.Option)
        and parameter.secondary_opts
        and not parameter.show_default
    ]
    assert silent == []


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_time_that_is_asked_for_says_its_zone(installation: Installation, option: str) -> None:
    (text,) = (
        parameter.help
        for parameter in command_at(("backfill",)).params
        if isinstance(parameter, click.Option) and option in parameter.opts
    )
    assert "by this host's clock and zone" in str(text) or "Written as --from" in str(text)
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('Truck-01', '10.8.0.1')")
    zones = {"TZ": "Asia/Tokyo"}
    asked = ("backfill", "--all", "--no-wait", "--from", "2d", option)
    day = utc_now() - timedelta(days=1)
    _, output, _ = installation.command(*asked, f"{day:%Y-%m-%d} 09:30", **zones)
    assert f"{day:%Y-%m-%d}T00:30:00.000Z" in output
    installation.command("backfill", "--all", "--cancel")
    _, output, _ = installation.command(*asked, f"{day:%Y-%m-%d}T09:30Z", **zones)
    assert f"{day:%Y-%m-%d}T09:30:00.000Z" in output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(installation: Installation, shell: str) -> None:
    code, output, errors = installation.command("completion", shell)
    assert (code, errors) == (0, "")
    assert "_FLEETSYNCD_COMPLETE" in output


def test_the_shell_completes_commands_and_the_names_of_vehicles(
    installation: Installation,
) -> None:
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('Truck-01', '10.8.0.1')")

    def completed(words: str, position: int) -> list[str]:
        used = {
            "_FLEETSYNCD_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        }
        return [line.split(",")[1] for line in installation.command(**used)[1].splitlines()]

    assert completed("fleetsyncd do", 1) == ["doctor"]
    assert completed("fleetsyncd vehicle pause Tr", 3) == ["Truck-01"]
    assert completed("fleetsyncd backfill Tr", 2) == ["Truck-01"]
    assert completed("fleetsyncd quarantine list Tr", 3) == ["Truck-01"]


def test_a_reader_that_has_seen_enough_is_no_fault(installation: Installation) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port)"
        " SELECT repeat('x', 100) || n, '10.8.0.1', n FROM generate_series(1, 3000) n"
    )
    command = subprocess.Popen(
        [sys.executable, "-m", "fleetsyncd", "status"],
        env=installation.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.readline()
    command.stdout.close()
    assert command.stderr.read() == ""
    assert command.wait() == 0
    command.stderr.close()


# What each command that speaks to the database needs to be run at all.
ASKING: dict[tuple[str, ...], tuple[str, ...]] = {
    ("run",): (),
    ("once",): (),
    ("health",): (),
    ("status",): (),
    ("vehicle", "list"): (),
    ("vehicle", "add"): ("Truck-09", "10.8.0.9"),
    ("vehicle", "set"): ("Truck-01", "--name", "Truck-02"),
    ("vehicle", "remove"): ("Truck-01", "--yes"),
    ("vehicle", "restore"): ("Truck-01",),
    ("vehicle", "purge"): ("Truck-01", "--yes"),
    ("vehicle", "pause"): ("Truck-01",),
    ("vehicle", "resume"): ("Truck-01",),
    ("vehicle", "mute"): ("Truck-01",),
    ("vehicle", "unmute"): ("Truck-01",),
    ("vehicle", "sync"): ("Truck-01",),
    ("vehicle", "test"): ("Truck-01",),
    ("vehicle", "swap"): ("Truck-01", "Truck-02"),
    ("vehicle", "accept"): ("Truck-01",),
    ("access", "list"): (),
    ("access", "grant"): ("11111111-2222-3333-4444-555555555555", "Truck-01"),
    ("access", "revoke"): ("11111111-2222-3333-4444-555555555555", "Truck-01"),
    ("backfill",): ("--all", "--from", "1d"),
    ("audit",): ("--all", "--from", "1d"),
    ("quarantine", "list"): (),
    ("quarantine", "show"): ("1",),
    ("quarantine", "replay"): (),
    ("quarantine", "purge"): ("--all",),
    ("notify", "list"): (),
    ("retention",): (),
    ("storage",): (),
    ("minutes",): (),
    ("log",): (),
    ("traffic",): (),
}
WITHOUT = {("doctor",), ("migrate",), ("completion",), ("schema",), ("demo",), ("simulate",)} | {
    ("notify", "test")
}
"""Tell more than a line, are the remedy, or ask no database."""


def complaints(installation: Installation, **changes: str) -> dict[tuple[str, ...], str]:
    """Run every command; return what each complains of, having checked that it is one line."""

    def run(path: tuple[str, ...]) -> str:
        code, _, errors = installation.command(*path, *ASKING[path], **changes)
        lines = [line for line in errors.splitlines() if "Sync service" not in line]
        assert (code, len(lines)) == (2, 1), (path, errors)
        return lines[0]

    with ThreadPoolExecutor(3) as several:
        return dict(zip(ASKING, several.map(run, ASKING), strict=True))


def leaves() -> set[tuple[str, ...]]:
    """Return the path of every command that is no group."""
    return {path for path in commands(cli) if path and not _is_group(path)}


def test_every_command_is_among_those_whose_complaints_are_looked_at() -> None:
    assert leaves() == {*ASKING, *WITHOUT}


def _is_group(path: tuple[str, ...]) -> bool:
    return isinstance(command_at(path), click.Group)


def test_every_command_names_a_database_out_of_reach_in_one_line(
    installation: Installation, tmp_path: Path
) -> None:
    for path, told in complaints(installation, DB_HOST=str(tmp_path)).items():
        assert "no connection to" in told, path


def test_every_command_names_the_remedy_for_an_older_schema_in_one_line(
    installation: Installation,
) -> None:
    installation.server.execute(
        sql.SQL("DROP SCHEMA fleetsync CASCADE"), database=installation.database_name
    )
    for path, told in complaints(installation).items():
        assert "run `fleetsyncd migrate`" in told, path


def test_every_command_names_the_remedy_for_missing_rights_in_one_line(
    installation: Installation,
) -> None:
    installation.server.execute(
        sql.SQL("DROP ROLE IF EXISTS fleet_nothing"), sql.SQL("CREATE ROLE fleet_nothing LOGIN")
    )
    for path, told in complaints(installation, DB_USER="fleet_nothing").items():
        assert "run `fleetsyncd migrate` with its DB_APP_ROLE" in told, path
