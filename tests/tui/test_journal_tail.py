"""The tail's cursor stays on its entry, whatever comes in; bytes through a real terminal."""

from pathlib import Path

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import Driver, attempts, drive, execute, small_fleet
from tests.tui.terminal import Terminal, terminal
from tests.tui.test_operations import paused
from tests.tui.test_palette import resize
from tui.widgets.journal_tail import JournalTail

WIDE = (120, 40)


@pytest.fixture(autouse=True)
def own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing stand for the size of the terminal."""
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def wide_tail(it: Terminal, database: Database) -> None:
    """Fill the tail with entries of Truck-01, and put its cursor on the third one."""
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 12, every="30 s")
    it.sees("Truck-01")
    resize(it, 120, 40, "540 rows")
    it.type("\t")
    it.read_for(0.5)
    it.type("jj")
    it.read_for(0.5)


def newer_ones(it: Terminal, database: Database) -> None:
    """Write many entries of another vehicle, and wait until they are shown."""
    ((vehicle,),) = execute(database, "SELECT id FROM vehicles WHERE name = 'Crane-02'")
    it.shown.clear()
    attempts(database, vehicle, 20, every="10 ms", rows=7777)
    it.sees("7777")
    it.read_for(0.5)


@pytest.mark.parametrize("between", ["", "\x1b[O\x1b[I"], ids=["none", "focus reports"])
def test_a_key_acts_on_the_entry_that_was_pointed_at_however_many_have_come_in(
    server: Server, database: Database, database_name: str, tmp_path: Path, between: str
) -> None:
    with terminal(server, database_name, tmp_path) as it:
        wide_tail(it, database)
        newer_ones(it, database)
        it.type(between)
        it.read_for(0.5)
        it.type("p")
        it.sees("u undoes")
        assert paused(database) == {"Truck-01"}


def test_a_key_between_two_focus_reports_acts_on_the_entry_and_not_on_the_table(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    with terminal(server, database_name, tmp_path) as it:
        wide_tail(it, database)
        it.type("\x1b[O")
        it.read_for(0.5)
        newer_ones(it, database)
        it.type("p")
        it.sees("u undoes")
        assert paused(database) == {"Truck-01"}


def test_the_entry_under_the_cursor_stays_shown_until_the_tail_is_left(
    database: Database,
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 12)

    async def look(it: Driver) -> None:
        await it.sees("540 rows")
        await it.press("tab", "j")
        attempts(database, ids["Crane-02"], 20, every="10 ms", rows=77)
        await it.refresh()
        tail = it.app.screen.query_one(JournalTail)
        await it.until(lambda: [e.rows_written for e in tail.entries or ()] == [77] * 7 + [540])
        await it.press("tab")
        await it.refresh()
        await it.until(lambda: [e.rows_written for e in tail.entries or ()] == [77] * 8)
        await it.press("p")
        await it.notified("Crane-02: paused")

    drive(database, look, size=WIDE)


def test_in_an_empty_tail_no_key_applies_to_the_vehicle_under_the_tables_cursor(
    database: Database,
) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await it.sees("no attempt in the journal yet")
        await it.press("tab", "p")
        attempts(database, ids["Truck-01"], 2)
        await it.refresh()
        await it.sees("540 rows")
        await it.press("p", "v")
        assert it.dialog() == "FleetPage"
        assert paused(database) == set()
        await it.press("j", "p")
        await it.notified("Truck-01: paused")

    drive(database, look, size=WIDE)


def test_an_entry_of_a_vehicle_that_the_view_does_not_know_is_no_target(
    database: Database,
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 2)

    async def look(it: Driver) -> None:
        await it.sees("540 rows")
        await it.press("tab")
        it.state.view.update([v for v in it.state.view.shown if v.name != "Truck-01"])
        assert not it.app._targets()

    drive(database, look, size=WIDE)
