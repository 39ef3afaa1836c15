"""Runs the real dashboard on a real database, without a terminal."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Button, Input

from fleetsyncd.database import replicas, vehicles
from fleetsyncd.database.pool import Cursor, Database
from tui.app import FleetApp
from tui.context import ScreenContext
from tui.gateway import Gateway
from tui.model.fleet_view import FleetView
from tui.model.sorting import Sort
from tui.model.state import FleetState
from tui.remembered import Memory
from tui.screens.fleet import FleetPage

WAIT_SEC = 60.0
NOW = datetime(2026, 2, 22, 12, tzinfo=UTC)


@dataclass
class Driver:
    """Presses keys of a running dashboard and waits for texts on its screen."""

    app: FleetApp
    pilot: Pilot[None]

    @property
    def state(self) -> FleetState:
        return self.app.context.state

    def strips(self) -> list[Strip]:
        """Return the painted lines with their styles."""
        return self.app.screen._compositor.render_strips()

    def screen(self) -> str:
        """Return the characters on the screen; lines are separated by newlines."""
        return "\n".join("".join(segment.text for segment in strip) for strip in self.strips())

    def lines(self) -> list[str]:
        return self.screen().splitlines()

    def dialog(self) -> str:
        """Return the class name of the topmost screen."""
        return type(self.app.screen).__name__

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.until(lambda: not self.app.keys_are_waiting)
        await self.pilot.pause()

    async def type(self, field: str, text: str) -> None:
        """Put text into a field of the topmost screen."""
        self.app.screen.query_one(field, Input).value = text
        await self.pilot.pause()

    async def click(self, selector: str) -> None:
        self.app.screen.query_one(selector, Button).press()
        await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        ends = time.monotonic() + WAIT_SEC
        while not condition():
            assert time.monotonic() < ends, f"the screen shows:\n{self.screen()}"
            await self.pilot.pause(0.01)

    async def sees(self, *texts: str) -> None:
        """Wait until all of the texts are on the screen."""
        await self.until(lambda: all(text in self.screen() for text in texts))

    async def sees_no(self, text: str) -> None:
        await self.until(lambda: text not in self.screen())

    async def notified(self, text: str) -> None:
        """Wait until a message contains the text, still shown or not."""
        kept = self.app.messages
        await self.until(lambda: any(text in message.text for message in kept.newest_first))

    async def settled(self) -> None:
        """Wait until no read for the screen is running."""
        parts = (
            "pane", "journal", "plot", "days", "alarms", "audit", "quarantine", "backfills",
            "findings", "actions", "notices",
        )  # fmt: skip
        await self.until(lambda: not any(w.group in parts for w in self.app.workers))
        page = self.app.page
        if isinstance(page, FleetPage) and self.state.frozen_at is None:
            on_screen = set(page.needs().last_hour)
            await self.until(lambda: on_screen <= set(getattr(self.state.snapshot, "hours", ())))
        await self.pilot.pause()

    async def refresh(self) -> None:
        """Read the fleet again, and wait until the read has ended."""
        before = self.state.read_at
        self.app.action_refresh()
        await self.until(lambda: self.state.read_at > before)


Script = Callable[[Driver], Awaitable[None]]


def dashboard(
    database: Database | Gateway,
    *,
    read_only: bool = False,
    now: Callable[[], float] = time.monotonic,
    sort: Sort = Sort.NAME,
    memory: Memory | None = None,
) -> FleetApp:
    """Return the dashboard; where a test's vehicle stands does not depend on its state."""
    gateway = database if isinstance(database, Gateway) else Gateway(database, 30)
    state = FleetState(gateway.where, FleetView(sort=sort), read_only=read_only)
    return FleetApp(ScreenContext(gateway, state, now=now, wall=lambda: NOW), memory)


