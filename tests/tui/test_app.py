import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from fleetsyncd.database import fleet, replicas
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.settings import DatabaseSettings
from tui.app import FleetApp
from tui.gateway import Gateway

ESCAPE = "\x1b]52;c;aGk=\x07[/nope]"


def run(
    database: Database, look: Callable[[FleetApp, Pilot[None]], Coroutine[Any, Any, None]]
) -> None:
    async def session() -> None:
        app = FleetApp(Gateway(database, 30))
        async with app.run_test(size=(80, 24), notifications=True, tooltips=True) as pilot:
            await pilot.pause()
            await app.workers.wait_for_complete()
            await pilot.pause()
            await look(app, pilot)

    asyncio.run(session())


def shown(app: FleetApp) -> list[list[str]]:
    table = app.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


def headline(app: FleetApp) -> str:
    return str(app.query_one("#totals", Static).render())


def register(cursor: Cursor) -> None:
    fleet.add(cursor, "Truck-01", "10.8.0.17", 8001, None)
    fleet.add(cursor, "Truck-02", "10.8.0.18", 8001, None)
    cursor.execute("UPDATE vehicles SET sync_status = 'timeout' WHERE name = 'Truck-02'")
    cursor.execute(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, last_error)"
        " SELECT id, %s FROM vehicles WHERE name = 'Truck-02'",
        (ESCAPE,),
    )


def test_the_fleet_is_shown_with_its_states_and_hostile_text_is_harmless(
    database: Database,
) -> None:
    database.run(register)

    async def look(app: FleetApp, _pilot: Pilot[None]) -> None:
        rows = shown(app)
        assert [row[:2] for row in rows] == [["Truck-01", "? never"], ["Truck-02", "◌ timeout"]]
        assert rows[1][-1].isprintable()
        assert rows[1][-1].endswith("[/nope]")
        assert "2 vehicles  ◌ 1 timeout  ? 1 never" in headline(app)

    run(database, look)


def test_a_missing_daemon_is_said_and_a_live_one_shown(database: Database) -> None:
    async def missing(app: FleetApp, _pilot: Pilot[None]) -> None:
        assert "daemon not running, never seen" in headline(app)

    async def alive(app: FleetApp, _pilot: Pilot[None]) -> None:
        assert "● live" in headline(app)

    run(database, missing)
    database.run(lambda cursor: replicas.beat(cursor, replicas.Replica(30), None, 0))
    run(database, alive)


def test_a_lost_database_is_said_and_q_still_quits() -> None:
    nowhere = Database(DatabaseSettings({"host": "127.0.0.1", "port": "1", "dbname": "fleet"}))

    async def look(app: FleetApp, pilot: Pilot[None]) -> None:
        assert "database lost: no connection to 127.0.0.1:1/fleet" in headline(app)
        await pilot.press("q")
        assert not app.is_running

    run(nowhere, look)
