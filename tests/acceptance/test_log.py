"""`fleetsyncd log`, and that every command that writes leaves rows in it."""

import json
from collections.abc import Callable
from functools import partial

import pytest
from psycopg2 import sql

from fleetsyncd.database import backfills, removal, store, vehicles
from fleetsyncd.database.pool import Cursor
from fleetsyncd.demo import embedded
from fleetsyncd.models import Window
from fleetsyncd.telemetry import BadRow
from fleetsyncd.times import parse_time, utc_now
from tests.acceptance.conftest import Installation
from tests.acceptance.test_scripting import leaves

USER = "11111111-2222-3333-4444-555555555555"
OPERATOR = {"SUDO_USER": "olga", "SSH_CONNECTION": "192.0.2.7 50022 192.0.2.1 22"}
GOOD = '{"channel_id":1,"value":2.5,"time":"2026-11-01T00:00:00.000Z"}'
Path = tuple[str, ...]
Prepare = Callable[[Installation], None]


def statement(text: str, it: Installation) -> None:
    it.rows(text)


def pulled(it: Installation) -> None:
    """Let the vehicles be pulled up to now, so that there is something to compare."""
    it.rows("UPDATE vehicles SET last_sync_at = now()")


def open_backfill(it: Installation) -> None:
    window = Window(parse_time("2d", utc_now()), utc_now())

    def request(cursor: Cursor) -> None:
        backfills.request_backfill(cursor, vehicles.find_vehicle(cursor, "Truck-01").id, window)

    it.database.run(request)


def open_audit(it: Installation) -> None:
    it.rows(
        "INSERT INTO fleetsync.audit (vehicle_id, is_repair, from_at, to_at, reached_at)"
        " SELECT id, false, now() - interval '1 day', now(), now() - interval '1 day' FROM vehicles"
    )


def refused(it: Installation) -> None:
    def refuse(cursor: Cursor) -> None:
        key = vehicles.find_vehicle(cursor, "Truck-01").id
        store.quarantine_rows(cursor, key, [BadRow("/data", GOOD, "was refused")])

    it.database.run(refuse)


def removed(it: Installation) -> None:
    """Remove a vehicle that leaves measurements."""
    key = it.database.run(lambda c: vehicles.find_vehicle(c, "Truck-01").id)
    removal.remove_vehicles(it.database, [key], with_measurements=False)


def age(it: Installation, vehicle: str, by: str) -> None:
    """Make what was done to a vehicle older; the daemon's role may not."""
    update = "UPDATE fleetsync.action_log SET at = at - {}::interval WHERE vehicle = {}"
    it.server.execute(
        sql.SQL(update).format(sql.Literal(by), sql.Literal(vehicle)), database=it.database_name
    )


def granted(it: Installation) -> None:
    """Let the user see every vehicle; the daemon's role may not."""
    grant = "INSERT INTO vehicle_access SELECT {}, id FROM vehicles"
    it.server.execute(sql.SQL(grant).format(sql.Literal(USER)), database=it.database_name)


def nothing(_it: Installation) -> None:
    pass


OTHER_NAME = (
    "INSERT INTO fleetsync.vehicle_state (vehicle_id, id_hint, other_hint)"
    " SELECT id, 'truck-01', 'truck-77' FROM vehicles WHERE name = 'Truck-01'"
)
EXPIRED = (
    "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
    " SELECT id, now() - interval '90 days', now(), 'ok' FROM vehicles"
)
PAUSED = "INSERT INTO fleetsync.vehicle_state (vehicle_id, paused) SELECT id, true FROM vehicles"
MUTED = "INSERT INTO fleetsync.mute (muted_by) VALUES ('peter')"
AS_OWNER = {"DB_USER": embedded.OWNER}
WRITING: list[tuple[Path, Path, Prepare, dict[str, str]]] = [
    (("vehicle", "add"), ("Truck-03", "10.8.0.3"), nothing, {}),
    (("vehicle", "set"), ("Truck-01", "--name", "Truck-09"), nothing, {}),
    (("vehicle", "pause"), ("Truck-01",), nothing, {}),
    (("vehicle", "resume"), ("Truck-01",), partial(statement, PAUSED), {}),
    (("vehicle", "pause"), ("Truck-01", "--for", "8h", "--reason", "workshop"), nothing, {}),
    (("vehicle", "mute"), ("Truck-01", "--reason", "tyres"), nothing, {}),
    (("vehicle", "mute"), ("--tag", "mine-3"), nothing, {}),
    (("vehicle", "unmute"), ("--all",), partial(statement, MUTED), {}),
    (("vehicle", "sync"), ("Truck-01",), nothing, {}),
    (("vehicle", "swap"), ("Truck-01", "Truck-02"), nothing, {}),
    (("vehicle", "accept"), ("--all",), partial(statement, OTHER_NAME), {}),
    (("vehicle", "remove"), ("Truck-01", "--yes"), nothing, {}),
    (("vehicle", "remove"), ("Truck-01", "--with-measurements", "--yes"), nothing, {}),
    (("vehicle", "restore"), ("Truck-01",), removed, {}),
    (("vehicle", "purge"), ("Truck-01", "--yes"), removed, {}),
    (("access", "grant"), (USER, "Truck-01"), nothing, AS_OWNER),
    (("access", "revoke"), (USER, "Truck-01"), granted, AS_OWNER),
    (("backfill",), ("Truck-01", "--from", "1d", "--no-wait"), nothing, {}),
    (("backfill",), ("Truck-01", "--cancel"), open_backfill, {}),
    (("audit",), ("Truck-01", "--from", "1d", "--no-wait"), pulled, {}),
    (("audit",), ("Truck-01", "--cancel"), open_audit, {}),
    (("quarantine", "replay"), ("Truck-01",), refused, {}),
    (("quarantine", "purge"), ("--all", "--yes"), refused, {}),
    (("retention",), ("--apply", "--yes"), partial(statement, EXPIRED), {}),
    (("minutes",), ("Truck-01", "--rebuild"), pulled, {"MINUTES_KEEP_MONTHS": "0"}),
    (("migrate",), ("--tidy",), nothing, AS_OWNER),
]
READING: set[Path] = {
    ("run",), ("once",), ("health",), ("status",), ("vehicle", "list"), ("vehicle", "test"),
    ("access", "list"), ("quarantine", "list"), ("quarantine", "show"), ("storage",), ("log",),
    ("notify", "list"), ("notify", "test"), ("traffic",),
    ("doctor",), ("completion",), ("schema",), ("demo",), ("simulate",),
}  # fmt: skip
"""Change nothing that is an operator's, or a database of their own only."""


