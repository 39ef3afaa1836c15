from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from textual.widgets import DataTable

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.journal import PAGE_ROWS
from fleetsyncd.database.views.vehicle import _CHANNELS, _FIRST, MAX_CHANNELS, SPARK_POINTS
from tests.tui.driving import (
    Driver,
    add,
    alarm,
    attempts,
    channel,
    drive,
    execute,
    set_state,
    small_fleet,
)
from tui.model.sparks import MISSING
from tui.widgets.journal_table import JournalTable
from tui.widgets.panes.channels import ChannelsPane


def rows(it: Driver, selector: str) -> list[list[str]]:
    table = it.app.screen.query_one(selector, DataTable)
    return [[str(cell) for cell in table.get_row_at(n)] for n in range(table.row_count)]


def truck(database: Database) -> UUID:
    vehicle = add(database, "Truck-01", "10.8.0.17")
    set_state(database, "Truck-01", "ok", "4 s", "5 s")
    return vehicle


async def opened(it: Driver) -> None:
    await it.press("enter")
    await it.sees("1 History", "Truck-01 · ● ONLINE", "10.8.0.17:8001 · 1.1.0 · key ••••")


def test_the_reason_stands_before_what_a_small_screen_cuts_off(database: Database) -> None:
    vehicle = add(database, "A-truck-with-a-very-long-name", "10.8.0.17")
    set_state(database, "A-truck-with-a-very-long-name", "error", "4 s", "5 s")
    whole = "/status: HTTP 401: the vehicle refuses the API key"
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, failures, last_error)"
        " VALUES (%s::uuid, 3, %s)",
        str(vehicle), whole,
    )  # fmt: skip

    async def look(it: Driver) -> None:
        await it.press("enter")
        await it.sees("✖ ERROR · /status: HTTP 401: ")
        await it.press("5")
        await it.sees("last error", whole)

    drive(database, look)


def test_the_history_shows_lag_rows_and_share_of_successes(database: Database) -> None:
    vehicle = truck(database)
    attempts(database, vehicle, 60)
    attempts(database, vehicle, 20, every="90 s", status="timeout", error="/data: late", rows=0)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.sees("lag 1h", "1080/min", "75% of 80", "◌ timeout")
        assert rows(it, "#history JournalTable")[0][1:] == ["2.0s", "● ok", "540", ""]

    drive(database, look)


def test_the_history_is_zoomed_out_and_in_again(database: Database) -> None:
    vehicle = truck(database)
    attempts(database, vehicle, 10)
    attempts(database, vehicle, 10, every="2 h")

    async def look(it: Driver) -> None:
        await opened(it)
        await it.sees("ok 1h", "100% of 10")
        for span, share in (("6h", 12), ("24h", 20), ("7d", 20), ("30d", 20), ("30d", 20)):
            await it.press("minus")
            await it.sees(f"lag {span}", f"100% of {share}")
        await it.press("equals_sign", "plus")
        await it.sees("ok 24h")

    drive(database, look)


def test_a_wide_history_shows_the_alarms_beside_it(database: Database) -> None:
    vehicle = truck(database)
    alarm(database, vehicle, 7, "oil pressure low", "10 min", None)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.sees("lag 1h", "▲ open")
        assert any("rows 1h" in line and "▲ open" in line for line in it.lines())
        await it.pilot.resize_terminal(100, 30)
        await it.sees_no("▲ open")

    drive(database, look, size=(160, 45))


