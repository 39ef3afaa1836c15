from textual.widgets import DataTable

from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.journal import PAGE_ROWS
from tests.tui.driving import Driver, add, alarm, attempts, drive, execute, small_fleet
from tests.tui.test_operations import paused


def rows(it: Driver) -> list[list[str]]:
    table = it.app.screen.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(n)] for n in range(table.row_count)]


def vehicles(it: Driver) -> set[str]:
    return {row[1] for row in rows(it)}


def journal_of_three(database: Database) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 5)
    attempts(database, ids["Dozer-03"], 3, every="40 s", status="timeout", error="no answer")
    attempts(database, ids["Loader-04"], 2, every="50 s", status="error", error="HTTP 401")


async def opened(it: Driver) -> None:
    await it.press("l")
    await it.sees("journal · all results · newest page, live")


def test_the_fleets_journal_is_shown_newest_first(database: Database) -> None:
    journal_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.until(lambda: len(rows(it)) == 10)
        started = [row[0] for row in rows(it)]
        assert started == sorted(started, reverse=True)
        assert vehicles(it) == {"Truck-01", "Dozer-03", "Loader-04"}
        await it.press("escape")
        assert it.dialog() == "FleetPage"

    drive(database, look)


def test_the_fleets_journal_is_filtered_by_result_and_vehicle(database: Database) -> None:
    journal_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        for shown, expected in (
            ("timeout/error", {"Dozer-03", "Loader-04"}),
            ("timeout", {"Dozer-03"}),
            ("error", {"Loader-04"}),
            ("ok", {"Truck-01"}),
            ("all results", {"Truck-01", "Dozer-03", "Loader-04"}),
        ):
            await it.press("exclamation_mark")
            await it.sees(f"journal · {shown}")
            await it.until(lambda expected=expected: vehicles(it) == expected)  # type: ignore[misc]  # bound early
        await it.press("slash", *"DOZ", "enter")
        await it.sees("vehicles with DOZ")
        await it.until(lambda: vehicles(it) == {"Dozer-03"})
        await it.press("exclamation_mark", "exclamation_mark", "exclamation_mark")
        await it.sees("journal · error · vehicles with DOZ · newest page, live · nothing to show")
        await it.press("escape")
        await it.until(lambda: vehicles(it) == {"Loader-04"})
        await it.press("escape")
        assert it.dialog() == "FleetPage"

    drive(database, look)


def test_the_journals_filter_needs_no_snapshot_and_finds_vehicles_that_were_added_later(
    database: Database,
) -> None:
    journal_of_three(database)

    async def look(it: Driver) -> None:
        await it.press("Z")
        it.state.snapshot = None  # as if the fleet took long to be read
        await it.press("l", "slash", *"doz", "enter")
        await it.until(lambda: vehicles(it) == {"Dozer-03"})
        await it.press("Z")
        attempts(database, add(database, "Bulldozer-09", "10.8.0.9"), 1)
        await it.refresh()
        await it.until(lambda: vehicles(it) == {"Dozer-03", "Bulldozer-09"})

    drive(database, look)


def test_the_cursor_of_the_fleets_journal_stays_on_its_row_as_rows_arrive(
    database: Database,
) -> None:
    journal_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.until(lambda: len(rows(it)) == 10)
        table = it.app.screen.query_one(DataTable)
        await it.press("down", "down")
        row_under_cursor = rows(it)[table.cursor_row]
        execute(
            database,
            "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
            " SELECT id, now(), now(), 'ok' FROM vehicles WHERE name = 'Crane-02'",
        )
        await it.refresh()
        await it.until(lambda: rows(it)[0][1] == "Crane-02")
        assert rows(it)[table.cursor_row] == row_under_cursor

    drive(database, look)


def test_a_new_row_takes_no_key_from_the_first_one_until_it_is_off_the_screen(
    database: Database,
) -> None:
    journal_of_three(database)
    crane = execute(database, "SELECT id::text FROM vehicles WHERE name = 'Crane-02'")[0][0]

    async def look(it: Driver) -> None:
        await opened(it)
        await it.until(lambda: len(rows(it)) == 10)
        table = it.app.screen.query_one(DataTable)
        first = rows(it)[0]
        attempts(database, crane, 2, every="1 s")
        await it.refresh()
        await it.until(lambda: len(rows(it)) == 12)
        assert rows(it)[table.cursor_row] == first != rows(it)[0]
        attempts(database, crane, 30, every="1 ms")
        await it.refresh()
        await it.until(lambda: len(rows(it)) == 42)
        assert (table.cursor_row, table.scroll_offset.y) == (0, 0)
        await it.press("down", "down")
        third = rows(it)[2]
        attempts(database, crane, 30, every="1 ms")
        await it.refresh()
        await it.until(lambda: len(rows(it)) == 72)
        assert rows(it)[table.cursor_row] == third

    drive(database, look)


