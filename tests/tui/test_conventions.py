"""Conventions of terminal programs: palette, help, keymap, themes, clipboard, export."""

import csv
from pathlib import Path

import pytest
import rich.color
from rich.color import ColorSystem
from rich.style import Style
from textual import constants
from textual.color import Color
from textual.filter import ANSIToTruecolor

from fleetsyncd.database.pool import Database
from fleetsyncd.errors import SettingsError
from fleetsyncd.times import iso_ms
from tests.tui.driving import (
    Driver,
    add,
    alarm,
    attempts,
    channel,
    dashboard,
    drive,
    execute,
    set_state,
    small_fleet,
)
from tests.tui.legibility import contrast
from tui import keymap
from tui.app import FleetApp
from tui.export import write
from tui.formatting import STATE_STYLES
from tui.model.export_table import ExportTable

BLACK = rich.color.Color.parse("#000000")


def test_help_lists_the_keys_of_the_screen_it_was_opened_from(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("question_mark")
        await it.sees("Let the daemon sync the vehicle now", "Show vehicles in trouble only")
        assert "Zoom" not in it.screen()
        await it.press("end")
        await it.sees("SEEN", "time since the vehicle answered", "an operator paused it")
        await it.sees("fails>=3", "-st:paused", "a vehicle must match every word")
        await it.sees("△         warning     warning, any other name, or none")
        await it.press("escape", "enter")
        await it.sees("1 History")
        await it.press("question_mark")
        await it.sees("Zoom out")
        assert "Show vehicles in trouble only" not in it.screen()
        await it.press("q")
        assert it.dialog() == "VehiclePage"

    drive(database, look, size=(100, 50))


def test_every_action_has_an_id_and_an_explanation() -> None:
    assert {"sync", "pause", "fleet.filter", "table.mark", "vehicle.next", "quit"} <= keymap.ids(
        FleetApp
    )
    assert len(keymap.ids(FleetApp)) > 45


def test_a_keymap_changes_keys_and_their_help(database: Database, tmp_path: Path) -> None:
    small_fleet(database)
    (tmp_path / "keymap.toml").write_text('[keys]\nsync = "f5"\n"table.mark" = "insert,m"\n')

    async def look(it: Driver) -> None:
        it.app.set_keymap(keymap.load(tmp_path / "keymap.toml", keymap.ids(FleetApp)))
        await it.press("s")
        assert not it.app._notifications
        await it.press("m", "insert")
        await it.sees("2 marked", "f5 Sync")
        await it.press("question_mark")
        await it.sees("f5 ", "insert m ")
        await it.press("escape", "f5")
        await it.sees("Sync 2 vehicles?")

    drive(database, look, size=(80, 60))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[keys]\nfly = "f5"\n', "fly is not an action; actions: "),
        ("[keys]\nsync = 5\n", 'sync needs a key, as in sync = "f5"'),
        ("[keys\n", "cannot be read"),
        ('keys = "f5"\n', "needs a table [keys]"),
    ],
)
def test_an_invalid_keymap_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "keymap.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        keymap.load(path, keymap.ids(FleetApp))
    assert complaint in str(refused.value)
    assert str(path) in str(refused.value)


def test_the_shown_vehicles_are_exported_as_csv(database: Database, tmp_path: Path) -> None:
    ids = small_fleet(database)
    execute(database, "UPDATE vehicles SET name = '=cmd|evil' WHERE name = 'Crane-02'")
    execute(
        database,
        "INSERT INTO fleetsync.backfill (vehicle_id, from_at, to_at, reached_at) VALUES"
        " (%s::uuid, now() - interval '4 h', now(), now() - interval '1 h')",
        str(ids["Dozer-03"]),
    )
    path = tmp_path / "fleet.csv"
    alarm(database, ids["Dozer-03"], 1, "oil lost", "1 h", None)
    set_state(database, "Loader-04", "ok", "4 s", "2 h")

    async def look(it: Driver) -> None:
        await it.press("exclamation_mark", "E")
        await it.sees("Export 3 rows", "fleetsync-fleet-")
        await it.type("#path", str(tmp_path / "nowhere" / "fleet.csv"))
        await it.press("enter")
        await it.sees("there is no folder")
        await it.type("#path", str(path))
        await it.press("enter")
        await it.notified("wrote 3 rows to")
        await it.press("E")
        await it.sees("Export 3 rows")
        await it.type("#path", str(path))
        await it.press("enter")
        await it.sees("this file exists already")

    drive(database, look)
    with path.open(newline="") as file:
        heading, *rows = csv.reader(file)
    assert heading[:6] == ["vehicle", "id", "address", "state", "since_s", "progress"]
    assert [row[0] for row in rows] == ["'=cmd|evil", "Dozer-03", "Loader-04"]
    assert [row[3] for row in rows] == ["never", "timeout", "late"]
    assert [row[heading.index("open_alarms")] for row in rows] == ["0", "1", "0"]
    assert [row[heading.index("worst_alarm")] for row in rows] == ["", "warning", ""]
    assert [row[heading.index("late_because")] for row in rows] == ["", "", "no daemon pulls it"]
    assert [row[5] for row in rows] == ["", "75%", ""]
    assert [row[heading.index("fails")] for row in rows] == ["0", "0", "0"]