def test_alarms_are_listed_open_first_and_enter_shows_one_in_full(database: Database) -> None:
    vehicle = truck(database)
    alarm(database, vehicle, 7, "oil pressure low", "3 h", None)
    alarm(database, vehicle, 8, "coolant hot " + "and hotter " * 20, "1 h", "5 min")

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("2")
        await it.sees("oil pressure low", "coolant hot")
        alarms = rows(it, "#alarms DataTable")
        assert [row[0] for row in alarms] == ["▲ open", "✔ over"]
        assert alarms[1][2:5] == ["5m", "high", "3"]
        await it.press("y")
        assert it.app.clipboard.split("\t")[4:] == ["high", "3", "oil pressure low"]
        await it.press("down", "enter")
        await it.sees("triggered", "resolved", "and hotter")
        assert "".join(it.screen().split()).count("andhotter") == 20
        await it.press("escape")
        await it.sees("2 Alarms")

    drive(database, look)


def test_an_alarm_whose_number_was_used_again_is_marked_as_of_an_earlier_numbering(
    database: Database,
) -> None:
    vehicle = truck(database)
    alarm(database, vehicle, 7, "oil pressure low", "1 h", "5 min")
    execute(
        database,
        "INSERT INTO fleetsync.replaced_alarm (vehicle_id, alarm_id, severity, message,"
        " triggered_at, replaced_at) VALUES (%s::uuid, 7, 'high', 'coolant hot',"
        " '2026-02-22 10:00Z', '2026-02-22 10:30Z')",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("2")
        await it.sees("oil pressure low", "coolant hot")
        assert [row[0] for row in rows(it, "#alarms DataTable")] == ["✔ over", "↺ before"]
        await it.press("down", "enter")
        await it.sees("not known", "number used again", "2026-02-22 10:30:00 UTC")

    drive(database, look)


def test_the_journal_is_paged_to_its_end_and_back(database: Database) -> None:
    vehicle = truck(database)
    attempts(database, vehicle, 2 * PAGE_ROWS + 16)
    attempts(database, vehicle, 1, every="9 h", error="the very first")

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("3")
        await it.until(lambda: len(rows(it, "#journal JournalTable")) == PAGE_ROWS)
        await it.press("end", "down")
        journal = it.app.screen.query_one("#journal JournalTable", JournalTable)
        await it.until(lambda: journal.page_text == "page 2")
        await it.press("greater_than_sign")
        await it.until(lambda: len(rows(it, "#journal JournalTable")) == 17)
        assert rows(it, "#journal JournalTable")[-1][-1] == "the very first"
        await it.press("greater_than_sign")
        await it.refresh()
        assert len(rows(it, "#journal JournalTable")) == 17
        await it.press("less_than_sign", "less_than_sign", "less_than_sign")
        await it.until(lambda: len(rows(it, "#journal JournalTable")) == PAGE_ROWS)

    drive(database, look)


def test_the_journals_newest_page_is_updated_live(database: Database) -> None:
    vehicle = truck(database)
    attempts(database, vehicle, 3, every="5 min")

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("3")
        await it.until(lambda: len(rows(it, "#journal JournalTable")) == 3)
        attempts(database, vehicle, 1, status="error", error="HTTP 503")
        await it.refresh()
        await it.until(lambda: len(rows(it, "#journal JournalTable")) == 4)
        assert rows(it, "#journal JournalTable")[0][-1] == "HTTP 503"

    drive(database, look)


def test_channels_show_newest_values_and_enter_plots_one(database: Database) -> None:
    vehicle = truck(database)
    channel(database, vehicle, 1, "boom angle", "°")
    channel(database, vehicle, 2, "fuel", "%")
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name) VALUES (%s::uuid, 3, 'silent')",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("4")
        await it.sees("boom angle", "silent", "0 … 10")
        channels = rows(it, "#channels DataTable")
        assert [row[1:3] for row in channels] == [
            ["1", "boom angle"],
            ["2", "fuel"],
            ["3", "silent"],
        ]
        assert channels[0][3:5] == ["5", "°"]
        assert len(set(channels[0][6])) > 3
        assert channels[2][3:] == ["-", "", "-", MISSING * SPARK_POINTS, "-"]
        await it.press("down", "enter")
        await it.sees("Truck-01 · 10m · ", "a fuel ", " … ", "10 %┤")
        assert sum("⠁" <= character <= "⣿" for character in it.screen()) > 20
        await it.press("escape")
        await it.sees("4 Channels")

    drive(database, look)