def test_no_key_is_for_the_neighbour_of_a_row_that_was_pushed_off_the_page(
    database: Database,
) -> None:
    journal_of_three(database)
    crane = execute(database, "SELECT id::text FROM vehicles WHERE name = 'Crane-02'")[0][0]

    async def look(it: Driver) -> None:
        await opened(it)
        await it.until(lambda: len(rows(it)) == 10)
        await it.press("down", "down")
        attempts(database, crane, PAGE_ROWS, every="1 ms")
        for _ in range(2):
            await it.refresh()
            await it.until(lambda: vehicles(it) == {"Crane-02"})
            await it.sees("what was chosen is gone")
            it.app.copy_to_clipboard("before")
            await it.press("v", "p", "y", "enter")
            assert (it.dialog(), it.app.clipboard) == ("JournalPage", "before")
            assert paused(database) == set()
            attempts(database, crane, 1, every="1 us")
        await it.press("up")
        await it.sees_no("what was chosen is gone")
        await it.press("v")
        assert it.dialog() == "VehiclePage"

    drive(database, look)


def test_a_vehicle_with_a_blank_name_is_called_by_its_id_on_every_page(database: Database) -> None:
    truck = add(database, "Truck-01", "10.8.0.1")
    attempts(database, truck, 3)
    alarm(database, truck, 1, "oil lost", "3 h", None)
    execute(database, "UPDATE vehicles SET name = ' '")

    async def look(it: Driver) -> None:
        await it.sees(f"? {str(truck)[:15]}")
        await opened(it)
        await it.until(lambda: vehicles(it) == {f"{str(truck)[:23]}…"})
        await it.press("v")
        await it.sees(f" {str(truck)[:27]}… · ? NEVER")
        await it.press("escape", "escape", "A")
        await it.sees(f"oil lost · {truck} · ")

    drive(database, look, size=(120, 30))


def test_down_on_the_last_row_opens_the_next_page_of_the_fleets_journal(database: Database) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], PAGE_ROWS + 3)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.until(lambda: len(rows(it)) == PAGE_ROWS)
        it.app.screen.query_one(DataTable).move_cursor(row=PAGE_ROWS - 1)
        await it.press("down")
        await it.sees("page 2, the oldest")
        assert len(rows(it)) == 3
        await it.press("less_than_sign")
        await it.sees("newest page, live")

    drive(database, look)


def test_a_row_of_the_journal_is_shown_in_full_and_copied(database: Database) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 1, status="error", error="/data: " + "again " * 60)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.until(lambda: len(rows(it)) == 1)
        await it.press("y")
        assert it.app.clipboard.count("again") == 60
        await it.press("enter")
        await it.until(lambda: it.dialog() == "DetailsDialog")
        await it.until(lambda: "".join(it.screen().split()).count("again") >= 60)
        await it.press("y", "escape")
        assert it.app.clipboard.startswith("started: ")
        assert it.dialog() == "JournalPage"

    drive(database, look)


def test_v_opens_the_vehicle_of_a_row_of_the_journal_and_back_leads_to_the_row(
    database: Database,
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Dozer-03"], 1, status="timeout")
    attempts(database, ids["Truck-01"], 1, every="1 min")

    async def look(it: Driver) -> None:
        await it.press("l")
        await it.sees("Dozer-03", "Truck-01", "v Vehicle")
        await it.press("down", "v")
        await it.sees(" Truck-01 ·", "1 History")
        await it.press("3")
        await it.sees("STARTED UTC")
        assert "v Vehicle" not in it.screen()
        await it.press("v", "escape")
        await it.until(lambda: it.dialog() == "JournalPage")
        await it.press("up", "v")
        await it.sees(" Dozer-03 ·")

    drive(database, look)


def test_the_tail_below_the_fleet_leads_to_the_vehicle_of_its_row(database: Database) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Dozer-03"], 1, status="timeout")
    attempts(database, ids["Truck-01"], 1, every="1 min")

    async def look(it: Driver) -> None:
        await it.sees("newest attempts, UTC", "◌ timeout")
        await it.press("tab", "down")
        assert [vehicle.name for vehicle in it.app.page.targets()] == ["Truck-01"]  # type: ignore[union-attr]  # a page is open
        attempts(database, ids["Crane-02"], 1, every="5 s")
        await it.refresh()
        await it.sees("Crane-02             ")
        await it.press("v")
        await it.sees(" Truck-01 ·", "1 History")
        await it.press("escape", "escape")
        await it.until(lambda: it.dialog() == "FleetPage")
        page = it.app.page
        assert page is not None
        assert [vehicle.name for vehicle in page.targets()] == ["Crane-02"]
        await it.press("v")
        assert it.dialog() == "FleetPage"

    drive(database, look, size=(130, 34))


def test_a_fleet_without_attempts_says_so_below(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.sees("no attempt in the journal yet")

    drive(database, look, size=(130, 34))
