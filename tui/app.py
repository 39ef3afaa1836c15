"""The app of the dashboard: it reads the fleet and carries out the actions of the keys."""

import asyncio
import gc
import os
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.drivers.linux_driver import LinuxDriver
from textual.events import AppBlur, AppFocus, CursorPosition, Event, InputEvent, Resize
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import Worker

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.fleet_checks import expected
from fleetsyncd.settings import DatabaseSettings, Settings
from fleetsyncd.text import counted
from tui import export, keymap, screenshot, themes
from tui.background import QUERY_SEC, Work
from tui.choices import choices
from tui.context import ScreenContext
from tui.dialogs.columns import ColumnsDialog
from tui.dialogs.daemons import DaemonsDialog
from tui.dialogs.details import DetailsDialog
from tui.dialogs.help import HelpDialog
from tui.dialogs.messages import MessagesDialog
from tui.dialogs.palette import Palette
from tui.dialogs.too_small import MIN_SIZE, TooSmall
from tui.formatting import DARK_COLOURS, LIGHT_COLOURS
from tui.frame import Frame, FrameUpdate
from tui.gateway import Gateway
from tui.model.columns import WIDE
from tui.model.palette import Catalogue, Choice, Name
from tui.model.state import FleetState
from tui.model.targets import Targets
from tui.notifying import NotifyingApp
from tui.operations import Operations
from tui.page_stack import PageStack
from tui.poller import Poller
from tui.presence import Presence, is_hung_up, may_answer, watch_terminal
from tui.remembered import Memory
from tui.rooms import Operation, RoomOperations, RoomsApp
from tui.schema_watch import watch_schema
from tui.screens.alarms import AlarmsPage
from tui.screens.fleet import FleetPage
from tui.screens.journal import JournalPage
from tui.screens.page import Page
from tui.screens.tags import TagsPage
from tui.screens.vehicle import VehiclePage
from tui.toolkit_caches import keep_no_widgets
from tui.typing_order import LOADING_SEC, KeysInOrder, Opening, opening
from tui.view_keeper import ViewKeeper
from tui.widgets.fleet_table import FleetTable
from tui.widgets.row_table import RowTable
from tui.widgets.vehicle_wanted import VehicleWanted

T = TypeVar("T")
TICK_SEC = 1.0
RECENT = 20
"""Choices of the palette that are remembered."""
CONNECT_SEC = "3"
"""A timeout for libpq, which takes it as text."""
WRITING_ACTIONS = frozenset({"sync", "pause", "undo", "backfill", "add", "edit", "delete", "test"})
TARGET_ACTIONS = WRITING_ACTIONS - {"add"}
"""Actions on the marked vehicles or on the one under the cursor."""
GROUP_ACTIONS = frozenset({"sync", "pause", "backfill"})
"""Those of them that the tags page offers, on all vehicles of a group."""


def is_offered(action: str, page: type) -> bool:
    """Tell whether a page has the targets that an action needs."""
    if action not in WRITING_ACTIONS:
        return True
    pages: tuple[type[Page], ...] = (FleetPage,)
    if action in TARGET_ACTIONS:
        pages += (VehiclePage, TagsPage) if action in GROUP_ACTIONS else (VehiclePage,)
    return issubclass(page, pages)