def test_the_config_shows_everything_but_the_key(database: Database) -> None:
    vehicle = truck(database)
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state"
        " (vehicle_id, clock_skew_ms, failures, late_ms, overlap_ms)"
        " VALUES (%s::uuid, -40250, 2, 8000, 16000)",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("5")
        await it.sees(str(vehicle), "40.2 s behind the daemon's", "•••• its own", "0 bad rows")
        await it.sees("up to 8.0 s late, each pull begins 16.0 s early")
        assert "its-secret-key" not in it.screen()

    drive(database, look)


@pytest.mark.parametrize(
    ("other", "since", "shown"),
    [
        (None, None, "box-1"),
        ("box-2", "2026-02-22 10:30Z", "box-2 since 2026-02-22 10:30:00 UTC, box-1 before"),
    ],
)
def test_the_config_shows_what_the_vehicle_calls_itself(
    database: Database, other: str | None, since: str | None, shown: str
) -> None:
    vehicle = truck(database)
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, id_hint, other_hint, other_hint_since)"
        " VALUES (%s::uuid, 'box-1', %s, %s)",
        str(vehicle),
        other,
        since,
    )

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("5")
        await it.sees(f"calls itself {' ' * 11}{shown}")
        assert ("before" in it.screen()) == (other is not None)

    drive(database, look)


def test_the_config_shows_what_a_channel_meant_before(database: Database) -> None:
    vehicle = truck(database)
    execute(
        database,
        "INSERT INTO fleetsync.channel_change (vehicle_id, channel_id, changed_at, old_name,"
        " old_unit, old_min, old_max, new_name, new_unit) VALUES (%s::uuid, 3,"
        " '2026-02-22 10:30Z', 'Oil', 'bar', 0, 10, 'Speed', 'km/h')",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("5")
        before = "Oil [bar] 0 to 10 until 2026-02-22 10:30:00 UTC"
        await it.sees("channel 3 was", before)

    drive(database, look)


def test_keys_and_clicks_open_tabs(database: Database) -> None:
    truck(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("left_square_bracket")
        await it.sees("committed up to")
        await it.press("right_square_bracket", "right_square_bracket")
        await it.sees("SEVERITY")
        await it.pilot.click("#tabs", offset=(27, 0))
        await it.sees("RESULT")
        assert it.app.screen.query_one("ContentSwitcher").current == "journal"  # type: ignore[attr-defined]  # the only one

    drive(database, look)


def test_actions_on_the_vehicle_page_apply_to_its_vehicle(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press("space", "end", "enter")
        await it.sees("Truck-01 ·")
        await it.press("s")
        await it.notified("Truck-01: sync requested")
        await it.press("p")
        await it.notified("Truck-01: paused")
        await it.sees("‖ PAUSED")
        await it.press("ctrl+d")
        await it.sees("Delete Truck-01")
        await it.type("#phrase", "Truck-01")
        await it.click("#accept")
        await it.sees("this vehicle was removed: Esc goes back")
        await it.press("s", "p", "escape")
        assert it.dialog() == "FleetPage"

    drive(database, look)


def test_a_gap_shows_percentage_rate_and_time_left(database: Database) -> None:
    vehicle = truck(database)
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, catching_up_from, catching_up_to,"
        " catching_up_sec, catching_up_rows) SELECT id, last_sync_at - interval '3 h',"
        " last_sync_at + interval '1 h', 60, 36000 FROM vehicles WHERE id = %s::uuid",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await it.sees("catching 75%", "20s left, 600/s")
        await it.press("enter")
        await it.pilot.resize_terminal(120, 30)
        await it.sees("gap 75%, 600 rows/s, 20s left")

    drive(database, look)


def test_a_page_shows_what_is_live_what_is_missing_and_what_is_lost(database: Database) -> None:
    vehicle = truck(database)
    # The database's time: the clock of the dashboard's host may be wrong, as the driver's is.
    ((present,),) = execute(database, "SELECT now()")
    execute(
        database,
        "UPDATE vehicles SET last_sync_at = %s WHERE id = %s::uuid",
        *(present - timedelta(days=3), str(vehicle)),
    )
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, islands, catching_up_from,"
        " catching_up_to, gap_error, history_from, history_at, history_watermark)"
        " SELECT id, tstzmultirange(tstzrange(last_sync_at + interval '2 d', %s)), last_sync_at,"
        " last_sync_at + interval '2 d', '/data: HTTP 503', last_sync_at + interval '1 h', now(),"
        " last_sync_at FROM vehicles WHERE id = %s::uuid",
        *(present, str(vehicle)),
    )

    async def look(it: Driver) -> None:
        await it.sees("loses data from")
        await it.press("enter")
        await it.pilot.resize_terminal(160, 40)
        await it.sees("2d missing", " 7 d  ", "▒░", "░▓", "░ gap")
        await it.press("5")
        await it.sees("missing", "gap waits for", "/data: HTTP 503")

    drive(database, look)


def test_since_when_a_state_lasts_is_told_by_the_databases_clock(database: Database) -> None:
    vehicle = truck(database)
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, dated_status, status_since)"
        " VALUES (%s::uuid, 'ok', now() - interval '2 h')",
        str(vehicle),
    )
    ((since,),) = execute(database, "SELECT status_since FROM fleetsync.vehicle_state")

    async def look(it: Driver) -> None:
        await it.press("enter", "5")
        await it.sees(f"online since {since:%Y-%m-%d %H:}", " UTC, 2h")

    drive(database, look, size=(120, 40))


