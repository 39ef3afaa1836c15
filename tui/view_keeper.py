"""Restores the view and the theme of the last run, and saves what the operator changes."""

import os
from functools import partial
from typing import Any

from textual.app import App

from fleetsyncd.text import sanitise
from tui.background import in_thread
from tui.model.fleet_view import FleetView
from tui.remembered import Memory, Remembered, of_view


class ViewKeeper:
    """Keeps a Memory up to date with a view and the app's theme.

    TEXTUAL_THEME outranks the theme that is remembered, which stays remembered.
    """

    def __init__(self, app: App[Any], view: FleetView, memory: Memory) -> None:
        self._app = app
        self._view = view
        self._memory = memory
        self._theme = app.theme
        """The app's theme as it was seen last."""
        self._chosen: str | None = None
        """The theme that the operator chose, in this run or an earlier one."""
        self._told = False

    def restore(self) -> None:
        """Show the fleet as it was shown last."""
        self._tell(self._memory.load())
        remembered = self._memory.last
        remembered.restore(self._view)
        self._chosen = remembered.theme
        if "TEXTUAL_THEME" not in os.environ and remembered.theme in self._app.available_themes:
            self._app.theme = remembered.theme
        self._theme = self._app.theme

    def save_soon(self) -> None:
        """Save what has changed, in the background."""
        if self._has_changed():
            self._app.run_worker(self._save(), group="remember")

    def save(self) -> None:
        """Save what has changed."""
        if self._has_changed():
            self._memory.save(self._now())

    async def _save(self) -> None:
        self._tell(await in_thread(partial(self._memory.save, self._now())))

    def _has_changed(self) -> bool:
        return self._now() != self._memory.last

    def _now(self) -> Remembered:
        """Return what is to be remembered now."""
        if self._app.theme != self._theme:
            self._theme = self._chosen = self._app.theme
        return of_view(self._view, self._chosen)

    def _tell(self, fault: str) -> None:
        """Show a fault, the first one only: the others say the same."""
        if fault and not self._told:
            self._told = True
            self._app.notify(sanitise(fault, 200), severity="warning", markup=False)
