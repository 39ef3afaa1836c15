import json
import sys
from pathlib import Path

import pytest

from fleetsyncd.database import store, vehicles
from fleetsyncd.telemetry import BadRow
from tests.acceptance.conftest import Installation
from tests.tui.terminal import terminal

REPLAYED = "tried 2: 1 stored, 0 were stored already, 1 are still refused"


def test_refused_rows_are_listed_shown_replayed_and_purged(installation: Installation) -> None:
    key = installation.database.run(
        lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None)
    )
    good = '{"channel_id":1,"value":2.5,"time":"2026-11-01T00:00:00.000Z"}'
    bad = [BadRow("/data", good, "was refused"), BadRow("/data", '{"x":"\x1b[2J"}', "no time")]
    installation.database.run(lambda cursor: store.quarantine_rows(cursor, key, bad))
    code, out, err = installation.command("quarantine", "list")
    assert (code, err) == (0, "")
    assert "was refused" in out
    assert "\x1b" not in out
    code, out, _ = installation.command("quarantine", "list", "Truck-01", "--count", "--json")
    assert sorted((one["reason"], one["rows"]) for one in json.loads(out)) == [
        ("no time", 1),
        ("was refused", 1),
    ]
    number = json.loads(installation.command("quarantine", "list", "--json")[1])[0]["id"]
    code, out, _ = installation.command("quarantine", "show", str(number))
    assert (code, "Truck-01  /data" in out) == (0, True)
    code, out, _ = installation.command("quarantine", "replay")
    assert (code, out.splitlines()[-1]) == (0, REPLAYED)
    code, out, _ = installation.command("quarantine", "purge", "--all", "--yes")
    assert (code, out) == (0, "deleted 1 refused row(s)\n")
    for arguments, told in (
        (["purge"], "name the vehicle, or give --all"),
        (["purge", "--all", "--older", "week"], "week is not a time"),
        (["show", "4711"], "no refused row has the id 4711"),
        (["list", "nobody"], "no vehicle is called nobody"),
    ):
        code, _, err = installation.command("quarantine", *arguments)
        assert (code, told in err) == (2, True), err


def quarantined(installation: Installation) -> int:
    number: int = installation.rows("SELECT count(*) FROM fleetsync.quarantine")[0][0]
    return number


def quarantine_two(installation: Installation) -> None:
    """Register two vehicles with a refused row of 8 days and one of 1 day."""
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('A', '10.8.0.1'), ('B', '::1')")
    installation.rows(
        "INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason, at)"
        " SELECT id, id, '/data', '{}', 'bad', now() - CASE name WHEN 'A' THEN 8 ELSE 1 END"
        " * interval '1 day' FROM vehicles"
    )


def test_a_replay_tries_only_the_rows_that_are_named(installation: Installation) -> None:
    quarantine_two(installation)
    first, second = installation.rows("SELECT id FROM fleetsync.quarantine ORDER BY id")
    code, out, _ = installation.command("quarantine", "replay", "--id", str(first[0]))
    assert (code, out.startswith("tried 1: ")) == (0, True)
    both = ("--id", str(first[0]), "--id", str(second[0]))
    code, out, _ = installation.command("quarantine", "replay", *both)
    assert (code, out.startswith("tried 2: ")) == (0, True)
    assert quarantined(installation) == 2


@pytest.mark.parametrize(
    ("arguments", "question", "left"),
    [
        (["--all"], "Delete 2 refused row(s) of 2 vehicle(s) for good?", 0),
        (["A"], "Delete 1 refused row(s) of A for good?", 1),
        (
            ["--all", "--older", "7d"],
            "Delete 1 refused row(s) of 1 vehicle(s) that are older than 7d for good?",
            1,
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_purge_asks_with_the_count_and_deletes_nothing_unless_the_answer_is_yes(
    installation: Installation, arguments: list[str], question: str, left: int
) -> None:
    quarantine_two(installation)
    purge = ("quarantine", "purge", *arguments)
    code, out, _ = installation.command(*purge, stdin="n\n")
    assert (code, question in out, quarantined(installation)) == (130, True, 2)
    code, out, err = installation.command(*purge)
    assert (code, question in out, "give --yes" in err) == (2, True, True)
    assert (err.count("\n"), quarantined(installation)) == (1, 2)
    code, out, _ = installation.command(*purge, stdin="y\n")
    assert (code, quarantined(installation)) == (0, left)


def test_a_purge_of_nothing_asks_nothing(installation: Installation) -> None:
    assert installation.command("quarantine", "purge", "--all")[:2] == (
        0,
        "deleted 0 refused row(s)\n",
    )


def test_an_operator_at_a_terminal_is_asked_and_may_break_off(
    installation: Installation, tmp_path: Path
) -> None:
    quarantine_two(installation)
    command = [sys.executable, "-m", "fleetsyncd", "quarantine", "purge", "--all"]
    for keys, code, left in (("\x04", 130, 2), ("\r", 130, 2), ("y\r", 0, 0)):
        with terminal(
            installation.server, installation.database_name, tmp_path, command=command
        ) as shown:
            shown.sees("for good? [y/N]")
            shown.type(keys)
            assert (shown.ended(), quarantined(installation)) == (code, left)
