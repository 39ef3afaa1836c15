"""The palette: what it offers, in which order, and what Enter runs, however fast it is typed."""

import fcntl
import signal
import struct
import termios
import time
from pathlib import Path

import pytest
from textual.widgets import Input

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import Driver, drive, execute, small_fleet
from tests.tui.terminal import PATIENCE_SEC, Terminal, terminal
from tui.dialogs.palette import Palette
from tui.model.palette import Catalogue, Choice, Kind

OPENING_BYTES = 6_000
PAINTING_BYTES = 800
"""A second in which a page sends more than this, it is still being painted."""


def titles(it: Driver) -> list[str]:
    screen = it.app.screen
    assert isinstance(screen, Palette)
    return [choice.title for choice in screen.matches.shown]


async def typed(it: Driver, text: str) -> list[str]:
    """Open the palette, put a text into its field, and return the titles that are offered."""
    await it.press("ctrl+p")
    await it.type("#wanted", text)
    return titles(it)


def test_every_enabled_action_is_offered_once_with_its_keys(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        described = {
            (active.binding.action, active.binding.description)
            for active in it.app.screen.active_bindings.values()
            if active.binding.id and active.binding.description and active.enabled
        }
        await it.press("ctrl+p")
        screen = it.app.screen
        assert isinstance(screen, Palette)
        offered = [c for c in screen.matches.shown if c.kind is Kind.ACTION]
        assert len(offered) == len({(c.title, c.help) for c in offered}) == len(described) - 1
        assert {"Sync", "Problems", "Export", "Freeze", "Mark all", "Journal"} <= set(titles(it))
        assert {c.title: c.key for c in offered}["Sync"] == "s"

    drive(database, look)


@pytest.mark.parametrize("key", ["l", "A", "Q", "B", "F", "W", "T", "number_sign", "enter"])
def test_no_page_offers_one_thing_twice(database: Database, key: str) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press(key)
        await it.settled()
        await it.press("ctrl+p")
        screen = it.app.screen
        assert isinstance(screen, Palette)
        offered = [each for each in screen.matches.shown if each.kind is Kind.ACTION]
        assert [each.title for each in offered].count("Back") == 1
        assert len(offered) == len({(each.title, each.help) for each in offered})

    drive(database, look)


def test_what_is_not_enabled_is_not_offered(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        offered = set(await typed(it, ""))
        assert not offered & {"Sync", "Pause", "Backfill", "Audit", "Add", "Edit", "Del", "Test"}
        assert "Journal" in offered

    drive(database, look, read_only=True)


def test_an_action_is_found_and_run(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        assert (await typed(it, "problems"))[0] == "Problems"
        await it.press("enter")
        await it.sees("problems only")
        await typed(it, "pause")
        await it.press("enter")
        await it.notified("Crane-02: paused")

    drive(database, look)


def test_a_vehicle_is_found_by_a_part_of_its_name_and_opened(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        assert (await typed(it, "er-04"))[0] == "Loader-04"
        await it.press("enter")
        await it.until(lambda: it.dialog() == "VehiclePage")
        await it.sees("Loader-04 · ✖ ERROR")

    drive(database, look)


def test_a_theme_is_set(database: Database) -> None:
    async def look(it: Driver) -> None:
        assert (await typed(it, "nord"))[0] == "nord"
        await it.press("enter")
        await it.until(lambda: it.app.theme == "nord")

    drive(database, look)


def test_enter_on_nothing_does_nothing_and_no_key_breaks_an_empty_list(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("ctrl+p", "enter")
        assert it.dialog() == "Palette"
        await it.type("#wanted", "zeppelin")
        await it.sees("nothing matches")
        await it.press("pagedown", "down", "up", "pageup", "enter")
        assert it.dialog() == "Palette"
        await it.press("escape")
        assert it.dialog() == "FleetPage"
        assert not it.app._notifications

    drive(database, look)


def test_moving_down_chooses_and_the_list_follows_the_cursor(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        offered = await typed(it, "")
        await it.press("pagedown", "down", "down")
        assert f" {offered[11]} " in it.screen()
        await it.press("pageup")
        palette = it.app.screen
        assert isinstance(palette, Palette)
        assert palette.list.cursor == 1
        await it.press("ctrl+p")
        assert it.dialog() == "FleetPage"

    drive(database, look)


def test_what_was_chosen_last_comes_first_among_equals(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        assert (await typed(it, ""))[0] != "Freeze"
        await it.type("#wanted", "freeze")
        await it.press("enter")
        await it.until(lambda: it.state.frozen_at is not None)
        assert (await typed(it, ""))[0] == "Freeze"

    drive(database, look)


def choice(title: str, help_text: str = "", kind: Kind = Kind.VEHICLE) -> Choice:
    return Choice(kind, title, help_text, "", lambda: None)


def test_a_prefix_comes_before_a_word_a_word_before_a_part_a_title_before_its_help() -> None:
    given = [
        choice("help", "the main thing"),
        choice("domain"),
        choice("old main"),
        choice("main-2"),
        choice("main-1", kind=Kind.ACTION),
        choice("other"),
    ]
    found = Catalogue(given).find("MAIN")
    assert [each.title for each in found.shown] == [
        "main-1",
        "main-2",
        "old main",
        "domain",
        "help",
    ]


def test_several_words_are_found_in_any_order() -> None:
    given = [choice("Backfill", "pull an interval again"), choice("Pause")]
    assert [c.title for c in Catalogue(given).find("again backfill").shown] == ["Backfill"]


def test_ten_thousand_vehicles_are_searched_at_once() -> None:
    catalogue = Catalogue(choice(f"truck-{number:05}") for number in range(10_000))
    started = time.process_time()
    found = catalogue.find("truck")
    assert time.process_time() - started < 0.5
    assert (len(found.shown), found.total) == (100, 10_000)
    assert [each.title for each in catalogue.find("-09999").shown] == ["truck-09999"]


@pytest.mark.parametrize("text", ["problems", "Loader-04"])
def test_a_palette_that_is_typed_at_once_runs_what_the_text_names(
    server: Server, database: Database, database_name: str, tmp_path: Path, text: str
) -> None:
    small_fleet(database)
    seen = {"problems": "problems only", "Loader-04": "1 History"}[text]
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Crane-02")
        it.sees("1-4 of 4")
        it.type(f"\x10{text}\r")
        it.sees(seen)
        it.type("\x11")
        assert it.ended() == 0
    paused = execute(database, "SELECT count(*) FROM fleetsync.vehicle_state WHERE paused")
    assert paused == [(0,)]


def test_opening_the_palette_sends_little(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("1-4 of 4")
        it.read_for(1.0)
        it.type("\x10")
        sent = it.read_for(1.0)
        assert b"Esc back" in it.shown
        assert sent < OPENING_BYTES
        it.type("\x11")
        assert it.ended() == 0


def resize(it: Terminal, columns: int, lines: int, text: str) -> None:
    """Change the terminal's size, and tell the program of it until it shows the text."""
    fcntl.ioctl(it.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    ends = time.monotonic() + PATIENCE_SEC
    while text.encode() not in it.shown:
        assert time.monotonic() < ends, f"no {text!r} in {it.shown[-1500:]!r}"
        it.program.send_signal(signal.SIGWINCH)
        it.read_for(0.5)


def test_a_page_that_was_covered_by_more_than_the_palette_is_painted_whole(
    server: Server,
    database: Database,
    database_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("COLUMNS", "LINES"):  # they would stand for the size of the terminal
        monkeypatch.delenv(name, raising=False)
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("1-4 of 4")
        it.type("\x10")
        it.sees("Esc back")
        resize(it, 60, 20, "Too small")
        it.shown.clear()
        resize(it, 80, 24, "1-4 of 4")
        it.sees("Esc back")
        it.type("\x11")
        assert it.ended() == 0


def test_the_page_goes_on_beside_the_palette(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("1-4 of 4")
        it.type("\x10")
        it.sees("Esc back")
        execute(database, "DELETE FROM vehicles WHERE name = 'Crane-02'")
        it.sees("3 of 3")
        it.type("\x11")
        assert it.ended() == 0


def test_a_picture_of_the_screen_is_written_and_its_place_told(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    small_fleet(database)

    async def look(it: Driver) -> None:
        await typed(it, "screenshot")
        await it.press("enter")
        await it.notified(f"wrote a picture of the screen to {tmp_path}/fleetsync-20260222")
        (file,) = tmp_path.glob("*.svg")
        assert "Crane-02" in file.read_text()
        assert "Screenshot" not in file.read_text()
        await typed(it, "screenshot")
        await it.press("enter")
        await it.notified("cannot be written: File exists")

    drive(database, look)


def test_the_field_takes_no_key_of_the_page(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("ctrl+p", "p", "q")
        assert it.app.screen.query_one(Input).value == "pq"
        assert it.dialog() == "Palette"

    drive(database, look)
