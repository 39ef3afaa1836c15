"""The part of the app that knows its terminal: what it shows, and whether somebody is there."""

from typing import Any

from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import AppBlur, AppFocus, CursorPosition, Event, InputEvent, Resize
from textual.screen import Screen

from tui.frame import Frame, FrameUpdate
from tui.presence import Presence, is_hung_up, may_answer, watch_terminal


class TerminalApp(App[None]):
    """Sends what differs from what the terminal shows; ends when nobody is there to see it."""

    def __init__(self) -> None:
        super().__init__()
        self._presence = Presence()
        self._frame = Frame()

    def notice_absence(self) -> None:
        """Find out from now on when nobody is there."""
        if self._driver is not None and not self.is_headless:
            attributes = getattr(self._driver, "attrs_before", None)
            self._presence = watch_terminal(self, self._driver.write, attributes)

    def repaint(self) -> None:
        """Send everything anew: others may have written to the terminal."""
        self._frame.forget()
        self.screen.refresh()

    async def on_event(self, event: Event) -> None:
        """Note that the terminal is still there, and whether it may show something else."""
        if isinstance(event, (Resize, LinuxDriver.SignalResume)):
            self._frame.forget()
        if isinstance(event, (InputEvent, CursorPosition, AppFocus, AppBlur)):
            self._presence.heard(answer=may_answer(event))
        await super().on_event(event)

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
