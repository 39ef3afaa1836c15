"""Keys that arrive together go where the one before them leads; bytes through a real terminal."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from textual.events import Key

from fleetsyncd.database.pool import Database
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseError
from tests.tui.driving import Driver, alarm, channel, drive, execute, small_fleet
from tests.tui.terminal import Terminal, locked, terminal
from tui.gateway import Gateway

FLEET = "SELECT name, host(vpn_ip), api_port FROM vehicles ORDER BY name"
PAUSED = "SELECT count(*) FROM fleetsync.vehicle_state WHERE paused"
PRESENT = (
    ("Crane-02", "10.8.0.1", 8001),
    ("Dozer-03", "10.8.0.2", 8001),
    ("Loader-04", "10.8.0.3", 8001),
    ("Truck-01", "10.8.0.4", 8001),
)


def rows_are(it: Terminal, database: Database, statement: str, rows: Sequence[Any]) -> None:
    """Wait until a statement returns these rows."""
    for _ in range(600):
        if execute(database, statement) == list(rows):
            return
        it.read_for(0.05)
    raise AssertionError(execute(database, statement))


def test_a_filter_that_is_typed_at_once_is_text_and_no_action(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("/dpse\x7f\x7f\x7fozer\r")
        it.sees("filter: dozer")
        it.read_for(1)
        assert execute(database, PAUSED) == [(0,)]
        assert b"1 History" not in it.shown


def test_what_is_typed_for_a_dialog_lands_in_the_fields_that_tab_leads_to(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("aBad\t10.8.0.5\t\x158002\tsecret-p\r")
        rows_are(it, database, FLEET, (("Bad", "10.8.0.5", 8002), *PRESENT))
        assert execute(database, "SELECT api_key FROM vehicles WHERE name = 'Bad'") == [
            ("secret-p",)
        ]
        assert b"secret" not in it.shown
        assert execute(database, PAUSED) == [(0,)]


def test_a_key_behind_enter_goes_to_the_page_that_opens(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    ids = small_fleet(database)
    for number, name in ((1, "Oil"), (2, "Water"), (3, "Boost")):
        channel(database, ids["Loader-04"], number, name)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("\x1b[H\r4j\r")
        it.sees("Loader-04 · 10m")
        it.sees("a Water")
        it.type("qqj\r5")
        it.sees(str(ids["Dozer-03"]))


def test_keys_wait_for_a_dialog_that_first_has_to_read(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("\x1b[H")
        it.read_for(0.5)
        with locked(server, database_name, "public.vehicles"):
            it.type("e\x15Pump-9\r")
            it.read_for(1.5)
        rows_are(
            it, database, FLEET, sorted((*PRESENT[:2], PRESENT[3], ("Pump-9", "10.8.0.3", 8001)))
        )
        assert execute(database, PAUSED) == [(0,)]


def test_the_dashboard_can_be_left_while_keys_wait_for_a_dialog(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        with locked(server, database_name, "public.vehicles"):
            it.type("epp\x11")
            assert it.ended() == 0
        assert execute(database, PAUSED) == [(0,)]


@pytest.mark.parametrize("accepting", ["\r", "y"], ids=["Enter", "y"])
def test_an_escape_cancels_whatever_key_is_right_behind_it(
    server: Server, database: Database, database_name: str, tmp_path: Path, accepting: str
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type(f"*p\x1b{accepting}")
        it.read_for(1)
        it.type("\x1b[H\x04Crane-02\x1b\rq")
        it.read_for(1)
        it.type("q\x11")
        assert it.ended() == 0
        assert execute(database, PAUSED) == [(0,)]
        assert execute(database, FLEET) == list(PRESENT)


REFUSED = "SELECT name FROM fleetsync.quarantine JOIN vehicles v ON v.id = vehicle_id"
REFUSE = """
INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason)
SELECT id, gen_random_uuid(), '/data', '{}', 'no time' FROM vehicles
"""


@pytest.mark.parametrize("held_sec", [0.5, 2.0])
def test_keys_behind_a_filter_never_act_on_the_rows_before_it(
    server: Server, database: Database, database_name: str, tmp_path: Path, held_sec: float
) -> None:
    small_fleet(database)
    execute(database, REFUSE)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("Q")
        it.sees("4 refused rows")
        with locked(server, database_name, "fleetsync.quarantine"):
            it.type("/dozer\r\x04y")
            it.read_for(held_sec)
        it.read_for(2)
        left = {name for (name,) in execute(database, REFUSED)}
        assert {"Crane-02", "Loader-04", "Truck-01"} <= left


def test_held_moves_are_handed_on_in_order_and_what_follows_acts_where_they_end(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("Njkjjp")
        rows_are(
            it,
            database,
            "SELECT name FROM vehicles v JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id"
            " WHERE s.paused",
            [("Loader-04",)],
        )


def test_a_key_waits_until_what_has_opened_is_there(database: Database) -> None:
    small_fleet(database)

    async def script(it: Driver) -> None:
        it.app.open_soon().release()
        assert it.app.keys_are_waiting
        await it.press("enter")
        assert it.dialog() == "VehiclePage"

    drive(database, script)


class Unreadable(Gateway):
    """Cannot tell how vehicles are registered."""

    def registered(self, _ids: Sequence[UUID]) -> list[RegisteredVehicle]:
        raise DatabaseError("permission denied for table vehicles")


@pytest.mark.parametrize("keys", ["epp", "\x04pp"], ids=["edit", "delete"])
def test_keys_for_a_dialog_that_does_not_open_are_for_nothing_else(
    database: Database, keys: str
) -> None:
    small_fleet(database)

    async def script(it: Driver) -> None:
        for key in keys:
            name = "ctrl+d" if key == "\x04" else key
            it.app.post_message(Key(name, key))
        await it.notified("permission denied")
        await it.until(lambda: not it.app.keys_are_waiting)
        assert execute(database, PAUSED) == [(0,)]

    drive(Unreadable(database, 30), script)


HASTY = """
from tui.typing_order import KeysInOrder
KeysInOrder.open_soon.__defaults__ = (0.5,)
from tui.__main__ import main
main(prog_name="fleetsync-tui")
"""


@pytest.mark.parametrize("keys", ["epp", "\x04up", "bp\r"], ids=["edit", "delete", "backfill"])
def test_a_dialog_that_reads_for_too_long_does_not_open_and_its_keys_are_for_nothing_else(
    server: Server, database: Database, database_name: str, tmp_path: Path, keys: str
) -> None:
    small_fleet(database)
    command = [sys.executable, "-c", HASTY]
    with terminal(server, database_name, tmp_path, command=command) as it:
        it.sees("Truck-01")
        with locked(server, database_name, "public.vehicles, public.sync_journal"):
            it.type(keys)
            it.sees("not read within")
        it.read_for(1.5)
        assert "Truck-01" in it.lines()[5]
        assert execute(database, PAUSED) == [(0,)]
        assert execute(database, "SELECT count(*) FROM fleetsync.backfill") == [(0,)]


def test_a_key_behind_the_filter_of_open_alarms_is_for_what_it_finds(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    ids = small_fleet(database)
    alarm(database, ids["Dozer-03"], 1, "oil lost", "3 h", None)
    alarm(database, ids["Truck-01"], 2, "door open", "1 h", None)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("A")
        it.sees("open alarms 1-2 of 2")
        with locked(server, database_name, "public.alarms_log"):
            it.type("/oil\rv")
            it.read_for(0.5)
        it.sees(" Dozer-03 · ◌ TIMEOUT")
