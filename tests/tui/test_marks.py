"""Marks: what an action applies to is named, and what is out of sight is asked about."""

from pathlib import Path

import pytest
from textual.widgets import Static

from fleetsyncd.database import pausing
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import Driver, add, drive, execute, small_fleet
from tests.tui.terminal import terminal
from tests.tui.test_operations import asked_for, paused


async def mark_and_hide(it: Driver, *names: str, by: str = "Dozer") -> None:
    """Mark vehicles, then show only those whose name contains a text."""
    for name in names:
        it.state.view.toggle_mark(next(v.id for v in it.state.view.shown if v.name == name))
    await it.press("slash")
    await it.type("#filter", by)
    await it.press("enter")


def notice(it: Driver) -> str:
    return str(it.app.screen.query_one("#notice", Static).render())


@pytest.mark.parametrize("refusal", ["\r", "\x1b", "q"], ids=["Enter", "Esc", "q"])
def test_keys_pause_no_vehicle_that_a_filter_hides_unless_the_question_is_answered(
    server: Server, database: Database, database_name: str, tmp_path: Path, refusal: str
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Loader-04")
        it.type("\x1b[H ")  # the worst is at the top
        it.sees("1 marked")
        it.type("/")
        it.read_for(1)
        it.type("Dozer")
        it.sees("not shown")
        it.type("\r")
        it.read_for(1)
        it.type("p")
        it.sees("Pause Loader-04?")
        it.type(refusal)
        it.read_for(2)
        assert paused(database) == set()
        it.shown.clear()
        it.type("p")
        it.sees("Pause Loader-04?")
        it.type("y")
        it.sees("u undoes")
        assert paused(database) == {"Loader-04"}
        it.type("u")
        it.sees("resumed again")
        assert paused(database) == set()


@pytest.mark.parametrize(("key", "verb"), [("p", "Pause"), ("s", "Sync"), ("t", "Test")])
def test_an_action_on_a_single_hidden_vehicle_asks_and_names_it(
    database: Database, key: str, verb: str
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await mark_and_hide(it, "Crane-02")
        for refusal in ("enter", "escape", "q"):
            await it.press(key)
            await it.sees(f"{verb} Crane-02?", "marked, but not shown, hidden by the filter Dozer")
            await it.press(refusal)
            assert it.dialog() == "FleetPage"
        assert (paused(database), asked_for(database)) == (set(), set())
        await it.press(key)
        await it.sees(f"{verb} Crane-02?")
        await it.press("y")
        if key == "t":
            await it.sees("Test Crane-02", "It is marked, but not shown")
        else:
            await it.notified("Crane-02: ")

    drive(database, look)
    done = {"p": paused, "s": asked_for}
    assert key not in done or done[key](database) == {"Crane-02"}


def test_a_hidden_paused_vehicle_is_resumed_only_after_a_question_that_says_so(
    database: Database,
) -> None:
    ids = small_fleet(database)
    database.run(lambda cursor: pausing.set_paused(cursor, ids["Crane-02"], True))

    async def look(it: Driver) -> None:
        await mark_and_hide(it, "Crane-02")
        await it.press("p")
        await it.sees("Resume Crane-02?", "marked, but not shown")
        await it.press("enter")
        assert it.dialog() == "FleetPage"

    drive(database, look)
    assert paused(database) == {"Crane-02"}


@pytest.mark.parametrize(
    ("key", "opened"),
    [("b", "BackfillForm"), ("x", "AuditForm"), ("e", "VehicleForm"), ("ctrl+d", "DeleteForm")],
)
def test_a_form_says_which_of_its_vehicles_are_not_shown(
    database: Database, key: str, opened: str
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await mark_and_hide(it, "Crane-02", "Dozer-03", "Truck-01")
        await it.press(key)
        await it.until(lambda: it.dialog() == opened)
        await it.sees("2 of them not shown, hidden by the filter Dozer: Crane-02, Truck-01")
        await it.press("escape")
        await it.press("escape", "escape", "escape")
        await mark_and_hide(it, "Crane-02")
        await it.press("exclamation_mark", key)
        await it.until(lambda: it.dialog() == opened)
        assert notice(it).endswith("not shown, hidden by problems only and the filter Dozer")

    drive(database, look)


def test_a_question_about_several_vehicles_names_all_and_those_not_shown(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await mark_and_hide(it, "Crane-02", "Dozer-03")
        await it.press("p")
        await it.sees(
            "Pause 2 vehicles?",
            "Crane-02, Dozer-03",
            "1 of them not shown, hidden by the filter Dozer: Crane-02",
        )
        await it.press("y")
        await it.notified("Crane-02, Dozer-03: paused, u undoes")

    drive(database, look)


def test_the_status_line_tells_how_many_marked_vehicles_are_not_shown(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await mark_and_hide(it, "Crane-02", "Dozer-03", "Truck-01")
        await it.sees("3 marked, 2 not shown")
        await it.press("escape")
        await it.sees("3 marked ·")
        await it.press("exclamation_mark")
        await it.sees("3 marked, 1 not shown")

    drive(database, look)


def test_copy_and_export_tell_what_they_do_with_hidden_marks(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await mark_and_hide(it, "Crane-02", "Dozer-03")
        await it.press("y")
        await it.notified("copied 2 lines. 1 of them not shown, hidden by the filter Dozer: Crane")
        await it.press("E")
        await it.sees("Export 1 row", "Only what is shown is written", "2 marked, 1 not shown")

    drive(database, look)


def test_an_action_on_one_vehicle_that_is_scrolled_off_the_screen_asks(database: Database) -> None:
    for number in range(60):
        add(database, f"Truck-{number:02}", f"10.8.0.{number + 1}")

    async def look(it: Driver) -> None:
        await it.press("space", "end", "p")
        await it.sees("Pause Truck-00?", "It is scrolled off the screen")
        await it.press("enter")
        assert paused(database) == set()
        await it.press("home", "p")
        await it.notified("Truck-00: paused")

    drive(database, look)


def test_no_key_applies_to_a_vehicle_while_no_vehicle_is_shown(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await mark_and_hide(it, by="zeppelin")
        await it.sees("No vehicle matches")
        await it.press("p", "s", "b", "x", "e", "ctrl+d", "t", "space", "enter")
        assert it.dialog() == "FleetPage"
        assert not it.state.view.marked

    drive(database, look)
    assert (paused(database), asked_for(database)) == (set(), set())


def test_a_marked_vehicle_that_is_removed_or_renamed_is_left_out_or_named_anew(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await mark_and_hide(it, "Crane-02", "Dozer-03", "Truck-01")
        execute(database, "DELETE FROM vehicles WHERE name = 'Truck-01'")
        execute(database, "UPDATE vehicles SET name = 'Crane-77' WHERE name = 'Crane-02'")
        await it.refresh()
        await it.sees("2 marked, 1 not shown")
        await it.press("p")
        await it.sees("Pause 2 vehicles?", "hidden by the filter Dozer: Crane-77")

    drive(database, look)


def test_one_action_changes_a_thousand_marked_vehicles_at_once(database: Database) -> None:
    execute(
        database,
        "INSERT INTO vehicles (name, vpn_ip) SELECT 'Truck-' || lpad(n::text, 4, '0'),"
        " '10.8.0.0'::inet + n FROM generate_series(1, 1000) n",
    )

    async def look(it: Driver) -> None:
        await it.press("asterisk", "p")
        await it.sees("Pause 1,000 vehicles?", "and 980")
        await it.press("y")
        await it.notified("Truck-0001, Truck-0002, Truck-0003 and 997 more: paused, u undoes")
        assert len(paused(database)) == 1000
        await it.press("u")
        await it.notified("undo: Truck-0001, Truck-0002, Truck-0003 and 997 more: resumed again")

    drive(database, look)
    assert paused(database) == set()