class FleetApp(KeysInOrder, PageStack, NotifyingApp, RoomsApp):
    """The dashboard over one fleet."""

    CSS_PATH = "app.tcss"
    TITLE = "fleetsyncd"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  as Textual has it
    BINDINGS: ClassVar[list[BindingType]] = keymap.APP_BINDINGS
    ENABLE_COMMAND_PALETTE = False
    """The palette is the app's own: Textual's searches in the background, and asks too late."""

    def __init__(self, context: ScreenContext, memory: Memory | None = None) -> None:
        super().__init__()
        self.context = context
        self._keeper = None if memory is None else ViewKeeper(self, context.state.view, memory)
        self._starting: Opening | None = None
        self.poller = Poller(context, lambda: self.page, self._fleet_read, self.contain)
        self._operations = Operations(self, context)
        self.rooms = RoomOperations(self, context)
        self._presence = Presence()
        self._frame = Frame()
        keep_no_widgets()
        self._was_left = False
        """Whether a page or dialog was left since the last tick."""
        self.remarks: list[str] = []
        """What is told when the dashboard has opened."""
        self._recent: list[Name] = []
        """The names of what was chosen in the palette, the newest first."""
        self.ansi_theme_dark, self.ansi_theme_light = DARK_COLOURS, LIGHT_COLOURS
        self._theme_notice = themes.offer_legible(self, self.console)
        if "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"

    def on_mount(self) -> None:
        """Open the fleet page, and start the poller."""
        self._starting = self.open_soon(LOADING_SEC)
        if self._keeper is not None:
            self._keeper.restore()
        self.contain_tasks()
        self.limit_pages()
        self.push_screen(FleetPage(self.context))
        if self._theme_notice and themes.was_asked_for():
            self.say(self._theme_notice, error=True)
        for remark in self.remarks:
            self.say(remark, error=True)
        if self._driver is not None and not self.is_headless:
            attributes = getattr(self._driver, "attrs_before", None)
            self._presence = watch_terminal(self, self._driver.write, attributes)
        self.set_interval(TICK_SEC, self._tick)
        self.run_worker(self.poller.run(), group="poller", exit_on_error=False)
        self.run_worker(watch_schema(self.context), group="schema", exit_on_error=False)

    def wall(self) -> datetime:
        """Return the time of day, aware."""
        return self.context.wall()

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

    @property
    def shows_fleet(self) -> bool:
        """Whether the fleet page is the topmost page, which a dialog may cover."""
        return isinstance(self.page, FleetPage)

    def _fleet_read(self) -> None:
        """Go on after the first read, and after the database was lost or came back."""
        if self._starting is not None:
            self._starting.release()
        self.refresh_bindings()

    def save_view(self) -> None:
        """Remember how the fleet is shown, after the app has ended."""
        if self._keeper is not None:
            self._keeper.save()

    def pop_screen(self) -> AwaitComplete:
        """Leave the topmost page or dialog."""
        self._was_left = True
        return super().pop_screen()

    def _tick(self) -> None:
        if self._was_left:
            # The widgets of a page refer to each other. The interpreter would find them after some
            # ten pages only, and keep the memory that they needed together.
            self._was_left = False
            gc.collect()
        if self._keeper is not None:
            self._keeper.save_soon()
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
        answer = self.push_screen(dialog, wait_for_dismiss=True)
        if (begun := opening.get()) is not None:
            begun.release()
        # Shielded as in push_screen_wait: the dialog stays if the worker is cancelled.
        return await asyncio.shield(answer)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a message; its text is never parsed as markup."""
        self.notify(text, severity="error" if error else "information", markup=False)

    def push_screen(self, *arguments: Any, **options: Any) -> Any:
        """Open a screen; what covers everything in a terminal that is too small stays on top."""
        covered = isinstance(self.screen, TooSmall) if self.screen_stack else False
        if covered:
            self.pop_screen()
        opened = super().push_screen(*arguments, **options)
        if covered:
            super().push_screen(TooSmall(self.context))
        return opened

    def on_resize(self, event: Resize) -> None:
        """Cover everything while the terminal is too small."""
        too_small = event.size.width < MIN_SIZE.width or event.size.height < MIN_SIZE.height
        if too_small and not isinstance(self.screen, TooSmall):
            self.push_screen(TooSmall(self.context))
        elif not too_small and isinstance(self.screen, TooSmall):
            self.pop_screen()
        self.poller.wake()

    def on_fleet_table_opened(self, event: FleetTable.Opened) -> None:
        """Open the page of a vehicle."""
        self.open_vehicle(event.vehicle_id)

    def on_fleet_page_columns_asked(self, event: FleetPage.ColumnsAsked) -> None:
        """Ask which columns the fleet page shows."""
        page = event.page
        dialog = ColumnsDialog(page.fleet_table.shown_columns, page.view.columns)
        self.push_screen(dialog, page.choose_columns)

    def on_vehicle_wanted(self, event: VehicleWanted) -> None:
        """Open the page of the vehicle of a row of the journal."""
        self.open_vehicle(event.vehicle_id)

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """Show one row in full."""
        self.push_screen(DetailsDialog(event.fields))

    def _targets(self) -> Targets:
        return self.screen.targets() if isinstance(self.screen, Page) else Targets()

    def _targets_to_act_on(self) -> Targets:
        """Return the targets, and leave them on the screen whatever becomes of their states."""
        targets = self._confirmed_targets()
        self.context.state.view.keep(targets)
        return targets

    def _confirmed_targets(self) -> Targets:
        """Return the targets; say so, once, if there are none because they were removed."""
        targets = self._targets()
        if targets.lost:
            self.context.state.view.lost_marks.clear()
            if not targets:
                self.say(f"{targets.lost}: nothing was done", error=True)
        return targets

    def _operate(self, operation: Operation, *arguments: Any) -> None:
        work: Work = partial(self._run_operation, self.open_soon(), operation, *arguments)
        _: Worker[None] = self.run_worker(work, group="operation", exit_on_error=False)

    async def _run_operation(self, begun: Opening, operation: Operation, *arguments: Any) -> None:
        """Run an operation; show an unexpected error, and keep the app running."""
        opening.set(begun)
        try:
            await operation(*arguments)
        except Exception as error:
            self.contain(error)
        finally:
            begun.close()

    def action_sync(self) -> None:
        """Request a sync of the targets."""
        self._operate(self._operations.sync, self._targets_to_act_on())

    def action_pause(self) -> None:
        """Pause the targets, or resume them if all are paused."""
        self._operate(self._operations.pause, self._targets_to_act_on())

    def action_undo(self) -> None:
        """Undo the last pause or resume of this dashboard."""
        self._operate(self._operations.undo)

    def action_backfill(self) -> None:
        """Request a backfill of the targets, or cancel it."""
        self._operate(self._operations.backfill, self._targets_to_act_on())

    def action_add(self) -> None:
        """Register a vehicle."""
        self._operate(self._operations.add)

    def action_edit(self) -> None:
        """Change the registration of the targets."""
        self._operate(self._operations.edit, self._targets_to_act_on())

    def action_delete(self) -> None:
        """Remove the targets."""
        self._operate(self._operations.delete, self._targets_to_act_on())

    def action_test(self) -> None:
        """Test the targets' four calls."""
        self._operate(self._operations.test, self._confirmed_targets())

    def action_journal(self) -> None:
        """Open the journal page."""
        self.go_to(JournalPage)

    def action_tags(self) -> None:
        """Open the tags page."""
        self.go_to(TagsPage)

    def on_tags_page_chosen(self, event: TagsPage.Chosen) -> None:
        """Show a group of vehicles on the fleet page."""
        while not isinstance(self.screen, FleetPage):
            self.pop_screen()
        self.screen.apply_filter(event.wanted)

    def action_alarms(self) -> None:
        """Open the page of open alarms."""
        self.go_to(AlarmsPage)

    def action_daemons(self) -> None:
        """Show the daemons that pull the fleet."""
        self.push_screen(DaemonsDialog(self.context))

    def action_messages(self) -> None:
        """Show the last messages again."""
        self.push_screen(MessagesDialog(self.messages))

    def action_copy(self) -> None:
        """Copy the page's text to the clipboard of the operator's terminal."""
        text = self.screen.copy_text() if isinstance(self.screen, Page) else ""
        targets = self._confirmed_targets()
        if text:
            self.copy_to_clipboard(text)
            lines = counted(text.count("\n") + 1, "line")
            self.say(". ".join(filter(None, [f"copied {lines}", targets.notice])))

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


def build(
    settings: Settings,
    *,
    read_only: bool = False,
    tags: tuple[str, ...] = (),
    memory: Memory | None = None,
) -> FleetApp:
    """Return the dashboard over the database of the daemon's settings.

    With `tags` it shows the vehicles that have one of them, and no others.
    """
    parameters = {"connect_timeout": CONNECT_SEC, **settings.database.parameters}
    database = Database(
        DatabaseSettings(parameters), application="fleetsync-tui", statement_sec=QUERY_SEC
    )
    gateway = Gateway(
        database,
        settings.sync_interval_sec,
        settings.measurements_keep_months,
        expected(settings),
        tags=tags,
    )
    state = FleetState(gateway.where, read_only=read_only, tags=tags)
    secrets = (settings.database.parameters.get("password"), settings.vehicle_default_api_key)
    return FleetApp(ScreenContext(gateway, state, secrets=tuple(filter(None, secrets))), memory)