def test_a_vehicle_registered_before_the_common_era_has_a_state_of_unknown_age(
    database: Database,
) -> None:
    add(database, "Truck-01")
    execute(database, "UPDATE vehicles SET created_at = '0044-03-15 BC'")

    async def look(it: Driver) -> None:
        await it.press("enter", "5")
        await it.sees("never, not known since when", "Truck-01")

    drive(database, look, size=(120, 40))


def test_a_page_of_a_vehicle_that_is_complete_has_no_second_strip(database: Database) -> None:
    truck(database)

    async def look(it: Driver) -> None:
        await it.press("enter")
        await it.sees(" 24 h ")
        assert not it.app.screen.query_one("#coverage").display

    drive(database, look)


def test_of_a_vehicle_with_ever_new_channels_the_first_ones_are_shown(database: Database) -> None:
    vehicle = truck(database)
    execute(
        database,
        "INSERT INTO public.channel_config (vehicle_id, channel_id, name)"
        " SELECT %s::uuid, n, 'New ' || n FROM generate_series(1, 1000) n",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("4")
        await it.sees("New 1")
        shown = rows(it, "#channels DataTable")
        assert len(shown) == MAX_CHANNELS + 1
        assert shown[-1][2] == f"the first {MAX_CHANNELS}; / finds"
        await it.press("end", "enter")

    drive(database, look)


MANY_CHANNELS = 30_000


def test_of_many_channels_those_that_are_looked_for_are_found(database: Database) -> None:
    vehicle = truck(database)
    configure(database, vehicle, MANY_CHANNELS)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("4")
        await it.sees("New 1")
        await it.press("slash", *"new 2977", "enter")
        await it.sees("New 2977", "New 29770")
        assert [row[2] for row in rows(it, "#channels DataTable")][:2] == ["New 2977", "New 29770"]
        await it.press("slash")
        await it.type("#channel-search", "29999")
        await it.sees("New 29999")
        await it.press("escape")
        await it.sees("New 1 ")
        assert it.dialog() == "VehiclePage"
        await it.press("escape")
        await it.until(lambda: it.dialog() == "FleetPage")

    drive(database, look)


def test_opening_the_channels_of_a_vehicle_reads_no_more_of_them_than_it_shows(
    database: Database,
) -> None:
    vehicle = truck(database)
    configure(database, vehicle, MANY_CHANNELS)
    values = {"id": str(vehicle), "limit": MAX_CHANNELS, "search": ""}

    def most_rows(cursor: Cursor) -> int:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {_FIRST} {_CHANNELS}", values)
        return max(_rows(cursor.fetchall()[0][0][0]["Plan"]))

    assert database.run(most_rows) <= MAX_CHANNELS


def _rows(plan: dict[str, Any]) -> Iterator[int]:
    """Yield how many rows each node of a plan returned in all."""
    yield round(plan["Actual Rows"] * plan["Actual Loops"])
    for each in plan.get("Plans", ()):
        yield from _rows(each)


def configure(database: Database, vehicle: UUID, channels: int) -> None:
    execute(
        database,
        "INSERT INTO public.channel_config (vehicle_id, channel_id, name)"
        " SELECT %s::uuid, n, 'New ' || n FROM generate_series(1, %s) n",
        str(vehicle),
        channels,
    )


def test_where_nothing_is_stored_no_scale_claims_to_be_measured(database: Database) -> None:
    ids = small_fleet(database)
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name, unit, min_value, max_value)"
        " VALUES (%s::uuid, 1, 'oil', 'bar', NULL, NULL), (%s::uuid, 2, 'fuel', '%%', 0, 100)",
        str(ids["Crane-02"]), str(ids["Crane-02"]),
    )  # fmt: skip

    async def look(it: Driver) -> None:
        await it.press("enter")
        await it.sees("- · no rate yet")
        await it.press("4")
        await it.sees("oil", "fuel")
        oil, fuel = (
            next(line for line in it.lines() if name in line).split() for name in ("oil", "fuel")
        )
        assert oil[-1] == "-"
        assert fuel[-3:] == ["0", "…", "100"]
        await it.press("enter")
        await it.sees("nothing stored in this span")
        axis = [line.partition("┤")[0].strip() for line in it.lines() if "┤" in line]
        assert [label for label in axis if label] == ["bar"]
        await it.press("n", "v")
        await it.sees("fuel")
        axis = [line.partition("┤")[0].strip() for line in it.lines() if "┤" in line]
        assert [label for label in axis if label] == ["100 %", "50", "0"]

    drive(database, look)


