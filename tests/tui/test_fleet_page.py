from types import SimpleNamespace
from typing import cast

import pytest

from fleetsyncd.database import pausing
from fleetsyncd.database.pool import Database
from fleetsyncd.states import State, VehicleOverview
from tests.tui.driving import (
    Driver,
    add,
    alarm,
    attempts,
    beat,
    drive,
    execute,
    set_state,
    small_fleet,
)
from tests.tui.test_frozen import one_of_two
from tui.model.columns import CHOOSABLE, PREFIX_WIDTH, columns, idle_columns
from tui.model.sorting import Sort
from tui.model.tag_groups import groups
from tui.screens.fleet import FleetPage
from tui.widgets.checkbox import PlainCheckbox
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


def large_fleet(database: Database) -> None:
    """Register sixty vehicles, all of them online."""
    for number in range(60):
        add(database, f"Truck-{number:02}", f"10.9.0.{number + 1}")
    execute(
        database,
        "UPDATE vehicles SET sync_status = 'ok', last_seen_at = now(), last_sync_at = now()",
    )
    beat(database)


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


def test_the_cursor_stays_on_its_vehicle_through_refreshes(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("down")
        assert under_cursor(it) == "Dozer-03"
        add(database, "Bulldozer-00", "10.8.0.99")
        await it.refresh()
        assert under_cursor(it) == "Dozer-03"
        execute(database, "DELETE FROM vehicles WHERE name = 'Dozer-03'")
        await it.refresh()
        assert under_cursor(it) == "Loader-04"

    drive(database, look)


@pytest.mark.parametrize("keys", ["S", "L", "N", "O", "C", "!", "/3\r", "\x1b"])
def test_what_the_operator_asks_for_is_shown_from_its_top(database: Database, keys: str) -> None:
    large_fleet(database)
    set_state(database, "Truck-30", "error", "1 h", "1 h")

    async def look(it: Driver) -> None:
        if keys == "\x1b":
            await it.press("slash", "0", "enter")
        await it.press("end")
        table(it).scroll_to(y=20, animate=False, immediate=True)
        names_of_keys = {"!": "exclamation_mark", "/": "slash", "\r": "enter", "\x1b": "escape"}
        await it.press(*(names_of_keys.get(key, key) for key in keys))
        assert (table(it).scroll_y, under_cursor(it)) == (0, names(it)[0])
        assert names(it)[0] in it.lines()[2]

    drive(database, look)


def test_the_first_screen_starts_with_the_trouble_and_the_furthest_behind(
    database: Database,
) -> None:
    large_fleet(database)
    set_state(database, "Truck-59", "timeout", "1 h", "1 h")
    set_state(database, "Truck-58", "timeout", "2 h", "2 h")
    set_state(database, "Truck-57", "error", "5 s", "9 min")

    async def look(it: Driver) -> None:
        assert [line[3:11] for line in it.lines()[2:6]] == [
            "Truck-57", "Truck-58", "Truck-59", "Truck-00",
        ]  # fmt: skip
        assert under_cursor(it) == "Truck-57"

    drive(database, look, sort=Sort.STATE)


def test_a_vehicle_whose_gap_makes_no_progress_is_in_trouble_and_before_its_like(
    database: Database,
) -> None:
    ids = {name: add(database, name, f"10.8.0.{n}") for n, name in enumerate(("T-1", "T-2"), 1)}
    for name, vehicle in ids.items():
        set_state(database, name, "ok", "4 s", "3 days")
        execute(
            database,
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, tags, islands, catching_up_from,"
            " catching_up_to) VALUES (%s::uuid, ARRAY[%s],"
            " tstzmultirange(tstzrange(now() - interval '1 h', now() - interval '5 s')),"
            " now() - interval '4 d', now())",
            str(vehicle), f"of-{name.lower()}",
        )  # fmt: skip
    beat(database)

    async def look(it: Driver) -> None:
        assert [each.state for each in it.state.view.shown] == [State.CATCHING_UP] * 2
        assert names(it) == ["T-1", "T-2"]
        await it.press("exclamation_mark")
        await it.sees("No vehicle is in trouble")
        execute(
            database,
            "UPDATE fleetsync.vehicle_state SET gap_error = '/data: HTTP 500'"
            " WHERE vehicle_id = %s::uuid",
            str(ids["T-2"]),
        )
        await it.refresh()
        assert names(it) == ["T-2"]
        await it.press("exclamation_mark")
        assert names(it) == ["T-2", "T-1"]
        shown = groups(it.state.view.shown)
        assert [(each.tag, each.in_trouble) for each in shown] == [("of-t-2", 1), ("of-t-1", 0)]

    drive(database, look, sort=Sort.STATE)


def test_a_vehicle_that_recovers_under_the_cursor_stays_in_its_row_until_the_operator_moves(
    database: Database,
) -> None:
    large_fleet(database)
    set_state(database, "Truck-59", "timeout", "1 h", "1 h")
    set_state(database, "Truck-58", "timeout", "2 h", "2 h")

    async def look(it: Driver) -> None:
        assert under_cursor(it) == "Truck-58"
        set_state(database, "Truck-58", "ok", "1 s", "1 s")
        set_state(database, "Truck-57", "error", "3 h", "3 h")
        await it.refresh()
        assert [line[3:11] for line in it.lines()[2:5]] == ["Truck-58", "Truck-57", "Truck-59"]
        assert under_cursor(it) == "Truck-58"
        await it.press("down")
        await it.refresh()
        assert [line[3:11] for line in it.lines()[2:4]] == ["Truck-59", "Truck-57"]
        await it.press("S", "S")
        assert [line[3:11] for line in it.lines()[2:4]] == ["Truck-57", "Truck-59"]

    drive(database, look, sort=Sort.STATE)


def test_what_was_acted_on_marked_or_under_the_cursor_stays_among_the_problems(
    database: Database,
) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("exclamation_mark", "down", "p")
        await it.notified("Dozer-03: paused")
        await it.press("up")
        await it.until(lambda: "Dozer-03 kept: paused" in it.screen())
        assert names(it) == ["Crane-02", "Dozer-03", "Loader-04"]
        await it.press("end", "space")
        database.run(lambda cursor: pausing.set_paused(cursor, ids["Loader-04"], True))
        database.run(lambda cursor: pausing.set_paused(cursor, ids["Crane-02"], True))
        await it.refresh()
        assert names(it) == ["Dozer-03", "Loader-04"]
        assert "2 kept" in it.screen()
        await it.press("N")
        assert names(it) == []
        assert [each.name for each in it.state.view.targets(None, ())] == ["Loader-04"]
        await it.press("escape", "escape")
        assert len(names(it)) == 4

    drive(database, look)


def test_where_no_vehicle_is_shown_no_key_acts_on_one(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("slash", *"zeppelin", "enter", "p", "enter")
        assert it.dialog() == "FleetPage"
        assert not it.app._notifications

    drive(database, look)
    assert execute(database, "SELECT count(*) FROM fleetsync.vehicle_state WHERE paused") == [(0,)]


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
        for _ in range(2):
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
        assert "soon is not an age, as in lag>5m" in it.screen()
        assert "still filtered by st:time" in it.screen()
        assert names(it) == ["Dozer-03"]
        await it.press("enter")
        assert it.app.screen.query_one("#filter").has_focus
        assert "soon is not an age, as in lag>5m" in it.screen()
        await it.press("escape")
        assert "filter: st:time" in it.screen()

    drive(database, look)


def test_an_empty_table_shows_what_to_do(database: Database) -> None:
    async def empty(it: Driver) -> None:
        assert "No vehicles yet: press a to add one" in it.screen()

    async def nothing_fits(it: Driver) -> None:
        await it.press("slash", *"zeppelin", "enter")
        assert "No vehicle matches the filter: Esc clears it" in it.screen()
        assert "as text: zeppelin" in it.screen()
        await it.press("slash")
        await it.type("#filter", "tag:mien-3")
        await it.press("enter")
        assert "No vehicle has the tag mien-3: Esc clears the filter" in it.screen()
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
    large_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("end")
        assert under_cursor(it) == "Truck-59"
        assert "Truck-59" in it.lines()[-4]
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


def test_the_rows_named_below_the_table_are_those_above_whatever_moves_them(
    database: Database,
) -> None:
    large_fleet(database)

    async def named(it: Driver, first: int) -> None:
        await it.sees(f" · {first}-{first + table(it).rows_on_screen - 1} of 60")

    async def look(it: Driver) -> None:
        it.app.poller.interval = 3600.0
        await it.refresh()
        await named(it, 1)
        rows = table(it).rows_on_screen
        await it.press("Z")
        assert table(it).rows_on_screen == rows - 1, "the warning takes a line"
        await named(it, 1)
        table(it).scroll_to(y=30, animate=False, immediate=True)
        await named(it, 31)
        await it.pilot.resize_terminal(100, 30)
        assert table(it).rows_on_screen == rows + 5
        await named(it, 1)

    drive(database, look)


def test_a_click_moves_the_cursor_and_a_double_click_opens(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.pilot.click(FleetTable, offset=(10, 3))
        assert under_cursor(it) == "Loader-04"
        await it.pilot.click(FleetTable, offset=(10, 4), times=2)
        await it.sees("1 History")

    drive(database, look)


SCROLL_BAR = 1
"""Cells beside the table."""


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
        assert set("▁▂▃▄▅▆▇█") & set(row)
        await it.pilot.resize_terminal(100, 30)
        await it.sees_no("ADDRESS")

    drive(database, look, size=(200, 45))


@pytest.mark.parametrize("width", [76, 80, 117, 118, 120, 139, 140, 158, 240])
@pytest.mark.parametrize("choice", [{}, dict.fromkeys(CHOOSABLE, True), {"ROWS": False}])
def test_columns_fill_the_table_and_do_not_exceed_it(width: int, choice: dict[str, bool]) -> None:
    shown = columns(width, choice)
    spaces = len(shown) - 1
    assert PREFIX_WIDTH + sum(column.width for column in shown) + spaces == width


@pytest.mark.parametrize(("width", "cells"), [(79, 24), (120, 40), (159, 40), (200, 60)])
def test_the_reason_has_more_room_than_address_and_version(width: int, cells: int) -> None:
    *others, reason = columns(width, idle=idle_columns(()))
    assert reason.width >= cells > max(column.width for column in others)


@pytest.mark.parametrize(
    ("rows", "shown"),
    [(0, "   0"), (9_999, "9999"), (10_000, " 10k"), (999_999, "999k"), (12_345_678, " 12M")],
)
def test_rows_that_have_no_room_are_shown_in_thousands_or_millions(rows: int, shown: str) -> None:
    (column,) = [each for each in columns(120) if each.title == "ROWS"]
    assert column.text(cast("VehicleOverview", SimpleNamespace(rows=rows)), None) == shown


@pytest.mark.parametrize("width", [80, 120, 160, 240])
def test_the_heading_that_is_sorted_by_always_shows_its_arrow(width: int) -> None:
    for column in columns(width):
        for descending, arrow in ((False, "▲"), (True, "▼")):
            if column.sort is not None:
                assert arrow in column.heading(column.sort, descending), column.title


@pytest.mark.parametrize("size", [(80, 24), (118, 30), (119, 30), (120, 40), (160, 45), (240, 50)])
def test_no_column_is_shown_that_stays_empty(database: Database, size: tuple[int, int]) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 40, every="6 min")
    alarm(database, ids["Truck-01"], 1, "oil lost", "1 h", None)
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, tags) VALUES (%s::uuid, '{mine-3}')",
        str(ids["Truck-01"]),
    )

    async def look(it: Driver) -> None:
        await it.settled()
        row = next(line for line in it.lines() if "Truck-01" in line)
        start, idle = PREFIX_WIDTH, idle_columns(table(it).view.vehicles)
        shown = columns(table(it).scrollable_content_region.width, idle=idle)
        assert [column.title for column in shown] == table(it).shown_columns
        for column in shown[:-1]:
            assert row[start : start + column.width].strip(), column.title
            start += column.width + 1

    drive(database, look, size=size)


