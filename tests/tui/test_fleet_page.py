import pytest

from fleetsyncd.database import vehicles
from fleetsyncd.database.pool import Database
from tests.tui.driving import Driver, add, beat, drive, execute, set_state, small_fleet
from tui.model.columns import PREFIX_WIDTH, columns
from tui.screens.fleet import FleetPage
from tui.widgets.fleet_line import MARK
from tui.widgets.fleet_table import FleetTable


def table(it: Driver) -> FleetTable:
    return it.app.screen.query_one(FleetTable)


def under_cursor(it: Driver) -> str:
    cursor = table(it).cursor
    vehicle = None if cursor is None else it.state.view.get(cursor)
    return "" if vehicle is None else vehicle.name


def names(it: Driver) -> list[str]:
    return [vehicle.name for vehicle in it.state.view.shown]


def test_each_vehicle_is_shown_by_glyph_word_and_ages(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        text = it.screen()
        assert "● live" in text
        assert "4 veh" in it.lines()[0]
        rows = [line[1:51].split() for line in it.lines()[2:6]]
        assert rows[:3] == [
            ["?", "Crane-02", "never", "-", "-"],
            ["◌", "Dozer-03", "timeout", "3h", "3h"],
            ["✖", "Loader-04", "error", "2d", "2d"],
        ]
        assert rows[3][:3] == ["●", "Truck-01", "online"]
        seen, lag = (int(age.removesuffix("s")) for age in rows[3][3:])
        assert 4 <= seen <= lag <= seen + 2

    drive(database, look)


def test_the_cursor_stays_on_its_vehicle_through_sorts_filters_and_refreshes(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("down")
        assert under_cursor(it) == "Dozer-03"
        for key in "LLOSN":
            await it.press(key)
            assert under_cursor(it) == "Dozer-03"
        add(database, "Bulldozer-00", "10.8.0.99")
        await it.refresh()
        assert under_cursor(it) == "Dozer-03"
        await it.press("slash", *"dozer", "enter")
        assert (names(it), under_cursor(it)) == (["Bulldozer-00", "Dozer-03"], "Dozer-03")
        execute(database, "DELETE FROM vehicles WHERE name = 'Dozer-03'")
        await it.refresh()
        assert under_cursor(it) == "Bulldozer-00"

    drive(database, look)


def test_keys_sort_and_the_same_key_reverses_the_order(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        by_name = ["Crane-02", "Dozer-03", "Loader-04", "Truck-01"]
        assert names(it) == by_name
        await it.press("N")
        assert names(it) == by_name[::-1]
        await it.press("L")
        assert names(it) == ["Crane-02", "Loader-04", "Dozer-03", "Truck-01"]
        assert "LAG▼" in it.lines()[1]
        await it.press("O", "O")
        assert names(it) == ["Truck-01", "Dozer-03", "Loader-04", "Crane-02"]
        await it.press("S")
        assert names(it) == ["Loader-04", "Dozer-03", "Crane-02", "Truck-01"]

    drive(database, look)


def test_escape_clears_filter_problems_only_and_marks_one_by_one(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "exclamation_mark", "slash", *"er", "enter")
        assert names(it) == ["Dozer-03", "Loader-04"]
        assert "problems only · filter: er" in it.screen()
        assert "1 marked" in it.screen()
        await it.press("escape")
        assert "filter:" not in it.screen()
        await it.press("escape")
        assert "problems only" not in it.screen()
        await it.press("escape")
        assert "marked" not in it.screen()

    drive(database, look)


def test_an_invalid_filter_is_reported_and_the_last_valid_one_stays(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("slash", *"st:time")
        assert names(it) == ["Dozer-03"]
        await it.type("#filter", "lag>soon")
        assert "soon is not an age" in it.screen()
        assert names(it) == ["Dozer-03"]
        await it.press("escape")
        assert "filter: st:time" in it.screen()

    drive(database, look)


def test_an_empty_table_shows_what_to_do(database: Database) -> None:
    async def empty(it: Driver) -> None:
        assert "No vehicles yet: press a to add one" in it.screen()

    async def nothing_fits(it: Driver) -> None:
        await it.press("slash", *"zeppelin", "enter")
        assert "No vehicle matches the filter: Esc clears it" in it.screen()
        await it.press("escape", "exclamation_mark")
        assert "No vehicle is in trouble: ! shows all" in it.screen()

    drive(database, empty)
    add(database, "Truck-01")
    set_state(database, "Truck-01", "ok", "1 s", "1 s")
    drive(database, nothing_fits)


def test_marks_are_shown_counted_and_removed(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "space")
        assert [line.count(MARK) for line in it.lines()[2:6]] == [1, 1, 0, 0]
        await it.press("asterisk")
        assert "4 marked" in it.screen()
        await it.press("asterisk")
        assert "marked" not in it.screen()

    drive(database, look)


def test_every_cursor_key_moves_through_a_long_fleet(database: Database) -> None:
    for number in range(60):
        add(database, f"Truck-{number:02}", f"10.9.0.{number + 1}")
    beat(database)

    async def look(it: Driver) -> None:
        await it.press("end")
        assert under_cursor(it) == "Truck-59"
        assert "Truck-59" in it.lines()[-3]
        await it.press("k", "up")
        assert under_cursor(it) == "Truck-57"
        await it.press("home", "pagedown", "j")
        assert int(under_cursor(it)[-2:]) == table(it).rows_on_screen
        await it.press("pageup")
        assert under_cursor(it) == "Truck-01"
        table(it).scroll_to(y=30, animate=False, immediate=True)
        await it.pilot.pause()
        assert "Truck-30" in it.lines()[2]
        await it.refresh()
        assert "Truck-30" in it.lines()[2]
        await it.press("g")
        assert "Truck-00" in it.lines()[2]

    drive(database, look)


def test_a_click_moves_the_cursor_and_a_double_click_opens(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.pilot.click(FleetTable, offset=(10, 3))
        assert under_cursor(it) == "Loader-04"
        await it.pilot.click(FleetTable, offset=(10, 4), times=2)
        await it.sees("1 History")

    drive(database, look)


def test_a_wide_screen_adds_addresses_the_last_hour_and_the_journals_tail(
    database: Database,
) -> None:
    ids = small_fleet(database)
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, error_msg)"
        " SELECT %s::uuid, now() - n * interval '5 min', now() - n * interval '5 min', 'timeout',"
        " 'no complete answer' FROM generate_series(1, 7) n",
        str(ids["Dozer-03"]),
    )

    async def look(it: Driver) -> None:
        await it.sees("ADDRESS", "LAG 1H", "10.8.0.2:8001", "◌ timeout Dozer-03")
        row = next(line for line in it.lines() if "10.8.0.2:8001" in line)
        assert row.split()[-2] == "7"
        await it.pilot.resize_terminal(100, 30)
        await it.sees_no("ADDRESS")

    drive(database, look, size=(160, 45))


@pytest.mark.parametrize("width", [76, 80, 117, 118, 120, 139, 140, 158, 240])
def test_columns_fill_the_table_and_do_not_exceed_it(width: int) -> None:
    shown = columns(width)
    spaces = len(shown) - 1
    assert PREFIX_WIDTH + sum(column.width for column in shown) + spaces == width


def test_a_pause_and_a_gap_are_shown_in_the_status(database: Database) -> None:
    ids = small_fleet(database)
    database.run(lambda cursor: vehicles.set_paused(cursor, ids["Crane-02"], True))
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, catching_up_from, catching_up_to,"
        " catching_up_sec, catching_up_rows) SELECT id, last_sync_at - interval '1 h',"
        " last_sync_at + interval '1 h', 60, 3000 FROM vehicles WHERE name = 'Truck-01'",
    )

    async def look(it: Driver) -> None:
        assert "‖ Crane-02             paused" in it.screen()
        assert "◐ Truck-01             catching 50%" in it.screen()
        await it.pilot.resize_terminal(160, 45)
        await it.sees("catching 50% 60s left")

    drive(database, look)


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
def test_q_quits_from_the_fleet(database: Database, key: str) -> None:
    async def look(it: Driver) -> None:
        assert isinstance(it.app.screen, FleetPage)
        await it.pilot.press(key)
        await it.until(lambda: not it.app.is_running)

    drive(database, look)
