"""The app of the dashboard: it reads the fleet and carries out the actions of the keys."""

import os
from functools import partial
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from textual.binding import BindingType
from textual.events import AppBlur, AppFocus, CursorPosition, Event, InputEvent, Resize
from textual.screen import Screen
from textual.worker import Worker

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.fleet_checks import expected
from fleetsyncd.settings import DatabaseSettings, Settings
from fleetsyncd.states import VehicleOverview
from tui import export, keymap, screenshot
from tui.background import QUERY_SEC, Work, internal_error
from tui.choices import choices
from tui.context import ScreenContext
from tui.dialogs.daemons import DaemonsDialog
from tui.dialogs.details import DetailsDialog
from tui.dialogs.help import HelpDialog
from tui.dialogs.palette import Palette
from tui.dialogs.too_small import MIN_SIZE, TooSmall
from tui.formatting import DARK_COLOURS, LIGHT_COLOURS
from tui.gateway import Gateway
from tui.model.columns import WIDE
from tui.model.palette import Catalogue, Choice, Name
from tui.model.state import FleetState
from tui.operations import Operations
from tui.poller import Poller
from tui.presence import Presence, may_answer, watch_terminal
from tui.rooms import Operation, RoomOperations, RoomsApp
from tui.screens.fleet import FleetPage
from tui.screens.journal import JournalPage
from tui.screens.page import Page
from tui.screens.vehicle import VehiclePage
from tui.widgets.fleet_table import FleetTable
from tui.widgets.row_table import RowTable

T = TypeVar("T")
TICK_SEC = 1.0
RECENT = 20
"""Choices of the palette that are remembered."""
CONNECT_SEC = "3"
"""A timeout for libpq, which takes it as text."""
WRITING_ACTIONS = frozenset({"sync", "pause", "backfill", "add", "edit", "delete", "test"})
TARGET_ACTIONS = WRITING_ACTIONS - {"add"}
"""Actions on the marked vehicles or on the one under the cursor."""


def is_offered(action: str, page: type) -> bool:
    """Tell whether a page has the targets that an action needs."""
    pages = (FleetPage, VehiclePage) if action in TARGET_ACTIONS else FleetPage
    return action not in WRITING_ACTIONS or issubclass(page, pages)


