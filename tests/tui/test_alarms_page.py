"""The page of open alarms, their count in the header, and the column of the fleet."""

import csv
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from psycopg2 import sql
from textual.widgets import DataTable, Input

from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.alarms import PAGE_ROWS
from fleetsyncd.demo.embedded import Server
from fleetsyncd.severities import OpenAlarms, Severity
from tests.tui.driving import Driver, alarm, channel, drive, execute, small_fleet
from tests.tui.test_operations import paused
from tui.gateway import Gateway
from tui.model import alarm_totals
from tui.model.alarm_totals import NARROW_WIDTH, WIDE_WIDTH
from tui.screens.vehicle import VehiclePage


def severity(database: Database, number: int, name: str | None) -> None:
    execute(database, "UPDATE alarms_log SET severity = %s WHERE alarm_id = %s", name, number)


def rows(it: Driver) -> list[list[str]]:
    table = it.app.screen.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(n)] for n in range(table.row_count)]


def messages(it: Driver) -> list[str]:
    return [row[-1] for row in rows(it)]


def alarms_of_three(database: Database) -> dict[str, UUID]:
    ids = small_fleet(database)
    for number, (vehicle, name, message, ago) in enumerate(
        (
            ("Truck-01", "critical", "oil lost", "3 h"),
            ("Truck-01", "info", "door open", "5 min"),
            ("Dozer-03", None, "belt slips", "26 h"),
            ("Loader-04", "alarm", "engine hot", "2 d"),
        ),
        1,
    ):
        alarm(database, ids[vehicle], number, message, ago, None)
        severity(database, number, name)
    alarm(database, ids["Crane-02"], 9, "long over", "4 h", "1 h")
    return ids


async def opened(it: Driver) -> None:
    await it.press("A")
    await it.sees("severity, then newest", "open alarms 1-")


def test_open_alarms_of_all_vehicles_are_shown_worst_first_then_newest_first(
    database: Database,
) -> None:
    alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        assert messages(it) == ["oil lost", "engine hot", "belt slips", "door open"]
        assert [row[0] for row in rows(it)] == ["◆ critical", "▲ alarm", "△ -", "▫ info"]
        assert [row[1] for row in rows(it)] == ["3h", "2d", "26h", "5m"]
        await it.sees(
            "open alarms 1-4 of 4 · severity, then newest", "◆ oil lost · Truck-01 · channel 3"
        )
        await it.press("S")
        await it.sees("open alarms 1-4 of 4 · newest")
        assert messages(it) == ["door open", "oil lost", "belt slips", "engine hot"]
        await it.press("escape")
        assert it.dialog() == "FleetPage"

    drive(database, look)


def test_open_alarms_are_filtered_by_severity_text_and_vehicle(database: Database) -> None:
    alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        for shown, expected in (
            ("· critical", ["oil lost"]),
            ("alarm and worse", ["oil lost", "engine hot"]),
            ("warning and worse", ["oil lost", "engine hot", "belt slips"]),
        ):
            await it.press("exclamation_mark")
            await it.sees(shown)
            await it.until(lambda expected=expected: messages(it) == expected)  # type: ignore[misc]  # bound early
        await it.press("slash")
        await it.type("#filter", "veh:truck,dozer")
        await it.until(lambda: messages(it) == ["oil lost", "belt slips"])
        await it.press("enter")
        await it.sees("open alarms 1-2 of 2 · severity, then newest · warning and worse · filter: ")
        await it.press("exclamation_mark", "slash")
        await it.type("#filter", "OPEN")
        await it.until(lambda: messages(it) == ["door open"])
        await it.type("#filter", "sev:warn")
        await it.until(lambda: messages(it) == ["belt slips"])
        await it.type("#filter", "sev:warn truck")
        await it.sees("No open alarm matches: Esc shows all", "open alarms 0 ·")
        await it.press("escape", "escape")
        await it.until(lambda: len(rows(it)) == 4)

    drive(database, look)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("-sev:info", ["oil lost", "engine hot", "belt slips"]),
        ("-truck", ["engine hot", "belt slips"]),
        ("-veh:truck,dozer", ["engine hot"]),
        ("sev:alarm,info -door", ["engine hot"]),
        ('"belt slips"', ["belt slips"]),
        ('-"belt slips" -oil', ["engine hot", "door open"]),
        ("sev:high", ["belt slips"]),
        ("-severity:hi", ["oil lost", "engine hot", "door open"]),
    ],
)
def test_quotes_minus_and_the_names_that_vehicles_use_mean_what_they_do_in_the_fleet(
    database: Database, typed: str, expected: list[str]
) -> None:
    alarms_of_three(database)
    severity(database, 3, " High")

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("slash")
        await it.type("#filter", typed)
        await it.until(lambda: messages(it) == expected)
        await it.type("#filter", "sev:grave")
        await it.sees("error, warning, info; as warning: high")

    drive(database, look, size=(120, 40))


