"""Draws the README's screenshots: the real dashboard over the demo's fleet, after some minutes.

`python -m tests.tui.screenshot` starts PostgreSQL, the simulated fleet and the daemon, waits until
the faults show, and writes tui/screenshots/*.svg.
"""

import asyncio
import os
import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import embedded
from fleetsyncd.demo.launch import DAEMON
from fleetsyncd.demo.processes import running, simulator
from fleetsyncd.settings import DatabaseSettings
from tests.tui.driving import Driver
from tui.app import FleetApp
from tui.context import ScreenContext
from tui.gateway import Gateway
from tui.model.state import FleetState

FOLDER = Path(__file__).parents[2] / "tui" / "screenshots"
VEHICLES = 24
INTERVAL = 5
GAP = "40 days"


def register(cursor: Cursor, vehicles: list[dict[str, str]]) -> None:
    """Register the fleet; one vehicle was offline for hours."""
    for number, vehicle in enumerate(vehicles):
        cursor.execute(
            "INSERT INTO public.vehicles (name, vpn_ip, api_port, api_key, last_sync_at)"
            " VALUES (%(name)s, %(host)s::inet, %(port)s, %(key)s, now() - %(ago)s::interval)",
            {**vehicle, "ago": GAP if number == 4 else "10 min"},
        )


def save(app: FleetApp, name: str) -> None:
    """Write what the screen shows; without the fonts that Rich would have a browser fetch."""
    drawn = app.export_screenshot(title="fleetsync-tui")
    drawn = re.sub(r"@font-face {.*?}\n|<!--.*?-->\n", "", drawn, flags=re.DOTALL)
    (FOLDER / name).write_text(drawn, encoding="utf-8")


async def draw(gateway: Gateway, seconds: float) -> None:
    """Let the fleet run for a while, then draw the fleet and one vehicle."""
    app = FleetApp(ScreenContext(gateway, FleetState(gateway.where)))
    async with app.run_test(size=(120, 32)) as pilot:
        it = Driver(app, pilot)
        await asyncio.sleep(seconds)
        await it.press("S")
        await it.press("home", "down", "down")
        await it.refresh()
        await it.pilot.pause()
        save(app, "fleet.svg")
        await it.press("slash")
        await it.type("#filter", "Truck-01")
        await it.press("enter", "enter")
        await it.sees("lag 1h")
        await it.press("4")
        await it.settled()
        await it.sees("SCALE")
        save(app, "channels.svg")
        app.exit()


def main() -> None:
    """Start everything, draw, stop everything."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 150.0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = embedded.start(folder / "postgres")
        stack.callback(server.stop)
        server.create_database("fleet")
        migrate.migrate(DatabaseSettings(server.parameters("fleet", embedded.OWNER)), embedded.APP)
        database = Database(DatabaseSettings(server.parameters("fleet")))
        vehicles = stack.enter_context(simulator(VEHICLES))
        database.run(lambda cursor: register(cursor, vehicles))
        environment = {
            **os.environ, **DAEMON, **server.environment("fleet"),
            "SYNC_INTERVAL_SEC": str(INTERVAL),
        }  # fmt: skip
        log = stack.enter_context((folder / "daemon.log").open("w"))
        stack.enter_context(running(["fleetsyncd", "run"], environment, log))
        asyncio.run(draw(Gateway(database, INTERVAL), seconds))


if __name__ == "__main__":
    main()
