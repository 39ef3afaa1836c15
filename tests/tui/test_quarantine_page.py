import threading
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.actions import present_actor
from fleetsyncd.database import store
from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.telemetry import BadRow
from tests.tui.driving import Driver, drive, execute, small_fleet
from tui.gateway import UNCONFIGURED, Gateway
from tui.room_gateway import RefusedRows, RoomGateway

GOOD = '{"channel_id":1,"value":2.5,"time":"2026-11-01T00:00:00.000Z"}'
HOSTILE = '{"x":"\x1b]52;c;evil\x07[/nope]"}'


@pytest.fixture
def configured(server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let started processes use the database that the dashboard reads."""
    for name, value in server.environment(database_name).items():
        monkeypatch.setenv(name, value)


def refuse(database: Database, vehicle: UUID, *rows: BadRow) -> None:
    database.run(lambda cursor: store.quarantine_rows(cursor, vehicle, list(rows)))


def numbered(count: int, reason: str) -> list[BadRow]:
    return [BadRow("/data", f'{{"n":{n}}}', reason) for n in range(count)]


def left(database: Database) -> list[tuple[str, int]]:
    return execute(
        database, "SELECT reason, count(*) FROM fleetsync.quarantine GROUP BY 1 ORDER BY 1"
    )


def refused_fleet(database: Database) -> dict[str, UUID]:
    ids = small_fleet(database)
    refuse(database, ids["Truck-01"], *numbered(3, "no time"), BadRow("/data", GOOD, "was refused"))
    refuse(database, ids["Dozer-03"], *numbered(2, "no time"), BadRow("/alarms", HOSTILE, "odd"))
    return ids


async def opened(it: Driver) -> None:
    await it.press("Q")
    await it.sees("7 refused rows of 2 vehicles")


def test_refused_rows_are_counted_by_vehicle_call_and_reason(database: Database) -> None:
    refused_fleet(database)

    async def look(it: Driver) -> None:
        await opened(it)
        rows = [line.split() for line in it.lines() if "Truck-01" in line or "Dozer-03" in line]
        assert sorted((row[0], row[1], row[2]) for row in rows) == [
            ("Dozer-03", "/alarms", "1"),
            ("Dozer-03", "/data", "2"),
            ("Truck-01", "/data", "1"),
            ("Truck-01", "/data", "3"),
        ]
        assert "UTC" in it.screen()
        await it.press("slash", *"dozer", "enter")
        await it.sees("vehicles with dozer", "3 refused rows of 1 vehicle")
        await it.sees_no("Truck-01")
        await it.press("escape")
        await it.sees("7 refused rows of 2 vehicles")

    drive(database, look, size=(120, 40))


async def cursor_on(it: Driver, *texts: str) -> None:
    """Move the cursor to the line that has these texts."""
    table = it.app.screen.query_one("KeyedTable")
    rows = [line for line in it.lines() if "/data" in line or "/alarms" in line]
    at = next(n for n, row in enumerate(rows) if all(text in row for text in texts))
    await it.press("home", *["down"] * at)
    assert table.cursor_row == at  # type: ignore[attr-defined]  # of a DataTable


def test_a_group_opens_its_rows_and_a_row_is_shown_in_full_and_harmless(
    database: Database,
) -> None:
    refused_fleet(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await cursor_on(it, "odd")
        await it.press("enter")
        await it.sees("1-1 of 1 row", "Dozer-03 /alarms")
        await it.press("enter")
        await it.sees("[/nope]", "reason", "Esc or q goes back")
        assert "\x1b" not in it.screen()
        await it.press("escape", "escape")
        await it.sees("7 refused rows")
        await it.press("v")
        await it.until(lambda: it.dialog() == "VehiclePage")
        await it.press("escape", "escape")
        assert it.dialog() == "FleetPage"

    drive(database, look, size=(120, 40))


def test_rows_are_turned_page_by_page(database: Database) -> None:
    ids = small_fleet(database)
    refuse(database, ids["Truck-01"], *numbered(120, "no time"))

    async def look(it: Driver) -> None:
        await it.press("Q")
        await it.sees("120 refused rows")
        await it.press("enter")
        await it.sees("1-100 of 120 rows")
        await it.press("greater_than_sign")
        await it.sees("101-120 of 120 rows")
        await it.press("greater_than_sign")
        await it.press("less_than_sign")
        await it.sees("1-100 of 120 rows")

    drive(database, look)


def test_a_purge_of_a_group_asks_with_the_count_and_keeps_what_came_later(
    database: Database,
) -> None:
    ids = refused_fleet(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await cursor_on(it, "Truck-01", "no time")
        await it.press("ctrl+d")
        await it.sees("Delete 3 refused rows of Truck-01 for good?", "3 × /data: no time")
        await it.press("escape")
        assert len(left(database)) == 3
        await it.press("ctrl+d")
        await it.sees("Delete 3 refused rows of Truck-01 for good?")
        refuse(database, ids["Truck-01"], BadRow("/data", '{"later":1}', "no time"))
        await it.press("y")
        await it.notified("Truck-01: deleted 3 refused rows")
        assert left(database) == [("no time", 3), ("odd", 1), ("was refused", 1)]

    drive(database, look, size=(120, 40))


def test_enter_deletes_nothing_that_cannot_be_brought_back(database: Database) -> None:
    refused_fleet(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await cursor_on(it, "Truck-01", "no time")
        await it.press("ctrl+d")
        await it.sees("for good?", "y accepts; Enter changes nothing")
        await it.press("enter")
        assert it.dialog() == "QuarantinePage"
        await it.sees("7 refused rows of 2 vehicles")
        assert sum(rows for _reason, rows in left(database)) == 7

    drive(database, look, size=(120, 40))


def test_a_purge_of_marked_rows_deletes_these_and_no_others(database: Database) -> None:
    refused_fleet(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await cursor_on(it, "Truck-01", "no time")
        await it.press("enter")
        await it.sees("1-3 of 3 rows")
        await it.press("space", "space")
        await it.sees("2 marked")
        await it.press("ctrl+d")
        await it.sees("Delete 2 refused rows of Truck-01 for good?")
        await it.press("y")
        await it.notified("deleted 2 refused rows")
        await it.sees("1-1 of 1 row")
        assert left(database) == [("no time", 3), ("odd", 1), ("was refused", 1)]

    drive(database, look, size=(120, 40))


@pytest.mark.usefixtures("configured")
def test_a_replay_stores_what_is_valid_by_now(database: Database) -> None:
    refused_fleet(database)

    async def look(it: Driver) -> None:
        await opened(it)
        await cursor_on(it, "was refused")
        await it.press("enter")
        await it.sees("1-1 of 1 row")
        await it.press("r")
        await it.sees("Try 1 refused row of Truck-01 again?")
        await it.press("y")
        await it.notified("tried 1: 1 stored, 0 were stored already, 0 are still refused")
        await it.sees("No row of this group is left")
        await it.press("escape")
        await it.sees("6 refused rows")
        await cursor_on(it, "Truck-01")
        await it.press("r")
        await it.sees("Try all refused rows of Truck-01 again?")
        await it.press("y")
        await it.notified("Truck-01: tried 3: 0 stored")

    drive(database, look, size=(120, 40))
    assert execute(database, "SELECT count(*) FROM measurements") == [(1,)]


def test_a_replay_that_fails_says_why(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_fleet(database)
    monkeypatch.setenv("DATABASE_URL", "nonsense")

    async def look(it: Driver) -> None:
        await opened(it)
        await it.press("r")
        await it.sees("again?")
        await it.press("y")
        await it.notified("DATABASE_URL")
        assert any(note.severity == "error" for note in it.app._notifications)

    drive(database, look, size=(120, 40))


def test_read_only_shows_what_is_refused_and_offers_no_writing_key(database: Database) -> None:
    refused_fleet(database)

    async def look(it: Driver) -> None:
        await opened(it)
        assert "Purge" not in it.screen()
        assert "Replay" not in it.screen()
        await it.press("ctrl+d", "r")
        assert it.dialog() == "QuarantinePage"
        await it.press("enter")
        await it.sees("1-1 of 1 row", "AT UTC")

    drive(database, look, size=(120, 40), read_only=True)


def test_an_empty_quarantine_says_so_and_an_unreadable_one_that_it_is_not_read(
    server: Server, database: Database, database_name: str
) -> None:
    async def look(it: Driver) -> None:
        await it.press("Q")
        await it.sees("No row was refused")
        await it.press("escape")
        moved = sql.SQL("ALTER TABLE fleetsync.quarantine RENAME TO elsewhere")
        server.execute(moved, database=database_name)
        await it.press("Q")
        await it.sees("could not be read: see above")
        assert "No row was refused" not in it.screen()

    drive(database, look)


def test_nothing_can_be_marked_before_it_is_read_and_that_is_said(database: Database) -> None:
    refused_fleet(database)
    gateway = Gateway(database, 30)
    may_read = threading.Event()

    class SlowRooms(RoomGateway):
        def refused_groups(self, name_part: str) -> RefusedRows:
            may_read.wait(30)
            return super().refused_groups(name_part)

    gateway.rooms = SlowRooms(database, present_actor(), UNCONFIGURED)

    async def look(it: Driver) -> None:
        it.app.action_quarantine()
        await it.until(lambda: it.dialog() == "QuarantinePage" and it.app.screen.is_mounted)
        it.app.screen.action_mark_all()  # type: ignore[attr-defined]  # of the page
        await it.notified("nothing is marked: it is being read")
        may_read.set()
        await it.sees("7 refused rows of 2 vehicles")

    drive(gateway, look, size=(120, 40))
