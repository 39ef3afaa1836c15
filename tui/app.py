"""The app of the dashboard: it reads the fleet and carries out the actions of the keys."""

import asyncio
import gc
import os
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, TypeVar

from textual.binding import BindingType
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import Worker

from fleetsyncd.text import counted
from tui import export, keymap, screenshot, themes
from tui.background import Work
from tui.choices import choices
from tui.context import ScreenContext
from tui.dialogs.messages import MessagesDialog
from tui.dialogs.palette import Palette
from tui.dialogs.too_small import MIN_SIZE, TooSmall
from tui.formatting import DARK_COLOURS, LIGHT_COLOURS
from tui.model.columns import WIDE
from tui.model.palette import Catalogue, Choice, Name
from tui.notifying import NotifyingApp
from tui.operations import Operations
from tui.page_keys import PageKeys
from tui.poller import Poller
from tui.remembered import Memory
from tui.rooms import Operation, RoomOperations, RoomsApp
from tui.schema_watch import watch_schema
from tui.screens.fleet import FleetPage
from tui.screens.page import Page
from tui.terminal import TerminalApp
from tui.toolkit_caches import empty_caches, keep_no_widgets
from tui.typing_order import LOADING_SEC, KeysInOrder, Opening, opening
from tui.vehicle_actions import WRITING_ACTIONS, VehicleActions, is_offered
from tui.view_keeper import ViewKeeper

T = TypeVar("T")
TICK_SEC = 1.0
RECENT = 20
"""Choices of the palette that are remembered."""


class FleetApp(TerminalApp, KeysInOrder, PageKeys, NotifyingApp, RoomsApp, VehicleActions):
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
        self.operations = Operations(self, context)
        self.rooms = RoomOperations(self, context)
        keep_no_widgets()
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
        self.notice_absence()
        self.set_interval(TICK_SEC, self._tick)
        self.run_worker(self.poller.run(), group="poller", exit_on_error=False)
        self.run_worker(watch_schema(self.context), group="schema")

    def wall(self) -> datetime:
        """Return the time of day, aware."""
        return self.context.wall()

    def secrets(self) -> Iterable[str]:
        """Return the passwords and keys that are configured or being typed."""
        yield from self.context.secrets
        for screen in self.screen_stack:
            yield from (field.value for field in screen.query(Input) if field.password)

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

    def _tick(self) -> None:
        empty_caches()
        if self.left_pages:
            # The widgets of a page refer to each other. The interpreter would find them after some
            # ten pages only, and keep the memory that they needed together. A page that is still
            # being taken down is found at a later tick.
            self.forget_left_pages()
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
        self.repaint()
        self.reload()

    def action_interval(self, step: int) -> None:
        """Read the fleet less often (1) or more often (-1)."""
        self.say(f"reading every {self.poller.change_interval(step):g} s")

    async def action_back(self) -> None:
        """Go back; on the fleet page, quit."""
        if isinstance(self.screen, FleetPage):
            self.exit()
        else:
            self.pop_screen()