def test_a_file_that_cannot_be_written_is_reported(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("E")
        await it.sees("Export 4 rows")
        await it.type("#path", "/proc/fleet.csv")
        await it.press("enter")
        await it.notified("/proc/fleet.csv cannot be written")

    drive(database, look)


@pytest.mark.parametrize(
    "path",
    ["x" * 300, "~nobody-of-this-name/fleet.csv", "/tmp/\udcff\ud800.csv"],
    ids=ascii,
)
def test_a_path_that_no_file_can_have_is_reported_and_the_input_stays(
    database: Database, path: str
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("E")
        await it.sees("Export 4 rows")
        await it.type("#path", path)
        await it.press("enter")
        await it.until(lambda: "cannot be a file" in it.screen() or "no folder" in it.screen())
        assert it.dialog() == "ExportForm"

    drive(database, look)


def test_numbers_are_written_as_they_are_and_formulas_as_text(tmp_path: Path) -> None:
    numbers = [str(each) for each in (-1e-07, -1e20, -12.5, 1e-07, 1234567.0, -3)]
    formulas = ["-1+1", "=A1", "+49 30 1", "@SUM(A1)", "-1e", "-st:paused"]
    table = ExportTable("some", ["what"], [[each] for each in (*numbers, *formulas)])
    write(tmp_path / "some.csv", table)
    with (tmp_path / "some.csv").open(encoding="utf-8") as file:
        _heading, *rows = csv.reader(file)
    assert [row[0] for row in rows] == [*numbers, *(f"'{each}" for each in formulas)]


def test_channels_are_exported_with_their_values_in_full_and_their_times(
    database: Database,
) -> None:
    vehicle = small_fleet(database)["Crane-02"]
    channel(database, vehicle, 1, "hours", "h")
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name) VALUES (%s::uuid, 2, 'mute')",
        str(vehicle),
    )
    ((at,),) = execute(
        database,
        "INSERT INTO measurements (vehicle_id, channel_id, time, value)"
        " VALUES (%s::uuid, 1, now(), 1234567.25) RETURNING time",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await it.press("enter", "4")
        await it.sees("1.2346e+06")
        table = None if it.app.page is None else it.app.page.export_table()
        assert table is not None
        assert table.heading == ["channel", "name", "value", "unit", "time"]
        assert table.rows == [
            ["1", "hours", "1234567.25", "h", iso_ms(at)], ["2", "mute", "", "", ""],
        ]  # fmt: skip

    drive(database, look)


def exported_rows(it: Driver) -> int:
    table = None if it.app.page is None else it.app.page.export_table()
    return 0 if table is None else len(table.rows)


def test_every_table_can_be_exported(database: Database) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Crane-02"], 3)

    async def look(it: Driver) -> None:
        await it.press("enter")
        for tab, rows in (("1", 3), ("2", 0), ("3", 3), ("4", 0)):
            await it.press(tab)
            await it.until(lambda rows=rows: exported_rows(it) == rows)  # type: ignore[misc]  # bound early
            await it.press("E")
            await it.sees(f"Export {rows} rows")
            await it.press("escape")

    drive(database, look)


def test_marked_vehicles_are_copied_to_the_clipboard(database: Database) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space", "y")
        await it.notified("copied 2 lines")
        first, second = it.app.clipboard.splitlines()
        assert first.split("\t")[:3] == ["Crane-02", str(ids["Crane-02"]), "10.8.0.1:8001"]
        assert second.startswith("Dozer-03\t")

    drive(database, look)


def test_keys_change_the_poll_interval(database: Database) -> None:
    async def look(it: Driver) -> None:
        await it.press("plus")
        await it.notified("reading every 5 s")
        await it.press("minus", "minus", "minus")
        await it.notified("reading every 1 s")

    drive(database, look)


def test_states_are_legible_in_every_theme(database: Database) -> None:
    async def look(it: Driver) -> None:
        for theme in it.app.available_themes:
            if "ansi" not in theme:  # the terminal's own colours
                it.app.theme = theme
                await it.pilot.pause()
                for selector in ("FleetTable", "#totals", "#status-line"):
                    check(it, it.app.screen.query_one(selector).background_colors[1])

    def check(it: Driver, ground: Color) -> None:
        for state_style in STATE_STYLES.values():
            style = ANSIToTruecolor(it.app.ansi_theme).truecolor_style(
                Style(color=state_style.colour), ground.rich_color
            )
            assert style.color is not None
            shown = Color.from_rich_color(style.color)
            assert contrast(shown, ground) > 3, (it.app.theme, state_style, shown, ground)

    drive(database, look)


REDS = {1, 9}


def number_of(it: Driver, line: int, text: str) -> int | None:
    """Return which of 16 colours the first piece of a line has that is this text."""
    parts = [(part.text.strip(), part.style) for part in it.strips()[line]]
    style = next(style for part, style in parts if part == text and style is not None)
    if not it.app.native_ansi_color:
        style = ANSIToTruecolor(it.app.ansi_theme).truecolor_style(style, BLACK)
    assert style.color is not None
    return style.color.downgrade(ColorSystem.STANDARD).number


@pytest.mark.parametrize("monochrome", [False, True], ids=["16 colours", "NO_COLOR"])
def test_in_few_colours_the_keys_of_the_footer_have_the_colour_of_text(
    database: Database, monkeypatch: pytest.MonkeyPatch, monochrome: bool
) -> None:
    monkeypatch.setattr(constants, "COLOR_SYSTEM", "standard")
    if monochrome:
        monkeypatch.setenv("NO_COLOR", "1")
    add(database, "Broken-01")
    set_state(database, "Broken-01", "error", "5 s", "5 s")

    async def look(it: Driver) -> None:
        for theme in it.app.available_themes:
            it.app.theme = theme
            await it.pilot.pause()
            assert monochrome or number_of(it, 0, "✖") in REDS, theme
            key = number_of(it, -1, "s")
            assert (key in REDS, key) == (False, number_of(it, -1, "Sync")), theme

    drive(database, look)


def test_textuals_environment_variables_are_respected(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dashboard(database).animation_level == "none"
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "full")
    assert dashboard(database).animation_level == "full"
