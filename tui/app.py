"""The app of the dashboard: it reads the fleet and carries out the actions of the keys."""

import os
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, ClassVar, TypeVar

from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.drivers.linux_driver import LinuxDriver
from textual.events import AppBlur, AppFocus, CursorPosition, Event, InputEvent, Resize
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import Worker

from fleetsyncd.database.pool import Database
from fleetsyncd.settings import DatabaseSettings, Settings
from fleetsyncd.states import VehicleOverview
from tui import export, keymap
from tui.background import QUERY_SEC, Work
from tui.containment import ContainedApp
from tui.context import ScreenContext
from tui.dialogs.daemons import DaemonsDialog
from tui.dialogs.details import DetailsDialog
from tui.dialogs.help import HelpDialog
from tui.dialogs.too_small import MIN_SIZE, TooSmall
from tui.formatting import DARK_COLOURS, LIGHT_COLOURS
from tui.frame import Frame, FrameUpdate
from tui.gateway import Gateway
from tui.model.columns import WIDE
from tui.model.state import FleetState
from tui.operations import Operations
from tui.poller import Poller
from tui.presence import Presence, is_hung_up, may_answer, watch_terminal
from tui.screens.fleet import FleetPage
from tui.screens.journal import JournalPage
from tui.screens.page import Page
from tui.screens.vehicle import VehiclePage
from tui.toolkit_caches import keep_no_widgets
from tui.widgets.fleet_table import FleetTable
from tui.widgets.row_table import RowTable

T = TypeVar("T")
Operation = Callable[..., Coroutine[None, None, None]]
TICK_SEC = 1.0
CONNECT_SEC = "3"
"""A timeout for libpq, which takes it as text."""
WRITING_ACTIONS = frozenset({"sync", "pause", "backfill", "add", "edit", "delete", "test"})
TARGET_ACTIONS = WRITING_ACTIONS - {"add"}
"""Actions on the marked vehicles or on the one under the cursor."""


class FleetApp(ContainedApp):
    """The dashboard over one fleet."""

    CSS_PATH = "app.tcss"
    TITLE = "fleetsyncd"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  as Textual has it
    BINDINGS: ClassVar[list[BindingType]] = keymap.APP_BINDINGS

    def __init__(self, context: ScreenContext) -> None:
        super().__init__()
        self.context = context
        self.poller = Poller(context, lambda: self.page, self.refresh_bindings, self.contain)
        self._operations = Operations(self, context)
        self._presence = Presence()
        self._frame = Frame()
        keep_no_widgets()
        self.ansi_theme_dark, self.ansi_theme_light = DARK_COLOURS, LIGHT_COLOURS
        self.set_class(self.console.color_system == "standard", "-few-colours")
        if "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"

    def on_mount(self) -> None:
        """Open the fleet page, and start the poller."""
        self.contain_tasks()
        self.push_screen(FleetPage(self.context))
        if self._driver is not None and not self.is_headless:
            attributes = getattr(self._driver, "attrs_before", None)
            self._presence = watch_terminal(self, self._driver.write, attributes)
        self.set_interval(TICK_SEC, self._tick)
        self.run_worker(self.poller.run(), group="poller", exit_on_error=False)

    async def on_event(self, event: Event) -> None:
        """Note that the terminal is still there, and whether it may show something else."""
        if isinstance(event, (Resize, LinuxDriver.SignalResume)):
            self._frame.forget()
        if isinstance(event, (InputEvent, CursorPosition, AppFocus, AppBlur)):
            self._presence.heard(answer=may_answer(event))
        await super().on_event(event)

    def secrets(self) -> Iterable[str]:
        """Return the passwords and keys that are configured or being typed."""
        yield from self.context.secrets
        for screen in self.screen_stack:
            yield from (field.value for field in screen.query(Input) if field.password)

    def _display(self, screen: Screen[Any], renderable: object) -> None:
        """Send of an update what the terminal does not show yet."""
        sent: Any = renderable
        if isinstance(renderable, CompositorUpdate) and self._running and not self._batch_count:
            text = self._frame.render(renderable, self.console)
            sent = FrameUpdate(text) if text or self._cursor_moved() else None
        super()._display(screen, sent)

    def _cursor_moved(self) -> bool:
        return self.screen.outer_size.clamp_offset(self.cursor_position) != (
            self._previous_cursor_position
        )

    def panic(self, *renderables: RenderableType) -> None:
        """End, as keys can be read no longer; with a line, if somebody is there to read it."""
        if is_hung_up():
            self.exit()
        else:
            super().panic(*renderables)

    def lowest_page(self) -> Page | None:
        """Return the fleet page: without it nothing can be shown."""
        return next((s for s in self.screen_stack if isinstance(s, Page)), None)

    @property
    def page(self) -> Page | None:
        """The topmost page, which a dialog may cover."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, Page)), None)

    def _tick(self) -> None:
        page = self.page
        if page is not None:
            page.tick()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the writing keys in read-only mode; disable them while the database is lost.

        Before the page is laid out, no key does anything but leave it.
        """
        if not self.screen.is_mounted and action not in ("quit", "back"):
            return None
        if action in WRITING_ACTIONS:
            if self.context.state.read_only:
                return False
            pages = (FleetPage, VehiclePage) if action in TARGET_ACTIONS else FleetPage
            # The topmost page, not the screen: the palette above a page offers its actions.
            if not isinstance(self.page, pages):
                return False
            return None if self.context.state.lost else True
        return super().check_action(action, parameters)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the palette's commands: every key's action, and Textual's own commands."""
        for active in screen.active_bindings.values():
            binding = active.binding
            if active.enabled and binding.description and binding.id:
                help_text = f"{binding.tooltip or binding.description}  [{binding.key}]"
                action = binding.action
                yield SystemCommand(
                    binding.description,
                    help_text.replace("[", "(").replace("]", ")"),
                    lambda action=action, node=active.node: self.run_later(action, node),
                )
        for command in super().get_system_commands(screen):
            if command.title not in ("Quit", "Keys"):
                yield command

    def run_later(self, action: str, node: Any) -> None:
        """Run an action once the palette is closed."""
        self.call_later(self.run_action, action, node)

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
        self.push_screen(VehiclePage(self.context, event.vehicle_id))

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
            self.contain(error)

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
        """Read the fleet at once, and repaint the terminal: others may have written to it."""
        self._frame.forget()
        self.screen.refresh()
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
    gateway = Gateway(database, settings.sync_interval_sec, settings.measurements_keep_months)
    state = FleetState(gateway.where, read_only=read_only)
    secrets = (settings.database.parameters.get("password"), settings.vehicle_default_api_key)
    return FleetApp(ScreenContext(gateway, state, secrets=tuple(filter(None, secrets))))
