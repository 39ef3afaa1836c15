"""Nothing is left in memory of what was closed."""

import gc
import inspect
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from rich.cells import cached_cell_len, cell_len
from rich.segment import Segment
from rich.style import Style
from textual._styles_cache import StylesCache
from textual.dom import DOMNode
from textual.geometry import Region
from textual.widget import Widget

from fleetsyncd.database.pool import Database
from tests.tui.driving import Driver, attempts, channel, drive, small_fleet
from tui.app import TICK_SEC
from tui.screens.fleet import FleetPage
from tui.toolkit_caches import GROWING, KEEPING_WIDGETS, LARGEST
from tui.widgets.row_table import RowTable

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
    "audit": ["x", "escape"],
    "export": ["E", "escape"],
    "delete": ["ctrl+d", "escape"],
    "test": ["t", "escape"],
    "columns": ["c", "escape"],
    "messages": ["M", "escape"],
    "palette": ["ctrl+p", "j", "escape"],
    "tags": ["number_sign", "escape"],
    "alarms": ["A", "escape"],
    "quarantine": ["Q", "escape"],
    "backfills": ["B", "escape"],
    "findings": ["F", "escape"],
    "actions": ["W", "escape"],
    "notices": ["T", "escape"],
}
WALKS, LARGEST_GROWTH = 3, 4000
"""An opened page is 5,000 blocks of memory and more."""
SMALL_ALTHOUGH_ALLOWED_MORE = {"Style.parse", "Color.parse"}
"""Caches whose keys are written in the program."""


def toolkit_caches() -> list[Any]:
    """Return the caches of Textual, of Rich, and of the dashboard itself."""
    kind, packages = type(cached_cell_len), ("rich", "textual", "tui")
    found = (each for each in gc.get_objects() if isinstance(each, kind))
    return [each for each in found if each.__module__.partition(".")[0] in packages]


def subclasses(kind: type) -> set[type]:
    """Return a class with all of its subclasses that are known."""
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def too_large() -> list[Any]:
    """Return the caches that the tick has to empty; other tests may have filled others."""
    return [each for each in GROWING if each.cache_info().currsize > LARGEST]


def alive() -> Counter[str]:
    """Count the widgets, and what paints them, by class."""
    gc.collect()
    kinds = (Widget, StylesCache)
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))


async def settled_count(it: Driver) -> Counter[str]:
    """Count when nothing is made or collected any more; a footer makes its keys anew at times."""
    before = alive()
    while True:
        await it.pilot.pause(0.2)
        if (after := alive()) == before:
            return after
        before = after


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
        before = await settled_count(it)
        for _ in range(REPEATS):
            await go()
        try:
            await it.until(lambda: not alive() - before)
        except AssertionError as error:
            raise AssertionError(f"still alive: {alive() - before}") from error

    drive(database, session)


def test_keys_at_random_leave_no_more_memory_taken_than_the_same_keys_before(
    database: Database,
) -> None:
    ids = small_fleet(database)
    for vehicle in ids.values():
        attempts(database, vehicle, 5)
        channel(database, vehicle, 1, "pressure", "bar")
    dice = Random(5)  # noqa: S311  keys, no secrets
    keys = [key for way in dice.sample(sorted(WAYS.keys() - {"test"}), 12) for key in WAYS[way]]

    async def session(it: Driver) -> None:
        async def walk() -> int:
            for key in keys:
                await it.press(key)
                await it.settled()
            await it.until(lambda: isinstance(it.app.screen, FleetPage))
            await it.pilot.pause(0.2)
            gc.collect()
            return sys.getallocatedblocks()

        for _ in range(WARM_UP):
            before = await walk()
        after = [await walk() for _ in range(WALKS)]
        assert min(after) < before + LARGEST_GROWTH, (before, after)

    drive(database, session)


def test_a_page_that_was_left_in_the_middle_of_a_read_is_gone_at_once(database: Database) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        await it.press("enter")
        page = weakref.ref(it.app.screen)
        await it.settled()
        await it.press("escape")
        for _ in range(50):  # half of QUERY_SEC at the most
            await it.pilot.pause(0.1)
            gc.collect()
            if page() is None:
                return
        raise AssertionError(page())

    drive(database, session)


def test_a_page_that_was_left_is_collected_at_the_next_tick(database: Database) -> None:
    small_fleet(database)

    async def session(it: Driver) -> None:
        gc.disable()
        try:
            await it.press("enter")
            await it.settled()
            page = weakref.ref(it.app.screen)
            await it.press("escape")
            await it.until(lambda: page() is None)
        finally:
            gc.enable()

    drive(database, session)


def test_caches_that_were_filled_by_what_was_shown_are_emptied_at_the_next_tick(
    database: Database,
) -> None:
    small_fleet(database)
    fillings: list[Callable[[int], object]] = [
        lambda n: cell_len(f"truck {n} …"),
        lambda n: Segment(f"truck {n} …").split_cells(5),
        lambda n: Style(color=f"color({n % 200})") + Style(meta={"row": n}),
        lambda n: Region(n, 0, 80, 24).grow((1, 1, 1, 1)),
        lambda n: Region(n, 0, 80, 24).intersection(Region(0, 0, 80, 24)),
    ]

    async def session(it: Driver) -> None:
        for fill in fillings:
            for n in range(2 * LARGEST):
                fill(n)
        assert len(too_large()) >= len(fillings)
        await it.pilot.pause(1.5 * TICK_SEC)
        await it.until(lambda: not too_large())

    drive(database, session)


def test_every_cache_of_the_toolkit_whose_keys_are_widgets_is_emptied() -> None:
    names = {
        f"{cache.__module__}.{cache.__qualname__}"
        for cache in toolkit_caches()
        if "self" in inspect.signature(cache).parameters
    }
    methods = {
        f"{kind.__module__}.{kind.__qualname__}.{name}"
        for kind in subclasses(DOMNode)
        for name in vars(kind)
    }
    emptied = {f"{cache.__module__}.{cache.__qualname__}" for cache in KEEPING_WIDGETS}
    assert emptied <= names
    assert names & methods == emptied


def test_a_table_that_was_left_is_kept_by_no_cache(database: Database) -> None:
    vehicle = next(iter(small_fleet(database).values()))
    channel(database, vehicle, 1, "pressure", "bar")

    async def session(it: Driver) -> None:
        await it.press("enter")
        await it.settled()
        shown = it.app.screen.query_one(RowTable)
        shown._get_styles_to_render_cell(*[False] * 8, True)
        table = weakref.ref(shown)
        del shown
        await it.press("escape")
        await it.until(lambda: table() is None)

    drive(database, session)


def test_every_cache_of_the_toolkit_that_may_become_large_is_emptied() -> None:
    emptied = {cache.__qualname__ for cache in GROWING}
    large = {
        cache.__qualname__
        for cache in toolkit_caches()
        if (cache.cache_info().maxsize or 0) > 2 * LARGEST
    }
    assert large - emptied <= SMALL_ALTHOUGH_ALLOWED_MORE