def drive(
    database: Database | Gateway,
    script: Script,
    *,
    size: tuple[int, int] = (80, 24),
    read_only: bool = False,
    now: Callable[[], float] = time.monotonic,
    sort: Sort = Sort.NAME,
    app: FleetApp | None = None,
    faults: bool = False,
) -> None:
    """Run the dashboard, or `app`, at that size; run the script after the first read.

    Faults that the dashboard outlives fail the test, unless it expects `faults`.
    """
    app = app or dashboard(database, read_only=read_only, now=now, sort=sort)

    async def session() -> None:
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            driver = Driver(app, pilot)
            await driver.until(lambda: driver.state.snapshot is not None or driver.state.lost)
            await pilot.pause()
            await script(driver)
            with suppress(AttributeError):
                app.exit()

    asyncio.run(session())
    assert faults or not app.faults.count, app.faults.told


def add(database: Database, name: str, host: str = "10.8.0.17", port: int = 8001) -> UUID:
    return database.run(
        lambda cursor: vehicles.add_vehicle(cursor, name, host, port, "its-secret-key")
    )


def execute(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def beat(database: Database, age: str = "0 s") -> None:
    """Write a daemon's heartbeat of that age."""
    database.run(lambda c: replicas.write_heartbeat(c, replicas.Replica(30, host="centre"), 2.3, 3))
    execute(database, "UPDATE fleetsync.replica SET beat_at = now() - %s::interval", age)


def set_state(database: Database, name: str, status: str, seen: str, lag: str) -> None:
    """Set a vehicle's status and how long ago it answered and was committed up to."""
    execute(
        database,
        "UPDATE vehicles SET sync_status = %s, last_seen_at = now() - %s::interval,"
        " last_sync_at = now() - %s::interval, software_version = '1.1.0' WHERE name = %s",
        status,
        seen,
        lag,
        name,
    )


def small_fleet(database: Database) -> dict[str, UUID]:
    """Register four vehicles: online, timeout, error, never seen; a daemon is alive."""
    names = ("Crane-02", "Dozer-03", "Loader-04", "Truck-01")
    ids = {name: add(database, name, f"10.8.0.{n}") for n, name in enumerate(names, 1)}
    set_state(database, "Truck-01", "ok", "4 s", "5 s")
    set_state(database, "Dozer-03", "timeout", "3 h", "3 h")
    set_state(database, "Loader-04", "error", "2 d", "2 d")
    beat(database)
    return ids


def attempts(
    database: Database,
    vehicle: UUID,
    count: int,
    *,
    every: str = "30 s",
    status: str = "ok",
    error: str | None = None,
    rows: int = 540,
) -> None:
    """Write `count` attempts into the journal, the newest one `every` ago."""
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written,"
        " error_msg) SELECT %s::uuid, now() - n * %s::interval,"
        " now() - n * %s::interval + interval '2 s', %s, %s, %s FROM generate_series(1, %s) n",
        str(vehicle), every, every, status, rows, error, count,
    )  # fmt: skip


def channel(database: Database, vehicle: UUID, number: int, name: str, unit: str = "") -> None:
    """Configure a channel, and store a sine wave with a value for each second of the last hour."""
    key = str(vehicle)
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name, unit, min_value, max_value)"
        " VALUES (%s::uuid, %s, %s, %s, 0, 10)",
        key, number, name, unit,
    )  # fmt: skip
    for hours in (0, 1):
        execute(
            database,
            "SELECT fleetsync.ensure_month(date_trunc('month', now() - %s * interval '1 h')::date)",
            hours,
        )
    execute(
        database,
        "INSERT INTO measurements (vehicle_id, channel_id, time, value)"
        " SELECT %s::uuid, %s, now() - n * interval '1 s', 5 + 4 * sin(n / 100.0)"
        " FROM generate_series(0, 3599) n",
        key, number,
    )  # fmt: skip


def alarm(
    database: Database, vehicle: UUID, number: int, message: str, ago: str, lasted: str | None
) -> None:
    execute(
        database,
        "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, severity, message,"
        " triggered_at, resolved_at) VALUES (%s::uuid, %s, 3, 'high', %s, now() - %s::interval,"
        " now() - %s::interval + %s::interval)",
        str(vehicle), number, message, ago, ago, lasted,
    )  # fmt: skip
