"""Nothing is left in memory of what was closed."""

import gc
import weakref
from collections import Counter

import pytest
from textual._styles_cache import StylesCache
from textual.widget import Widget

from fleetsyncd.database.pool import Database
from tests.tui.driving import Driver, attempts, channel, drive, small_fleet
from tui.screens.fleet import FleetPage

WARM_UP, REPEATS = 2, 5
WAYS = {
    "vehicle": ["enter", "escape"],
    "tabs": ["enter", "2", "3", "4", "5", "escape"],
    "plot": ["enter", "4", "enter", "escape", "escape"],
    "journal": ["l", "escape"],
    "help": ["question_mark", "escape"],
    "filter": ["slash", "x", "escape", "escape"],
    "daemons": ["D", "escape"],
    "add": ["a", "tab", "escape"],
    "edit": ["e", "escape"],
    "backfill": ["b", "escape"],
    "export": ["E", "escape"],
}


def alive() -> Counter[str]:
    """Count the widgets, and what paints them, by class."""
    gc.collect()
    kinds = (Widget, StylesCache)
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))


@pytest.mark.parametrize("way", WAYS)
def test_what_was_opened_and_left_is_gone(database: Database, way: str) -> None:
    ids = small_fleet(database)
    for vehicle in ids.values():
        attempts(database, vehicle, 5)
        channel(database, vehicle, 1, "pressure", "bar")

    async def session(it: Driver) -> None:
        async def go() -> None:
            for key in WAYS[way]:
                await it.press(key)
                await it.settled()
            await it.until(lambda: isinstance(it.app.screen, FleetPage))

        for _ in range(WARM_UP):
            await go()
        before = alive()
        for _ in range(REPEATS):
            await go()
        await it.until(lambda: not alive() - before)

    drive(database, session)


def test_a_page_that_was_left_in_the_middle_of_a_read_is_gone_at_once(database: Database) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        await it.press("enter")
        page = weakref.ref(it.app.screen)
        await it.settled()
        await it.press("escape")
        await it.pilot.pause(0.5)
        gc.collect()
        assert page() is None

    drive(database, session)
