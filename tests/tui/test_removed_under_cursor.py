"""A vehicle that somebody else removes takes no key to its neighbour."""

from pathlib import Path

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import Driver, add, drive, execute, small_fleet
from tests.tui.terminal import terminal
from tests.tui.test_backfills_page import three_backfills
from tests.tui.test_operations import asked_for, paused
from tests.tui.test_quarantine_page import refused_fleet
from tui.widgets.keyed_table import KeyedTable


def remove(database: Database, name: str) -> None:
    execute(database, "DELETE FROM vehicles WHERE name = %s", name)


def test_p_asks_after_the_vehicle_under_the_cursor_was_removed(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Crane-02")
        it.type("N\x1b[Hj")
        it.read_for(1)
        remove(database, "Dozer-03")
        it.sees("Dozer-03 was removed")
        it.type("p")
        it.sees("Pause Loader-04?")
        it.type("\r")
        it.read_for(1)
        assert paused(database) == set()
        it.type("jp")
        it.sees("u undoes")
        assert paused(database) == {"Truck-01"}


def test_p_does_nothing_once_after_the_only_marked_vehicle_was_removed(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Crane-02")
        it.type("N\x1b[H ")
        it.sees("1 marked")
        remove(database, "Crane-02")
        it.sees("Crane-02: marked, and removed meanwhile")
        it.type("jp")
        it.sees("nothing was done")
        assert paused(database) == set()
        it.type("p")
        it.sees("u undoes")
        assert paused(database) == {"Loader-04"}


@pytest.mark.parametrize("key", ["p", "s", "t"])
def test_every_action_asks_after_the_vehicle_under_the_cursor_was_removed(
    database: Database, key: str
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("down")
        remove(database, "Dozer-03")
        await it.refresh()
        await it.press(key)
        await it.sees("Loader-04?", "Dozer-03 was removed")
        await it.press("enter")
        await it.until(lambda: it.dialog() == "FleetPage")

    drive(database, look)
    assert (paused(database), asked_for(database)) == (set(), set())


@pytest.mark.parametrize("key", ["space", "enter"])
def test_after_a_removal_the_first_key_neither_marks_nor_opens_the_neighbour(
    database: Database, key: str
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("down")
        remove(database, "Dozer-03")
        await it.refresh()
        await it.press(key)
        await it.notified("Dozer-03 was removed: nothing was done")
        assert not it.state.view.marked
        assert it.dialog() == "FleetPage"
        await it.press("p")
        await it.notified("Loader-04: paused")

    drive(database, look)


def test_an_action_on_the_rest_of_the_marked_vehicles_asks_and_tells_which_were_removed(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space")
        remove(database, "Crane-02")
        await it.refresh()
        await it.sees("1 marked", "Crane-02: marked, and removed meanwhile")
        await it.press("p")
        await it.sees("Pause Dozer-03?", "Crane-02: marked, and removed meanwhile")
        await it.press("y")
        await it.notified("Dozer-03: paused")
        await it.sees_no("removed meanwhile")

    drive(database, look)


def test_marked_vehicles_that_were_removed_hide_neither_filter_nor_counts(
    database: Database,
) -> None:
    small_fleet(database)
    for number in range(12):
        add(database, f"excavator-{number:04}", f"10.9.0.{number + 1}")

    async def look(it: Driver) -> None:
        await it.refresh()
        await it.press("slash", *"excav", "enter", "asterisk", "escape")
        await it.press("exclamation_mark", "slash", *"st:error", "enter")
        remove(database, "excavator-0000")
        await it.refresh()
        await it.sees(
            "11 marked, 11 not shown · 1 marked is gone · problems only · filter: st:error"
        )
        execute(database, "DELETE FROM vehicles WHERE name LIKE 'excavator%%'")
        await it.refresh()
        await it.sees("12 marked are gone · problems only · filter: st:error · 1-1 of 1 (4)")
        await it.press("p")
        await it.sees("nothing was done")
        assert paused(database) == set()

    drive(database, look)


def test_the_long_name_of_a_vehicle_that_was_removed_hides_neither_filter_nor_counts(
    database: Database,
) -> None:
    small_fleet(database)
    add(database, "a" * 60, "10.9.0.1")

    async def look(it: Driver) -> None:
        await it.press("home", "exclamation_mark", "slash", *"st:error,never", "enter", "home")
        remove(database, "a" * 60)
        await it.refresh()
        await it.sees("aaa… is gone · problems only · filter: st:error,never · 1-2 of 2 (4)")

    drive(database, look)


def test_a_mark_or_esc_forgets_marks_that_were_removed_with_their_vehicles(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space")
        remove(database, "Crane-02")
        await it.refresh()
        await it.sees("removed meanwhile")
        await it.press("escape")
        await it.sees_no("removed meanwhile")
        await it.press("p")
        await it.notified("Dozer-03: paused")

    drive(database, look)


def test_no_key_is_for_the_neighbour_of_a_backfill_that_went(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    three_backfills(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        it.type("B")
        it.sees("2 open, 1 finished")
        remove(database, "Truck-01")
        it.sees("what was chosen is gone")
        it.shown.clear()
        it.type("\x04r\r")
        it.read_for(1.5)
        assert b"the backfill of" not in it.shown
        assert b"History" not in it.shown
        it.type("k\x04")
        it.sees("Call off the backfill of")


def test_what_the_operator_asks_for_leaves_the_cursor_on_a_row(database: Database) -> None:
    three_backfills(database)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("2 open, 1 finished")
        await it.press("end", "exclamation_mark")
        await it.sees("only the open ones")
        await it.sees_no("Crane-02")
        await it.press("ctrl+d")
        await it.sees("Call off the backfill of")

    drive(database, look)


def test_marks_that_all_went_leave_the_cursor_on_nothing(database: Database) -> None:
    refused_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("Q")
        await it.settled()
        await it.until(lambda: it.app.screen.query_one(KeyedTable).row_count > 1)
        table = it.app.screen.query_one(KeyedTable)
        await it.press("space")
        (marked,) = table.marked
        execute(
            database,
            "DELETE FROM fleetsync.quarantine WHERE vehicle_id = %s::uuid",
            str(marked[0]),  # type: ignore[index]  # a group's key
        )
        await it.refresh()
        await it.sees("what was chosen is gone")
        await it.press("ctrl+d", "r", "enter", "v")
        assert it.dialog() == "QuarantinePage"
        await it.press("home", "ctrl+d")
        await it.until(lambda: it.dialog() == "Confirm")

    drive(database, look, size=(120, 40))