def test_an_alarm_without_a_severity_is_not_hidden_with_those_of_another_one(
    database: Database,
) -> None:
    alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("slash")
        await it.type("#filter", "-sev:critical")
        await it.until(lambda: messages(it) == ["engine hot", "belt slips", "door open"])

    drive(database, look)


def test_the_beginning_of_a_wrong_word_hides_no_alarm(database: Database) -> None:
    alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("slash", *"sev=critical")
        await it.sees("sev=critical: write sev:critical")
        await it.until(lambda: len(rows(it)) == 4)

    drive(database, look)


def test_severities_that_a_filter_and_the_key_exclude_together_show_nothing(
    database: Database,
) -> None:
    alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("exclamation_mark", "slash")
        await it.type("#filter", "sev:info")
        await it.sees("No open alarm matches")

    drive(database, look)


def test_a_filter_that_is_wrong_is_refused_and_stays_to_be_mended(database: Database) -> None:
    alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("slash")
        for wrong, told in (
            ("sev:grave", "no severity begins with grave: critical, alarm, error, warning, info"),
            ("sev:", "no severity begins with …"),
            ("foo:bar", "foo:bar: is not a filter, only sev: veh: are"),
            ("level: high", "level:: is not a filter"),
            ("sev=critical", "sev=critical: write sev:critical"),
            ("sev!=info", "sev!=info: write -sev:info"),
            ("sev>warning", "sev>warning: write sev:warning; ! shows"),
            ("age>5m", "age>5m: open alarms are not compared"),
            ("-age > 5m", "open alarms are not compared"),
            ('oil"', "quotes stand round a whole word"),
            ("veh:", "veh: needs a part of a vehicle's name"),
        ):
            await it.type("#filter", wrong)
            await it.sees(told)
            await it.press("enter")
            await it.sees(told)
            assert it.app.screen.query_one("#filter", Input).has_focus
            assert len(rows(it)) == 4
        await it.press("escape")
        await it.sees("1-4 of 4")

    drive(database, look)


def test_the_cursor_stays_on_its_alarm_while_others_come_and_go(database: Database) -> None:
    ids = alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        table = it.app.screen.query_one(DataTable)
        await it.press("down", "down")
        await it.sees("△ as of 3h ago · belt slips")
        alarm(database, ids["Crane-02"], 10, "boom low", "1 s", None)
        severity(database, 10, "critical")
        await it.refresh()
        await it.until(lambda: len(rows(it)) == 5)
        assert messages(it)[table.cursor_row] == "belt slips"
        execute(database, "UPDATE alarms_log SET resolved_at = now() WHERE alarm_id IN (1, 10)")
        await it.refresh()
        await it.until(lambda: len(rows(it)) == 3)
        assert messages(it)[table.cursor_row] == "belt slips"
        execute(database, "UPDATE alarms_log SET resolved_at = now()")
        await it.refresh()
        await it.sees("No vehicle has an open alarm")
        await it.press("enter", "v", "d", "y")
        assert it.dialog() == "AlarmsPage"
        alarm(database, ids["Crane-02"], 11, "boom low again", "1 s", None)
        await it.refresh()
        await it.sees("boom low again")
        await it.press("d")
        await it.sees("not known: the alarm may be over since", "Esc or q goes back")

    drive(database, look)


