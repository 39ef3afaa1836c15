"""Messages: where they stand, how long, and how they are read again."""

import pytest
from textual.notifications import Notification
from textual.widgets._toast import Toast

from fleetsyncd.database.pool import Database
from tests.tui.driving import Driver, add, drive, small_fleet
from tui.model.messages import MOST_KEPT, reading_sec
from tui.notifying import MOST_SHOWN, to_remove


def fill(database: Database) -> None:
    for number in range(60):
        add(database, f"Truck-{number:02}", f"10.8.0.{number + 1}")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 45)], ids=str)
def test_messages_cover_neither_rows_nor_status_line_nor_keys(
    database: Database, size: tuple[int, int]
) -> None:
    fill(database)

    async def look(it: Driver) -> None:
        await it.press("end")
        for text in ("one", "two " * 60, "three"):
            it.app.say(text, error=True)
        await it.sees("one", "two two", "three", "Truck-59", "of 60")
        assert it.lines()[-1].lstrip().startswith("⏎ Open")
        table = it.app.screen.query_one("FleetTable").region
        for each in it.app.screen.query("Toast, #status-line, Footer, #tail"):
            assert not each.region.overlaps(table), each
        for toast in it.app.screen.query(Toast):
            for other in it.app.screen.query("#status-line, Footer, #tail"):
                assert not toast.region.overlaps(other.region)

    drive(database, look, size=size)


def test_at_most_a_few_messages_are_on_the_screen_and_errors_stay_longest(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        it.app.say("broken", error=True)
        for number in range(9):
            it.app.say(f"done {number}")
            await it.pilot.pause()
        await it.sees("broken", "done 7", "done 8")
        await it.sees_no("done 6")
        await it.until(lambda: len(it.app.screen.query(Toast)) == MOST_SHOWN)
        last = it.app.size.height - 1
        status_line = it.app.screen.query_one("#status-line")
        await it.until(lambda: status_line.region.y == last - MOST_SHOWN - 1)
        await it.press("enter")
        await it.sees("1 History", "done 8")
        it.app.clear_notifications()
        await it.press("q")
        await it.until(lambda: status_line.region.y == last - 1)

    drive(database, look)


def test_a_message_that_is_told_again_is_shown_once(database: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("plus", "minus", "plus")
        await it.until(lambda: it.app.messages.told == 3)
        await it.sees("reading every 2 s", "reading every 5 s")
        assert it.screen().count("reading every 5 s") == 1

    drive(database, look)


def test_what_was_told_can_be_read_again(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("M")
        await it.sees("nothing was told since")
        await it.press("q")
        it.app.say("Truck-01: " + "long " * 100 + "end", error=True)
        it.app.say("[b]done[/b]")
        await it.pilot.pause()
        await it.press("M")
        await it.sees("2026-02-22 12:00:00 UTC · [b]done[/b]", "✖ Truck-01: long", "end")
        screen = it.screen()
        assert screen.index("done") < screen.index("Truck-01: long")
        it.app.say("a new one")
        await it.until(lambda: it.screen().count("a new one") == 2)

    drive(database, look, size=(120, 40))


def test_messages_of_the_toolkit_and_of_dialogs_are_kept_too(database: Database) -> None:
    async def look(it: Driver) -> None:
        it.app.notify("saved a screenshot")
        for number in range(MOST_KEPT + 5):
            it.app.say(f"done {number}")
        kept = it.app.messages.newest_first
        assert len(kept) == MOST_KEPT
        assert kept[0].text == f"done {MOST_KEPT + 4}"

    drive(database, look)


def test_a_message_stays_as_long_as_it_takes_to_read() -> None:
    assert reading_sec("short", error=False) == 5
    assert reading_sec("short", error=True) == 10
    assert reading_sec("x" * 300, error=True) == 20
    assert reading_sec("x" * 5000, error=False) == 30


def test_the_oldest_messages_make_room_and_errors_last() -> None:
    notes = [
        Notification("a", severity="error"),
        Notification("b"),
        Notification("c"),
    ]
    assert [note.message for note in to_remove(notes, "d")] == ["b"]
    assert [note.message for note in to_remove(notes, "a")] == ["a"]
    errors = [Notification(text, severity="error") for text in "abcd"]
    assert [note.message for note in to_remove(errors, "e")] == ["a", "b"]
