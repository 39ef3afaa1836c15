"""However pages are opened, one of each kind is open, and going back has an end."""

import gc
import weakref

import pytest

from fleetsyncd.database.pool import Database
from tests.tui.driving import Driver, channel, drive, small_fleet
from tests.tui.test_backfills_page import three_backfills
from tui.screens.backfills import BackfillsPage

PAGES = {
    "l": "JournalPage",
    "number_sign": "TagsPage",
    "A": "AlarmsPage",
    "Q": "QuarantinePage",
    "B": "BackfillsPage",
    "F": "FindingsPage",
    "W": "ActionsPage",
    "T": "NoticesPage",
}


def stack(it: Driver) -> list[str]:
    return [type(screen).__name__ for screen in it.app.screen_stack[1:]]


@pytest.mark.parametrize("key", PAGES)
def test_a_page_that_is_open_below_is_gone_back_to(database: Database, key: str) -> None:
    small_fleet(database)
    other = next(each for each in PAGES if each != key)

    async def look(it: Driver) -> None:
        await it.press(key)
        page = it.app.screen
        await it.press(other, key, key)
        assert it.app.screen is page
        assert stack(it) == ["FleetPage", PAGES[key]]

    drive(database, look)


def test_all_pages_in_turn_are_open_once_each(database: Database) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press(*PAGES)
        assert stack(it) == ["FleetPage", *PAGES.values()]
        await it.press(*PAGES, *PAGES)
        assert len(stack(it)) <= len(PAGES) + 1
        await it.press(*["escape"] * len(PAGES))
        assert it.dialog() == "FleetPage"

    drive(database, look)


def test_vehicles_that_are_opened_from_lists_in_turn_do_not_pile_up(database: Database) -> None:
    three_backfills(database)
    gc.disable()  # the dashboard itself is to collect what was closed

    async def look(it: Driver) -> None:
        await it.press("enter")
        first = weakref.ref(it.app.screen)
        await it.press("B")
        await it.until(lambda: bool(it.app.screen.query_one("KeyedTable").keys))  # type: ignore[attr-defined]  # of a KeyedTable
        await it.press("enter")
        await it.until(lambda: it.dialog() == "VehiclePage")
        assert it.app.screen is not first()
        assert stack(it) == ["FleetPage", "BackfillsPage", "VehiclePage"]
        await it.settled()
        await it.until(lambda: first() is None)
        await it.press("escape")
        assert isinstance(it.app.screen, BackfillsPage)
        await it.press("escape")
        assert it.dialog() == "FleetPage"

    try:
        drive(database, look)
    finally:
        gc.enable()


def test_what_is_painted_above_a_page_does_not_keep_it_once_it_was_left(
    database: Database,
) -> None:
    three_backfills(database)

    async def look(it: Driver) -> None:
        await it.press("enter")
        first = weakref.ref(it.app.screen)
        await it.press("B")
        await it.until(lambda: bool(it.app.screen.query_one("KeyedTable").keys))  # type: ignore[attr-defined]  # of a KeyedTable
        # As the context of a task that is started while this page is painted.
        held = it.app._background_screens
        assert [type(each).__name__ for each in held] == ["VehiclePage"]
        await it.press("enter")
        await it.until(lambda: it.dialog() == "VehiclePage")
        await it.until(lambda: first() is None)
        assert held == []

    drive(database, look)


def test_a_vehicle_and_its_plot_do_not_pile_up(database: Database) -> None:
    ids = small_fleet(database)
    channel(database, ids["Crane-02"], 1, "pressure")

    async def look(it: Driver) -> None:
        for _ in range(2):
            it.app.open_vehicle(ids["Crane-02"])
            await it.press("4")
            await it.sees("pressure")
            await it.press("enter")
            await it.until(lambda: it.dialog() == "PlotPage")
        assert stack(it) == ["FleetPage", "VehiclePage", "PlotPage"]

    drive(database, look)