@pytest.mark.parametrize("keys", [[], ["down", "up"], ["S", "S"]])
def test_a_worse_alarm_does_not_take_the_first_lines_place_under_the_cursor(
    database: Database, keys: list[str]
) -> None:
    ids = alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press(*keys)
        await it.sees("severity, then newest", "◆ oil lost")
        for number in (10, 11):
            alarm(database, ids["Crane-02"], number, "boom low", "1 s", None)
            severity(database, number, "critical")
        await it.refresh()
        await it.sees("open alarms 1-6 of 6, 2 new above", "◆ oil lost · Truck-01")
        await it.press("down", "up", "up")
        await it.sees("6 of 6, 1 new above", "boom low · Crane-02")
        await it.press("up", "down", "down")
        await it.sees_no("new above")
        await it.press("v")
        page = it.app.page
        assert isinstance(page, VehiclePage)
        assert page.vehicle_id == ids["Truck-01"]

    drive(database, look)


async def is_on_nothing(it: Driver, database: Database) -> None:
    """Fail unless no key reaches an alarm."""
    await it.sees("what was chosen is gone")
    it.app.copy_to_clipboard("before")
    await it.press("v", "p", "d", "y", "enter")
    assert (it.dialog(), it.app.clipboard, paused(database)) == ("AlarmsPage", "before", set())


@pytest.mark.parametrize(("number", "other"), [(1, "up"), (3, "down"), (2, "up"), (2, "down")])
def test_no_key_is_for_the_neighbour_of_an_alarm_that_was_resolved(
    database: Database, number: int, other: str
) -> None:
    ids = alarms_of_three(database)
    line = {1: 0, 3: 2, 2: 3}[number]

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press(*["down"] * line)
        execute(database, "UPDATE alarms_log SET resolved_at = now() WHERE alarm_id = %s", number)
        await it.refresh()
        await is_on_nothing(it, database)
        await it.refresh()
        await is_on_nothing(it, database)
        await it.press(other)
        await it.sees_no("what was chosen is gone")
        table = it.app.screen.query_one(DataTable)
        chosen = rows(it)[table.cursor_row]
        await it.sees(f"{chosen[-1]} · {chosen[3]}")
        await it.press("v")
        page = it.app.page
        assert isinstance(page, VehiclePage)
        assert page.vehicle_id == ids[chosen[3]]

    drive(database, look)


def test_no_key_is_for_the_neighbour_of_an_alarm_that_was_pushed_off_the_page(
    database: Database,
) -> None:
    ids = alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("end")
        await it.sees("door open · Truck-01")
        execute(
            database,
            "INSERT INTO alarms_log"
            " (vehicle_id, alarm_id, channel_id, severity, message, triggered_at)"
            " SELECT %s::uuid, 100 + n, 1, 'critical', 'number ' || n, now()"
            " FROM generate_series(1, %s) n",
            str(ids["Crane-02"]), PAGE_ROWS,
        )  # fmt: skip
        await it.refresh()
        await it.sees(f"1-{PAGE_ROWS} of {PAGE_ROWS + 4}")
        await is_on_nothing(it, database)
        await it.press("greater_than_sign")
        await it.sees(f"{PAGE_ROWS + 1}-{PAGE_ROWS + 4} of {PAGE_ROWS + 4}")
        await it.sees_no("what was chosen is gone")

    drive(database, look, size=(100, 24))


def test_more_alarms_than_a_page_holds_are_turned_by_keys(database: Database) -> None:
    ids = small_fleet(database)
    execute(
        database,
        "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at)"
        " SELECT %s::uuid, n, 1, 'number ' || n, now() - n * interval '1 min'"
        " FROM generate_series(1, %s) n",
        str(ids["Truck-01"]), PAGE_ROWS + 3,
    )  # fmt: skip

    async def look(it: Driver) -> None:
        await opened(it)
        await it.sees(f"1-{PAGE_ROWS} of {PAGE_ROWS + 3}")
        table = it.app.screen.query_one(DataTable)
        table.move_cursor(row=PAGE_ROWS - 1)
        await it.press("down")
        await it.sees(f"{PAGE_ROWS + 1}-{PAGE_ROWS + 3} of {PAGE_ROWS + 3}")
        await it.sees(f"△ number {PAGE_ROWS + 1} · Truck-01")
        await it.press("less_than_sign")
        await it.sees("△ number 1 · Truck-01")
        table.move_cursor(row=7)
        await it.press("greater_than_sign")
        await it.sees(f"△ number {PAGE_ROWS + 1} · Truck-01")
        execute(database, "UPDATE alarms_log SET resolved_at = now() WHERE alarm_id > 100")
        await it.refresh()
        await it.sees("1-100 of 100")
        assert messages(it)[0] == "number 1"

    drive(database, look)


