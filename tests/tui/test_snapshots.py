"""Compares every screen, characters and colours, with golden files, at two sizes.

`UPDATE_GOLDEN=1` writes the files in golden/ again.
"""

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg2 import sql
from textual.widgets import Input

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.fleet_checks import Unchecked
from fleetsyncd.demo import embedded
from fleetsyncd.demo.embedded import Server
from fleetsyncd.findings import Finding, fault, ok, warning
from fleetsyncd.settings import DatabaseSettings
from tests.conftest import TEMPLATE
from tests.tui.driving import NOW, Driver, drive
from tests.tui.fixed_fleet import register_fixed_fleet, stop_clock
from tests.tui.picture import picture
from tui.model.messages import Message
from tui.model.sorting import Sort
from tui.room_gateway import RoomGateway
from tui.widgets.fleet_table import FleetTable

SIZES = [(80, 24), (160, 45)]
GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
Script = Callable[[Driver], Awaitable[None]]


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture(scope="module")
def fleet(server: Server) -> Iterator[Database]:
    name = f"fixed_{os.getpid()}"
    server.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
            *map(sql.Identifier, (name, TEMPLATE, embedded.OWNER))
        )
    )
    stop_clock(server, name)
    with closing(Database(DatabaseSettings(server.parameters(name)))) as database:
        database.run(register_fixed_fleet)
        yield database


async def fleet_page(it: Driver) -> None:
    await it.press("down", "space", "space", "S")


async def filtered(it: Driver) -> None:
    await it.press("L", "slash")
    await it.type("#filter", "st:timeout,error lag>5m")


async def nothing_fits(it: Driver) -> None:
    await it.press("slash")
    await it.type("#filter", "zeppelin")
    await it.press("enter")


async def truck(it: Driver) -> None:
    await it.press("slash")
    await it.type("#filter", "Excavator-01")
    await it.press("enter", "enter")
    await it.sees("100% of")


async def alarms(it: Driver) -> None:
    await truck(it)
    await it.press("2")
    await it.sees("oil pressure")


async def channels(it: Driver) -> None:
    await truck(it)
    await it.press("4")
    await it.sees("coolant")


async def plot(it: Driver) -> None:
    await channels(it)
    await it.press("enter")
    await it.sees("a engine speed", "┤")


async def plot_several(it: Driver) -> None:
    await channels(it)
    await it.press("space", "space", "space", "enter", "minus")
    await it.sees("a engine speed", "b coolant", "c fuel", "· 1h ·")
    await it.settled()
    await it.press("left_square_bracket", *["left_curly_bracket"] * 4)


async def plot_gap(it: Driver) -> None:
    await channels(it)
    await it.press("down", "down", "enter", *["minus"] * 2)
    await it.sees("a fuel", "· 6h ·")
    await it.settled()
    await it.press("v")


async def config(it: Driver) -> None:
    await truck(it)
    await it.press("5")
    await it.sees("committed up to")


async def journal(it: Driver) -> None:
    await it.press("l", "exclamation_mark")
    await it.sees("timeout/error · newest page")


async def open_alarms(it: Driver) -> None:
    await it.press("A")
    await it.sees("severity, then newest", "open alarms 1-")


async def details(it: Driver) -> None:
    await it.press("l", "exclamation_mark")
    await it.sees("timeout/error · newest page")
    await it.press("enter")
    await it.sees("Esc or q goes back")


async def daemons(it: Driver) -> None:
    await it.press("D")
    await it.sees("DAEMON")


async def messages(it: Driver) -> None:
    for text, error in (("Truck-07: paused, u undoes", False), ("Truck-09 " + "fails " * 20, True)):
        it.app.messages.add(Message(text, error, NOW))
    await it.press("M")
    await it.sees("Messages")


async def tags(it: Driver) -> None:
    await it.press("number_sign")
    await it.sees("(no tag)")


async def confirm(it: Driver) -> None:
    await it.press("space", "space", "s")
    await it.sees("Sync 2 vehicles?")


async def add(it: Driver) -> None:
    await it.press("a")
    await it.sees("Add a vehicle")
    await it.type("#name", "Truck-99")
    await it.type("#host", "10.8.0.300")


async def edit(it: Driver) -> None:
    await it.press("e")
    await it.sees("Edit")