class FleetApp(RoomsApp):
    """The dashboard over one fleet."""

    CSS_PATH = "app.tcss"
    TITLE = "fleetsyncd"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  as Textual has it
    BINDINGS: ClassVar[list[BindingType]] = keymap.APP_BINDINGS
    ENABLE_COMMAND_PALETTE = False
    """The palette is the app's own: Textual's searches in the background, and asks too late."""

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self.context = context
        self.poller = Poller(context, lambda: self.page, self.refresh_bindings)
        self._operations = Operations(self, context)
        self.rooms = RoomOperations(self, context)
        self._presence = Presence()
        self.remarks: list[str] = []
        """What is told when the dashboard has opened."""
        self._recent: list[Name] = []
        """The names of what was chosen in the palette, the newest first."""
        self.ansi_theme_dark, self.ansi_theme_light = DARK_COLOURS, LIGHT_COLOURS
        self.set_class(self.console.color_system == "standard", "-few-colours")
        if "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"

    def on_mount(self) -> None:
        """Open the fleet page, and start the poller."""
        self.push_screen(FleetPage(self.context))
        for remark in self.remarks:
            self.say(remark, error=True)
        if self._driver is not None and not self.is_headless:
            self._presence = watch_terminal(self, self._driver.write)
        self.set_interval(TICK_SEC, self._tick)
        self.run_worker(self.poller.run(), group="poller", exit_on_error=False)

    async def on_event(self, event: Event) -> None:
        """Note that the terminal is still there."""
        if isinstance(event, (InputEvent, CursorPosition, AppFocus, AppBlur)):
            self._presence.heard(answer=may_answer(event))
        await super().on_event(event)

    @property
    def page(self) -> Page | None:
        """The topmost page, which a dialog may cover."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, Page)), None)

    def _tick(self) -> None:
        page = self.page
        if page is not None and page.is_mounted:
            page.tick()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the writing keys in read-only mode; disable them while the database is lost."""
        if action in WRITING_ACTIONS:
            if self.context.state.read_only:
                return False
            # The topmost page, not the screen: the palette above a page offers its actions.
            if not is_offered(action, type(self.page)):
                return False
            return None if self.context.state.lost else True
        if action == "palette" and not isinstance(self.screen, Page):
            return False
        return super().check_action(action, parameters)

    async def action_palette(self) -> None:
        """Offer everything that can be done here; what was chosen runs once the palette is left."""
        offered = choices(self, self.context, self.open_vehicle, self.action_screenshot)
        # Awaited, so that the next key finds it mounted.
        await self.push_screen(Palette(Catalogue(offered, self._recent)), self._run_choice)

    def _run_choice(self, choice: Choice | None) -> None:
        if choice is not None:
            self._recent = [choice.name, *(n for n in self._recent if n != choice.name)][:RECENT]
            self.call_later(choice.run)

    def open_vehicle(self, vehicle_id: UUID) -> None:
        """Open the page of a vehicle."""
        self.push_screen(VehiclePage(self.context, vehicle_id))

    def action_screenshot(self, _filename: str | None = None, _path: str | None = None) -> None:
        """Write a picture of the screen to a file."""
        self._operate(screenshot.save, self, self.context, self.export_screenshot())

    async def ask(self, dialog: Screen[T]) -> T | None:
        """Open a dialog and return its answer; None if it was cancelled."""
        return await self.push_screen_wait(dialog)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a notification for some seconds; its text is never parsed as markup."""
        self.notify(text, severity="error" if error else "information", markup=False)

    def on_resize(self, event: Resize) -> None:
        """Cover everything while the terminal is too small."""
        too_small = event.size.width < MIN_SIZE.width or event.size.height < MIN_SIZE.height
        if too_small and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall())
        elif not too_small and isinstance(self.screen, TooSmall):
            self.pop_screen()
        self.poller.wake()

    def on_fleet_table_opened(self, event: FleetTable.Opened) -> None:
        """Open the page of a vehicle."""
        self.open_vehicle(event.vehicle_id)

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """Show one row in full."""
        self.push_screen(DetailsDialog(event.fields))

    def _targets(self) -> list[VehicleOverview]:
        return self.screen.targets() if isinstance(self.screen, Page) else []

    def _operate(self, operation: Operation, *arguments: Any) -> None:
        work: Work = partial(self._run_operation, operation, *arguments)
        _: Worker[None] = self.run_worker(work, group="operation", exit_on_error=False)

    async def _run_operation(self, operation: Operation, *arguments: Any) -> None:
        """Run an operation; show an unexpected error, and keep the app running."""
        try:
            await operation(*arguments)
        except Exception as error:
            self.log.error(error)  # noqa: TRY400  Textual's own log, which has no exception()
            self.say(internal_error(error), error=True)

    def action_sync(self) -> None:
        """Request a sync of the targets."""
        self._operate(self._operations.sync, self._targets())

    def action_pause(self) -> None:
        """Pause the targets, or resume them if all are paused."""
        self._operate(self._operations.pause, self._targets())

    def action_backfill(self) -> None:
        """Request a backfill of the targets, or cancel it."""
        self._operate(self._operations.backfill, self._targets())

    def action_add(self) -> None:
        """Register a vehicle."""
        self._operate(self._operations.add)

    def action_edit(self) -> None:
        """Change the registration of the targets."""
        self._operate(self._operations.edit, self._targets())

    def action_delete(self) -> None:
        """Remove the targets."""
        self._operate(self._operations.delete, self._targets())

    def action_test(self) -> None:
        """Test the targets' four calls."""
        self._operate(self._operations.test, self._targets())

    def action_journal(self) -> None:
        """Open the journal page."""
        if not isinstance(self.screen, JournalPage):
            self.push_screen(JournalPage(self.context))

    def action_daemons(self) -> None:
        """Show the daemons that pull the fleet."""
        self.push_screen(DaemonsDialog(self.context))

    def action_copy(self) -> None:
        """Copy the page's text to the clipboard of the operator's terminal."""
        text = self.screen.copy_text() if isinstance(self.screen, Page) else ""
        if text:
            self.copy_to_clipboard(text)
            self.say(f"copied {text.count(chr(10)) + 1} line(s)")

    def action_export(self) -> None:
        """Write the page's table to a CSV file."""
        table = self.screen.export_table() if isinstance(self.screen, Page) else None
        if table is not None:
            self._operate(export.export, self, self.context, table)

    def action_freeze(self) -> None:
        """Stop updating the screen, or resume."""
        state = self.context.state
        state.frozen_at = self.context.wall() if state.frozen_at is None else None
        self._tick()
        self.poller.wake()

    def reload(self) -> None:
        """Read the fleet at once."""
        self.poller.wake()

    def action_refresh(self) -> None:
        """Read the fleet at once."""
        self.reload()

    def action_interval(self, step: int) -> None:
        """Read the fleet less often (1) or more often (-1)."""
        self.say(f"reading every {self.poller.change_interval(step):g} s")

    def action_help(self) -> None:
        """Show the keys of the topmost screen."""
        self.push_screen(HelpDialog(list(self.screen.active_bindings.values())))

    async def action_back(self) -> None:
        """Go back; on the fleet page, quit."""
        if isinstance(self.screen, FleetPage):
            self.exit()
        else:
            self.pop_screen()


def build(settings: Settings, *, read_only: bool = False) -> FleetApp:
    """Return the dashboard over the database of the daemon's settings."""
    parameters = {"connect_timeout": CONNECT_SEC, **settings.database.parameters}
    database = Database(
        DatabaseSettings(parameters), application="fleetsync-tui", statement_sec=QUERY_SEC
    )
    gateway = Gateway(
        database,
        settings.sync_interval_sec,
        settings.measurements_keep_months,
        expected(settings),
    )
    return FleetApp(ScreenContext(gateway, FleetState(gateway.where, read_only=read_only)))