def test_keys_lead_from_an_alarm_to_plot_vehicle_and_details(database: Database) -> None:
    ids = alarms_of_three(database)
    channel(database, ids["Truck-01"], 3, "oil pressure", "bar")
    execute(database, "UPDATE alarms_log SET channel_id = NULL WHERE alarm_id = 4")

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("enter")
        await it.sees(
            "Truck-01 · 1h · ", " UTC · past", "a oil pressure", "expected 0 … 10", "bar┤"
        )
        await it.sees(" UTC · ▲ critical of channel 3: oil lost")
        await it.press("escape")
        assert it.dialog() == "PlotPage"  # only its cursor is gone
        await it.press("escape", "d")
        await it.sees("3 oil pressure", "critical", "3h ago")
        await it.press("escape", "down", "enter")
        await it.notified("this alarm names no channel: v opens its vehicle")
        await it.press("v")
        await it.sees("Loader-04 · ")
        page = it.app.page
        assert isinstance(page, VehiclePage)
        assert page.vehicle_id == ids["Loader-04"]
        await it.press("escape")
        assert it.dialog() == "AlarmsPage"

    drive(database, look)


def test_an_alarm_ahead_of_the_databases_clock_says_so_everywhere(database: Database) -> None:
    ids = small_fleet(database)
    channel(database, ids["Truck-01"], 3, "oil pressure", "bar")
    alarm(database, ids["Truck-01"], 1, "oil lost", "-181 min", None)

    async def look(it: Driver) -> None:
        ahead = "3h ahead of the database's clock"
        await opened(it)
        await it.sees(f"triggered {ahead} · oil lost")
        assert rows(it)[0][1] == "ahead"
        await it.press("d")
        await it.sees(f", {ahead}")
        await it.press("escape", "enter")
        await it.notified(f"triggered {ahead}: the plot ends at present")
        assert it.dialog() == "PlotPage"

    drive(database, look)


def test_alarms_of_silent_and_of_paused_vehicles_are_dimmed_and_say_as_of_when(
    database: Database,
) -> None:
    ids = alarms_of_three(database)
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, paused) VALUES (%s::uuid, true)",
        str(ids["Loader-04"]),
    )

    async def look(it: Driver) -> None:
        await opened(it)
        assert [row[2] for row in rows(it)] == ["", "paused", "3h", ""]
        table = it.app.screen.query_one(DataTable)
        dimmed = ["dim" in str(table.get_row_at(n)[-1].style) for n in range(4)]
        assert dimmed == [False, True, True, False]
        await it.press("down", "d")
        await it.sees("Loader-04 (paused)", "2d ago: the alarm may be over since")

    drive(database, look)


def test_an_alarm_is_copied_and_the_page_exported(database: Database, tmp_path: Path) -> None:
    ids = alarms_of_three(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("y")
        assert it.app.clipboard.split("\t")[1:3] == ["Truck-01", "critical"]
        await it.press("E")
        await it.sees("Export 4 rows")
        await it.type("#path", str(tmp_path / "alarms.csv"))
        await it.press("enter")
        await it.notified("wrote 4 rows")

    drive(database, look)
    with (tmp_path / "alarms.csv").open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["message"] for row in written] == [
        "oil lost", "engine hot", "belt slips", "door open",
    ]  # fmt: skip
    assert written[0]["vehicle_id"] == str(ids["Truck-01"])


def test_the_header_counts_open_alarms_and_names_the_worst(database: Database) -> None:
    alarms_of_three(database)

    async def narrow(it: Driver) -> None:
        assert "◆ 1 critical +3" in it.lines()[0]
        execute(database, "UPDATE alarms_log SET resolved_at = now() WHERE alarm_id IN (1, 4)")
        await it.refresh()
        await it.until(lambda: "△ 1 warning +1" in it.lines()[0])
        execute(database, "UPDATE alarms_log SET resolved_at = now()")
        await it.refresh()
        await it.until(lambda: "△" not in it.lines()[0])

    async def wide(it: Driver) -> None:
        assert "◆ 1 critical, 3 other alarms" in it.lines()[0]

    drive(database, wide, size=(160, 45))
    drive(database, narrow)