def test_how_often_each_is_asked_is_shown_once_one_has_an_interval_of_its_own(
    database: Database,
) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await it.settled()
        assert "EVERY" not in table(it).shown_columns
        execute(
            database,
            "INSERT INTO fleetsync.vehicle_terms (vehicle_id, interval_sec) VALUES (%s::uuid, 600)",
            str(ids["Truck-01"]),
        )
        await it.sees("EVERY")
        lines = it.lines()
        end = next(line for line in lines if "EVERY" in line).index("EVERY") + len("EVERY")
        every = {
            name: next(line for line in lines if name in line)[end - 5 : end].strip()
            for name in ("Truck-01", "Dozer-03")
        }
        assert every == {"Truck-01": "10m", "Dozer-03": "30s"}
        await it.press("slash", *"dozer", "enter")
        await it.sees_no("Truck-01")
        assert "EVERY" in table(it).shown_columns
        execute(database, "DELETE FROM fleetsync.vehicle_terms")
        await it.sees_no("EVERY")

    drive(database, look, size=(120, 40))


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, {"LAG 1H", "EVERY"}),
        (160, {"LAG 1H", "24H", "EVERY"}),
        (164, {"24H", "EVERY", "TAGS"}),
    ],
)
def test_an_interval_of_its_own_and_tags_take_no_room_from_curve_and_strip(
    width: int, shown: set[str]
) -> None:
    titles = {column.title for column in columns(width - SCROLL_BAR)}
    assert shown <= titles


