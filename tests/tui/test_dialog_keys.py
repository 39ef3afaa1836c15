"""Every dialog and page is closed by Esc and q, and says so; in a text field q is a letter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Input

from fleetsyncd.database.pool import Database
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.estimates import Count, PullRate, RowCounts
from tests.tui.driving import Driver, drive, small_fleet
from tui.app import FleetApp
from tui.dialogs.audit import AuditForm
from tui.dialogs.backfill import BackfillForm
from tui.dialogs.confirm import Confirm
from tui.dialogs.daemons import DaemonsDialog
from tui.dialogs.deletion import DeleteForm
from tui.dialogs.details import DetailsDialog
from tui.dialogs.dialog import Dialog
from tui.dialogs.export import ExportForm
from tui.dialogs.help import HelpDialog
from tui.dialogs.interval import IntervalForm, Work
from tui.dialogs.messages import MessagesDialog
from tui.dialogs.palette import Palette
from tui.dialogs.probe import ProbeDialog
from tui.dialogs.too_small import TooSmall
from tui.dialogs.vehicle import VehicleForm
from tui.model.palette import Catalogue
from tui.screens.fleet import FleetPage
from tui.screens.page import Page

TRUCK = RegisteredVehicle(uuid4(), "Truck-01", "10.8.0.1", 8001, None)
WORK = Work(1, PullRate(0, 0), is_running=True)
OPEN: dict[str, Callable[[FleetApp], Screen[Any]]] = {
    "audit": lambda app: AuditForm(app.context, "Truck-01", WORK, notice="paused"),
    "backfill": lambda app: BackfillForm(app.context, "Truck-01", WORK, notice="paused"),
    "confirm": lambda _: Confirm("Pause?", "Truck-01", "Pause"),
    "unexpected": lambda _: Confirm("Resume?", "", "Resume", unexpected=True),
    "daemons": lambda app: DaemonsDialog(app.context),
    "details": lambda _: DetailsDialog([("error", "/status: HTTP 401")]),
    "export": lambda _: ExportForm("Export", Path("/tmp/fleet.csv")),
    "help": lambda app: HelpDialog(list(app.screen.active_bindings.values())),
    "messages": lambda app: MessagesDialog(app.messages),
    "probe": lambda app: ProbeDialog(app.context.state.view.targets(None, ())),
    "palette": lambda _: Palette(Catalogue([], [])),
    "add": lambda _: VehicleForm("Add", "Add", None, lambda _change: lambda: None),
    "delete": lambda _: DeleteForm([TRUCK], RowCounts(1, 1, 1, Count(1))),
}


def classes(base: type[Any]) -> list[type[Any]]:
    """Return all classes of the dashboard that are derived from this one."""
    found = [each for child in base.__subclasses__() for each in (child, *classes(child))]
    return [each for each in dict.fromkeys(found) if each.__module__.startswith("tui.")]


def keys(screen: type[Any]) -> set[str]:
    return set(screen._merge_bindings().key_to_bindings)


def test_every_dialog_and_page_has_keys_that_close_it() -> None:
    dialogs = set(classes(ModalScreen)) - {
        TooSmall,
        Dialog,
        IntervalForm,
    }  # nothing is behind one too small
    assert len(dialogs) > 9
    for dialog in dialogs:
        assert {"escape", "q"} <= keys(dialog), dialog
    for page in set(classes(Page)) - {FleetPage}:
        assert "escape" in keys(page), page
        assert "q" in keys(page) | keys(FleetApp), page


@pytest.mark.parametrize("kind", sorted(set(OPEN) - {"palette"}))  # its field keeps the focus
def test_escape_and_q_close_a_dialog_which_says_so(database: Database, kind: str) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        for key in ("escape", "q"):
            it.app.push_screen(OPEN[kind](it.app))
            await it.until(lambda: isinstance(it.app.screen, ModalScreen))
            await it.sees("Esc")
            if buttons := it.app.screen.query(Button):
                buttons.last().focus()
                await it.pilot.pause()
            await it.press(key)
            assert it.dialog() == "FleetPage", key

    drive(database, look, size=(100, 70))


def test_how_a_dialog_is_closed_is_in_sight_though_it_is_longer_than_the_screen(
    database: Database,
) -> None:
    small_fleet(database)
    many = [(f"field {number}", "text") for number in range(60)]

    async def look(it: Driver) -> None:
        for dialog in (OPEN["help"](it.app), DetailsDialog(many)):
            it.app.push_screen(dialog)
            await it.until(lambda: isinstance(it.app.screen, ModalScreen))
            await it.sees("Esc or q goes back")
            await it.press("end")
            await it.sees("Esc or q goes back")
            await it.press("q")

    drive(database, look)


@pytest.mark.parametrize("kind", ["audit", "backfill", "export", "add", "delete", "palette"])
def test_q_is_a_letter_in_every_text_field(database: Database, kind: str) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        it.app.push_screen(OPEN[kind](it.app))
        await it.until(lambda: bool(it.app.screen.query(Input)))
        for field in it.app.screen.query(Input):
            field.focus()
            await it.pilot.pause()
            await it.press("end", "q")
            assert field.value.endswith("q")
        assert isinstance(it.app.screen, ModalScreen)

    drive(database, look)