def test_the_fleet_shows_each_vehicles_worst_alarm_and_their_number(database: Database) -> None:
    ids = alarms_of_three(database)
    execute(
        database,
        "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at)"
        " SELECT %s::uuid, 100 + n, 1, 'again', now() FROM generate_series(1, 9) n",
        str(ids["Dozer-03"]),
    )

    def column(it: Driver, title: str) -> list[str]:
        at = it.lines()[1].index(title)
        return [line[at : at + len(title)].strip() for line in it.lines()[2:6]]

    async def narrow(it: Driver) -> None:
        assert column(it, "AL") == ["", "△+", "▲1", "◆2"]

    async def wide(it: Driver) -> None:
        assert column(it, "ALARM") == ["", "△ 10", "▲ 1", "◆ 2"]

    drive(database, narrow)
    drive(database, wide, size=(160, 45))


@pytest.mark.parametrize(
    ("count", "narrow", "wide"),
    [(1, "◆1", "◆ 1"), (9, "◆9", "◆ 9"), (10, "◆+", "◆ 10"), (9_999, "◆+", "◆9999"),
     (10_000, "◆+", "◆+")],
)  # fmt: skip
def test_a_number_of_alarms_that_has_no_room_is_never_cut_to_a_smaller_one(
    count: int, narrow: str, wide: str
) -> None:
    alarms = OpenAlarms(count, Severity.CRITICAL, 1)
    shown = [alarm_totals.cell(alarms, width) for width in (NARROW_WIDTH, WIDE_WIDTH)]
    assert shown == [narrow, wide]


def test_a_critical_alarm_is_coloured_in_the_fleet(database: Database) -> None:
    alarms_of_three(database)

    async def look(it: Driver) -> None:
        (line,) = [strip for strip in it.strips()[2:] if "Truck-01" in strip.text]
        (cell,) = [segment for segment in line if segment.text == "◆2"]
        assert cell.style is not None
        *_, last = line
        assert last.style is not None
        assert cell.style.color != last.style.color

    drive(database, look)


def test_a_role_that_may_not_read_alarms_sees_the_fleet_and_is_told(
    server: Server, database: Database, database_name: str
) -> None:
    alarms_of_three(database)
    server.execute(
        sql.SQL("REVOKE SELECT ON alarms_log FROM PUBLIC, fleet_app"), database=database_name
    )

    async def look(it: Driver) -> None:
        await it.sees("Truck-01", "open alarms: permission denied")

    drive(database, look)


def test_a_table_of_alarms_that_is_locked_does_not_hide_the_fleet(
    server: Server, database: Database, database_name: str
) -> None:
    alarms_of_three(database)
    gateway = Gateway(database, 30)
    before = gateway.snapshot()
    with closing(server.connect(database_name)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alarms_log IN ACCESS EXCLUSIVE MODE")
        locked = gateway.snapshot()
    assert len(locked.vehicles) == 4
    assert locked.open_alarms == before.open_alarms
    assert "open alarms: " in (locked.alarms_error or "")
    assert "timeout" in (locked.alarms_error or "")


def test_counting_that_is_dear_is_done_every_ten_seconds_only(database: Database) -> None:
    ids = alarms_of_three(database)
    seconds = iter([0.0, 0.2, 3.0, 10.1, 10.3, 10.35, 12.0, 12.05])
    gateway = Gateway(database, 30, now=lambda: next(seconds))

    def counted() -> int:
        total = gateway.snapshot().open_alarms
        return 0 if total is None else total.count

    assert counted() == 4  # from 0.0 to 0.2: dear
    alarm(database, ids["Truck-01"], 50, "another", "1 s", None)
    assert counted() == 4  # at 3.0
    assert counted() == 4  # at 10.1
    assert counted() == 5  # from 10.3 to 10.35: cheap
    alarm(database, ids["Truck-01"], 51, "one more", "1 s", None)
    assert counted() == 6  # at 12.0