def test_tags_are_shown_from_160_columns_once_a_vehicle_has_one(database: Database) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        await it.settled()
        assert "TAGS" not in table(it).shown_columns
        execute(
            database,
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, tags) VALUES (%s::uuid, '{mine-3}')",
            str(ids["Truck-01"]),
        )
        await it.sees("TAGS", "mine-3")
        assert {"24H", "SINCE", "LAG 1H"} <= set(table(it).shown_columns)

    drive(database, look, size=(160, 45))


def test_a_refused_key_shows_its_status_in_80_columns_and_the_whole_reason_under_the_cursor(
    database: Database,
) -> None:
    small_fleet(database)
    whole = "/status: HTTP 401: the vehicle refuses the API key"
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, failures, last_error)"
        " SELECT id, 3, %s FROM vehicles WHERE name = 'Loader-04'",
        whole,
    )

    async def look(it: Driver) -> None:
        row = next(line for line in it.lines() if "Loader-04" in line)
        assert "/status: HTTP 401: the v…" in row
        assert whole not in it.screen()
        await it.press("end", "up")
        assert f"✖ {whole}" in it.screen()

    drive(database, look)


def test_the_operator_chooses_the_columns(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("c")
        await it.sees("Columns", "VERSION")
        for title, wanted in (("ROWS", False), ("VERSION", True)):
            box = it.app.screen.query_one(f"#column-{title.lower()}", PlainCheckbox)
            assert box.value != wanted
            box.focus()
            await it.press("space")
        await it.press("enter")
        await it.sees("VERSION")
        assert "ROWS" not in it.lines()[1]
        assert "1.1.0" in it.lines()[5]
        await it.press("c", "escape", "c", "enter")
        assert "VERSION" in it.lines()[1]
        await it.press("c")
        await it.click("#automatic")
        await it.sees_no("VERSION")
        assert "ROWS" in it.lines()[1]

    drive(database, look)


def test_a_click_on_a_heading_sorts_and_one_on_a_count_filters(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.pilot.click(FleetTable, offset=(it.lines()[1].index("LAG"), 0))
        assert names(it) == ["Crane-02", "Loader-04", "Dozer-03", "Truck-01"]
        await it.pilot.click(FleetTable, offset=(it.lines()[1].index("ROWS"), 0))
        assert "ROW▼" in it.lines()[1]
        await it.pilot.click(FleetTable, offset=(it.lines()[1].index("LAG"), 0))
        assert "LAG▼" in it.lines()[1]
        await it.pilot.click(FleetTable, offset=(it.lines()[1].index("LAG"), 0))
        assert "LAG▲" in it.lines()[1]
        await it.pilot.click("#totals", offset=(it.lines()[0].index("◌"), 0))
        assert names(it) == ["Dozer-03"]
        assert "filter: st:timeout" in it.screen()
        await it.pilot.click("#totals", offset=(it.lines()[0].index("live"), 0))
        assert names(it) == ["Dozer-03"]
        await it.pilot.click("#totals", offset=(it.lines()[0].index("◌"), 0))
        assert len(names(it)) == 4
        await it.pilot.click("#totals", offset=(it.lines()[0].rindex("●"), 0))
        assert names(it) == ["Truck-01"]

    drive(database, look)


def test_a_click_on_a_count_shows_those_vehicles_also_among_the_problems_and_on_other_pages(
    database: Database,
) -> None:
    ids = small_fleet(database)
    alarm(database, ids["Truck-01"], 1, "oil lost", "1 h", None)

    async def look(it: Driver) -> None:
        def at(sign: str) -> tuple[int, int]:
            return it.lines()[0].rindex(sign), 0

        await it.press("exclamation_mark")
        assert "Truck-01" not in names(it)
        await it.pilot.click("#totals", offset=at("●"))
        assert names(it) == ["Truck-01"]
        await it.pilot.click("#totals", offset=at("●"))
        assert len(names(it)) == 4
        await it.pilot.click("#totals", offset=at("△"))
        await it.until(lambda: it.dialog() == "AlarmsPage")
        await it.pilot.click("#totals", offset=at("◌"))
        await it.until(lambda: it.dialog() == "FleetPage")
        await it.until(lambda: names(it) == ["Dozer-03"])

    drive(database, look)


def test_every_column_but_curves_and_strips_sorts(database: Database) -> None:
    ids = small_fleet(database)
    alarm(database, ids["Dozer-03"], 1, "oil lost", "1 h", None)
    for number, (name, key) in enumerate(ids.items()):
        execute(
            database,
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, last_rows, failures, tags,"
            " last_error, newest_measurement_at)"
            " VALUES (%s::uuid, %s, %s, %s, %s, now() - %s * interval '1 h')",
            str(key), (5, 900, 0, 70)[number], (0, 2, 9, 1)[number],
            [] if name == "Crane-02" else [f"site-{9 - number}"],
            None if name == "Truck-01" else f"/data: {9 - number}", number,
        )  # fmt: skip
        execute(
            database, "UPDATE vehicles SET software_version = %s, vpn_ip = %s WHERE id = %s::uuid",
            f"2.{(9, 10, 1, 8)[number]}", f"10.8.0.{(10, 9, 100, 8)[number]}", str(key),
        )  # fmt: skip
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_terms (vehicle_id, interval_sec) VALUES (%s::uuid, 600)",
        str(ids["Loader-04"]),
    )
    first = {
        "ALARM": "Dozer-03", "ADDRESS": "Truck-01", "EVERY": "Loader-04", "DATA": "Truck-01",
        "ROWS": "Dozer-03", "FAILS": "Loader-04", "VERSION": "Loader-04", "TAGS": "Truck-01",
        "LAST ERROR": "Loader-04",
    }  # fmt: skip
    last = {**dict.fromkeys(first, ""), "ADDRESS": "Loader-04", "VERSION": "Dozer-03",
            "TAGS": "Crane-02", "LAST ERROR": "Truck-01"}  # fmt: skip

    async def look(it: Driver) -> None:
        await it.sees("TAGS", "EVERY", "DATA", "VERSION", "ADDRESS")
        for title, name in first.items():
            await it.pilot.click(FleetTable, offset=(it.lines()[1].index(title), 0))
            assert names(it)[0] == name, title
            assert not last[title] or names(it)[-1] == last[title], title
            await it.press("N")
        for title in ("LAG 1H", "24H"):
            await it.pilot.click(FleetTable, offset=(it.lines()[1].index(title), 0))
            assert "VEHICLE▲" in it.lines()[1]

    drive(database, look, size=(260, 30))


def test_a_click_on_the_dead_daemons_lists_them_and_one_on_the_errors_filters(
    database: Database,
) -> None:
    small_fleet(database)
    execute(database, "DELETE FROM fleetsync.replica")
    one_of_two(database)

    async def look(it: Driver) -> None:
        await it.sees(" dead")
        line = it.lines()[0]
        await it.pilot.click("#totals", offset=(line.index("✖"), 0))
        assert it.dialog() == "DaemonsDialog"
        await it.press("escape")
        assert len(names(it)) == 4
        await it.pilot.click("#totals", offset=(line.rindex("✖"), 0))
        assert names(it) == ["Loader-04"]

    drive(database, look, size=(120, 30))


def test_a_pause_and_a_gap_are_shown_in_the_status(database: Database) -> None:
    ids = small_fleet(database)
    database.run(lambda cursor: pausing.set_paused(cursor, ids["Crane-02"], True))
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, catching_up_from, catching_up_to,"
        " catching_up_sec, catching_up_rows) SELECT id, last_sync_at - interval '1 h',"
        " last_sync_at + interval '1 h', 60, 3000 FROM vehicles WHERE name = 'Truck-01'",
    )

    async def look(it: Driver) -> None:
        rows = [line[1:40].split() for line in it.lines()[2:6]]
        assert rows[0] == ["‖", "Crane-02", "paused"]
        assert rows[3] == ["◐", "Truck-01", "catching", "50%"]
        await it.pilot.resize_terminal(160, 45)
        await it.sees("catching 50%", "60s left, 50/s")

    drive(database, look)


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
def test_q_quits_from_the_fleet(database: Database, key: str) -> None:
    async def look(it: Driver) -> None:
        assert isinstance(it.app.screen, FleetPage)
        await it.pilot.press(key)
        await it.until(lambda: not it.app.is_running)

    drive(database, look)