async def delete(it: Driver) -> None:
    await it.press("space", "space", "ctrl+d")
    await it.sees("Deletes:")


async def backfill(it: Driver) -> None:
    await it.press("b")
    await it.sees("24h: about")


async def audit(it: Driver) -> None:
    await it.press("x")
    await it.sees("24h: about", "store what is missing")


async def helped(it: Driver) -> None:
    await it.press("question_mark")
    await it.sees("Keys")


async def palette(it: Driver) -> None:
    await it.press("ctrl+p", *"tru")
    await it.sees("8 ")


async def quarantine(it: Driver) -> None:
    await it.press("Q")
    await it.sees("4 refused rows of 2 vehicles")


async def refused(it: Driver) -> None:
    await quarantine(it)
    await it.press("enter", "space")
    await it.sees("1 marked", "of 3 rows")


async def backfills(it: Driver) -> None:
    await it.press("B")
    await it.sees("4 open, 2 finished")


class FixedFindings(RoomGateway):
    """What is found does not depend on the server's version or on the day."""

    def __init__(self) -> None:
        """Need no database."""

    def examine(self, **_options: object) -> Iterator[Finding | Unchecked]:
        yield ok("database", "PostgreSQL 18.1")
        yield warning("clock", "is old", "synchronise both by NTP: `timedatectl status` on each")
        yield fault("API keys", "7 vehicle(s) have none of their own, first Truck-01",
                    "set VEHICLE_DEFAULT_API_KEY, or `vehicle set --key-file`")  # fmt: skip


async def findings(it: Driver) -> None:
    gateway = it.app.context.gateway
    real, gateway.rooms = gateway.rooms, FixedFindings()
    await it.press("F")
    await it.sees("1 fault, 1 warning · checked")
    gateway.rooms = real


async def maintenance(it: Driver) -> None:
    await it.press("home", "P")
    await it.sees("until 2026-02-22 20:00:00 UTC")


async def actions(it: Driver) -> None:
    await it.press("W")
    await it.sees("backfill Truck-28 --from 2d")


async def notices(it: Driver) -> None:
    await it.press("T")
    await it.sees("excavators", "1 of 2 targets failing")


async def targets(it: Driver) -> None:
    await notices(it)
    await it.press("exclamation_mark", "exclamation_mark")
    await it.sees("no answer within 30 s")


async def frozen(it: Driver) -> None:
    await it.settled()
    await it.press("Z")


SCREENS: list[Script] = [
    fleet_page, filtered, nothing_fits, truck, alarms, channels, plot, plot_several, plot_gap,
    config, journal, open_alarms, details, daemons, messages, confirm, add, edit, delete, backfill,
    audit, helped, palette, quarantine, refused, backfills, findings, actions, notices, targets,
    maintenance, tags, frozen,
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_screen_equals_its_golden_file(
    fleet: Database, size: tuple[int, int], tmp_path: Path
) -> None:
    changed = []

    async def look(it: Driver) -> None:
        for script in SCREENS:
            await script(it)
            await it.settled()
            name = f"{script.__name__}-{size[0]}x{size[1]}.txt"
            for field in it.app.screen.query(Input):
                field.cursor_blink = False
            await it.pilot.pause()
            shown = picture(it.strips())
            if UPDATE:
                (GOLDEN / name).write_text(shown, encoding="utf-8")
            elif shown != (GOLDEN / name).read_text(encoding="utf-8"):
                (tmp_path / name).write_text(shown, encoding="utf-8")
                changed.append(name)
            await home(it)

    drive(fleet, look, size=size, now=lambda: 0.0)
    assert not changed, f"compare {tmp_path} with {GOLDEN}; UPDATE_GOLDEN=1 updates the files"


async def home(it: Driver) -> None:
    """Close every screen, and reset the fleet page."""
    while it.dialog() != "FleetPage":
        await it.press("escape")
    it.state.frozen_at = None
    view = it.state.view
    view.marked, view.sort, view.descending = set(), Sort.NAME, False
    await it.type("#filter", "")
    it.app.screen.query_one("#filter").display = False
    it.app.screen.query_one(FleetTable).focus()
    view.arrange()
    it.app.screen.query_one(FleetTable).update_view()
    await it.press("home")
