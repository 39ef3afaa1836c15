"""An empty list tells whether it is being read, has nothing to show, or could not be read."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseError
from tests.tui.driving import Driver, alarm, attempts, channel, drive, execute, small_fleet
from tests.tui.test_backfills_page import request
from tui.gateway import Gateway
from tui.room_gateway import RoomGateway

REFUSED = "permission denied for table of_it"
LISTS = pytest.mark.parametrize(
    ("keys", "call", "empty"),
    [
        (["l"], "journal", "no attempt in the journal: none yet, or all are older than"),
        (["A"], "fleet_alarms", "No vehicle has an open alarm"),
        (["enter"], "journal", "no attempt in the journal: none yet, or all are older than"),
        (["enter"], "history", "no attempts"),
        (["enter"], "alarms", "no alarm of this vehicle is stored"),
        (["enter", "2"], "alarms", "no alarm of this vehicle is stored"),
        (["enter", "3"], "journal", "no attempt in the journal: none yet, or all are older than"),
        (["enter", "4"], "channels", "no channel: the vehicle has not told any yet"),
        (["enter", "5"], "vehicle_details", "committed up to"),
    ],
    ids=["journal page", "open alarms", "history's attempts", "curves", "alarms beside", "alarms",
         "attempts", "channels", "config"],
)  # fmt: skip


@LISTS
def test_a_list_says_that_it_is_being_read_and_then_why_it_is_empty(
    database: Database, keys: list[str], call: str, empty: str
) -> None:
    small_fleet(database)
    gateway, answer = Gateway(database, 30), threading.Event()
    replace(gateway, call, lambda: answer.wait(60))

    async def look(it: Driver) -> None:
        await it.press(*keys)
        await it.sees("reading …")
        assert empty not in it.screen()
        answer.set()
        await it.sees(empty)
        await it.sees_no("reading …")

    try:
        drive(gateway, look, size=(140, 30))
    finally:
        answer.set()


@LISTS
def test_a_list_that_could_not_be_read_says_why(
    database: Database, keys: list[str], call: str, empty: str
) -> None:
    small_fleet(database)
    gateway = Gateway(database, 30)

    def refuse() -> None:
        raise DatabaseError(REFUSED)

    replace(gateway, call, refuse)

    async def look(it: Driver) -> None:
        await it.press(*keys)
        await it.sees(f"not read: {REFUSED}")
        assert empty not in it.screen()
        assert "reading …" not in it.screen()

    drive(gateway, look, size=(140, 30))


def replace(gateway: Gateway | RoomGateway, call: str, before: Callable[[], object]) -> None:
    """Do something before every such call of the gateway."""
    real = getattr(gateway, call)

    def called(*arguments: Any, **named: Any) -> Any:
        before()
        return real(*arguments, **named)

    setattr(gateway, call, called)


def test_a_filtered_journal_without_rows_says_that_none_is_like_this(database: Database) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 3)

    async def look(it: Driver) -> None:
        await it.press("l")
        await it.sees("STARTED UTC", "Truck-01")
        await it.press("exclamation_mark")
        await it.sees("no attempt like this in the journal")

    drive(database, look)


def test_the_daemons_list_tells_reading_from_none(database: Database) -> None:
    small_fleet(database)
    execute(database, "DELETE FROM fleetsync.replica")

    async def look(it: Driver) -> None:
        snapshot, it.state.snapshot = it.state.snapshot, None
        await it.press("D")
        await it.sees("reading …")
        it.state.snapshot = snapshot
        await it.sees("no daemon has sent a heartbeat for a day: start one")

    drive(database, look)


@pytest.mark.parametrize(
    ("keys", "call", "row", "question"),
    [
        (["A"], "fleet_alarms", "engine hot", ["exclamation_mark"]),
        (["A"], "fleet_alarms", "engine hot", ["S"]),
        (["A"], "fleet_alarms", "engine hot", ["slash", "t"]),
        (["l"], "journal", "540", ["exclamation_mark"]),
        (["l"], "journal", "540", ["slash", "t"]),
        (["B"], "jobs", "Truck-01", ["slash", "t"]),
        (["enter", "4"], "channels", "oil pressure", ["slash", "o"]),
    ],
    ids=["severity", "order", "alarms' filter", "result", "journal's filter", "room", "channels"],
)
def test_rows_of_another_question_do_not_stand_under_one_that_could_not_be_read(
    database: Database, keys: list[str], call: str, row: str, question: list[str]
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 3)
    alarm(database, ids["Truck-01"], 1, "engine hot", "3 h", None)
    channel(database, ids["Truck-01"], 3, "oil pressure", "bar")
    request(database, ids["Truck-01"])
    gateway, refused = Gateway(database, 30), threading.Event()

    def refuse() -> None:
        if refused.is_set():
            raise DatabaseError(REFUSED)

    replace(gateway.rooms if keys == ["B"] else gateway, call, refuse)

    async def look(it: Driver) -> None:
        await it.press("end", *keys)
        await it.sees(row)
        refused.set()
        await it.press(*question)
        await it.sees(REFUSED)
        await it.sees_no(row)
        refused.clear()
        await it.refresh()
        await it.sees_no(REFUSED)

    drive(gateway, look, size=(120, 30))