def test_every_command_is_known_to_write_or_not_to() -> None:
    assert leaves() == READING | {path for path, *_ in WRITING}


@pytest.mark.parametrize(
    ("path", "arguments", "prepare", "changes"),
    WRITING,
    ids=[" ".join([*path, *arguments]) for path, arguments, *_ in WRITING],
)
def test_every_command_that_writes_leaves_a_row(
    installation: Installation,
    path: Path,
    arguments: Path,
    prepare: Prepare,
    changes: dict[str, str],
) -> None:
    it = installation
    it.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_key)"
        " VALUES ('Truck-01', '10.8.0.1', 'key-4711'), ('Truck-02', '10.8.0.2', NULL)"
    )
    prepare(it)
    code, _, errors = it.command(*path, *arguments, **changes, **OPERATOR)
    assert code == 0, errors
    logged = it.rows("SELECT DISTINCT login, address, role, action FROM fleetsync.action_log")
    role = changes.get("DB_USER", embedded.APP)
    assert logged == [("olga", "192.0.2.7", role, " ".join([*path, *arguments]))]
    vehicle = it.rows("SELECT DISTINCT vehicle_id IS NULL FROM fleetsync.action_log")
    is_of_none = path in {("retention",), ("migrate",)} or (
        path[-1] in ("mute", "unmute") and arguments[0].startswith("--")
    )
    assert vehicle == [(is_of_none,)]
    assert it.rows("SELECT FROM fleetsync.action_log l WHERE l::text LIKE '%%key-4711%%'") == []


def test_the_log_is_shown_by_vehicle_age_and_number_and_as_json(
    installation: Installation,
) -> None:
    it = installation
    for words in (
        ("vehicle", "add", "Truck-01", "10.8.0.1"),
        ("vehicle", "add", "Truck-02", "10.8.0.2"),
        ("vehicle", "pause", "Truck-01"),
        ("vehicle", "remove", "Truck-01", "--yes"),
    ):
        assert it.command(*words, **OPERATOR)[0] == 0
    code, output, _ = it.command("log", "Truck-01")
    lines = output.splitlines()
    assert (code, len(lines)) == (0, 4)
    assert lines[0].split() == ["AT", "WHO", "FROM", "ROLE", "VEHICLE", "WHAT"]
    assert "vehicle remove Truck-01 --yes (key was default, " in lines[1]
    assert lines[2].endswith("vehicle pause Truck-01 (paused no → yes)")
    assert "  olga  192.0.2.7  fleet_app  Truck-01  vehicle pause" in lines[2]
    assert len(it.command("log", "--limit", "2")[1].splitlines()) == 3
    age(it, "Truck-01", "8 days")
    entries = json.loads(it.command("log", "--since", "7d", "--json")[1])
    assert [(each["vehicle"], each["before"]) for each in entries] == [("Truck-02", None)]
    assert entries[0]["after"]["address"] == "10.8.0.2"
    code, _, errors = it.command("log", "Truck-03")
    assert (code, "no vehicle is or was called Truck-03" in errors) == (2, True)
    code, _, errors = it.command("log", "--since", "yesterday")
    assert (code, "yesterday is not a length of time" in errors) == (2, True)


def test_a_name_and_a_path_are_logged_as_they_were_typed(
    installation: Installation, key_file: Callable[[str], str]
) -> None:
    path = key_file("key-4711")
    words = ("vehicle", "add", "Truck 1", "10.8.0.1", "--tag", "a", "--tag", "b")
    assert installation.command(*words, "--key-file", path)[0] == 0
    ((action, key),) = installation.rows("SELECT action, after->>'key' FROM fleetsync.action_log")
    assert action == f"vehicle add 'Truck 1' 10.8.0.1 --key-file {path} --tag a --tag b"
    assert key == "own"