def test_the_cursor_stays_on_its_channel_whatever_channels_come_and_go(database: Database) -> None:
    vehicle = truck(database)
    for number, name in ((2, "fuel"), (3, "oil"), (4, "water")):
        channel(database, vehicle, number, name)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("4")
        await it.sees("water")
        await it.press("down")
        channel(database, vehicle, 1, "boom angle")
        await it.refresh()
        await it.sees("boom angle")
        await it.press("space")
        assert it.app.screen.query_one(ChannelsPane).marked == [3]
        execute(database, "DELETE FROM channel_config WHERE channel_id = 4")
        await it.refresh()
        await it.sees_no("water")
        await it.press("space")
        assert it.app.screen.query_one(ChannelsPane).marked == [3]
        await it.press("up", "space")
        await it.sees("2 marked")

    drive(database, look)


def test_the_cursor_stays_on_its_alarm_of_a_vehicle_as_others_come(database: Database) -> None:
    vehicle = truck(database)
    alarm(database, vehicle, 7, "oil pressure low", "3 h", None)
    alarm(database, vehicle, 8, "coolant hot", "4 h", None)

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("2")
        await it.sees("coolant hot")
        await it.press("down")
        alarm(database, vehicle, 9, "belt slips", "1 h", None)
        await it.refresh()
        await it.sees("belt slips")
        await it.press("enter")
        await it.until(lambda: it.dialog() == "DetailsDialog")
        assert "coolant hot" in it.screen()

    drive(database, look)
