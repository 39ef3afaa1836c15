"""What a page has asked for may come when it was left: then it is for nobody."""

from pathlib import Path

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.findings import ok
from tests.tui.driving import Driver, drive, small_fleet
from tests.tui.terminal import locked, terminal
from tui.screens.findings import FindingsPage
from tui.screens.room import Room
from tui.widgets.panes.alarms import AlarmsPane
from tui.widgets.panes.channels import ChannelsPane
from tui.widgets.panes.config import ConfigPane
from tui.widgets.panes.history import HistoryPane
from tui.widgets.panes.journal import JournalPane
from tui.widgets.panes.pane import Pane


def test_a_finding_that_comes_after_q_is_no_internal_error(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    small_fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-01")
        with locked(server, database_name, "public.vehicles"):
            it.type("F")
            it.sees("checking")
            it.type("q")
            it.read_for(1)
        it.read_for(3)
        assert b"internal error" not in it.shown


@pytest.mark.parametrize("pane", [HistoryPane, ChannelsPane, JournalPane, AlarmsPane, ConfigPane])
def test_a_pane_whose_page_was_left_before_it_was_there_asks_for_nothing(
    database: Database, pane: type[Pane]
) -> None:
    ids = small_fleet(database)

    async def look(it: Driver) -> None:
        pane(it.app.context, ids["Truck-01"], id="alone").refresh_data()

    drive(database, look)


@pytest.mark.parametrize("key", ["F", "Q", "B"])
def test_rows_for_a_page_that_was_left_are_dropped(database: Database, key: str) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        await it.press(key)
        await it.settled()
        page = it.app.screen
        assert isinstance(page, Room)
        await it.press("escape")
        await it.until(lambda: it.dialog() == "FleetPage")
        await it.until(lambda: not page.is_attached)
        await page.load()
        if isinstance(page, FindingsPage):
            lines = list(page.lines)
            page._add_line(page._round, ok("late", "is well"))
            assert page.lines == lines

    drive(database, look, size=(120, 40))
