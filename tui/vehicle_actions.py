"""What the keys of vehicles do: their targets, and the operations on them."""

from abc import abstractmethod
from typing import Any

from textual.app import App

from tui.context import ScreenContext
from tui.model.targets import Targets
from tui.operations import Operations
from tui.rooms import Operation
from tui.screens.fleet import FleetPage
from tui.screens.page import Page
from tui.screens.tags import TagsPage
from tui.screens.vehicle import VehiclePage

WRITING_ACTIONS = frozenset(
    {"sync", "pause", "maintain", "undo", "backfill", "audit", "add", "edit", "delete", "test"}
)
TARGET_ACTIONS = WRITING_ACTIONS - {"add"}
"""Actions on the marked vehicles or on the one under the cursor."""
GROUP_ACTIONS = frozenset({"sync", "pause", "maintain", "undo", "backfill", "audit"})
"""Those of them that the tags page offers, on all vehicles of a group; undo takes the last back."""


def is_offered(action: str, page: type) -> bool:
    """Tell whether a page has the targets that an action needs."""
    if action not in WRITING_ACTIONS:
        return True
    pages: tuple[type[Page], ...] = (FleetPage,)
    if action in TARGET_ACTIONS:
        pages += (VehiclePage, TagsPage) if action in GROUP_ACTIONS else (VehiclePage,)
    return issubclass(page, pages)


class VehicleActions(App[None]):
    """The part of the app that acts on vehicles; the app itself defines the first two methods."""

    context: ScreenContext
    operations: Operations

    @abstractmethod
    def _operate(self, operation: Operation, *arguments: Any) -> None:
        """Run an operation in the background."""

    @abstractmethod
    def say(self, text: str, *, error: bool = False) -> None:
        """Show a message."""

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

    def action_sync(self) -> None:
        """Request a sync of the targets."""
        self._operate(self.operations.sync, self._targets_to_act_on())

    def action_pause(self) -> None:
        """Pause the targets, or resume them if all are paused."""
        self._operate(self.operations.pause, self._targets_to_act_on())

    def action_maintain(self) -> None:
        """Pause or mute the targets for a time."""
        self._operate(self.operations.maintain, self._targets_to_act_on())

    def action_undo(self) -> None:
        """Undo the last pause, resume or mute of this dashboard."""
        self._operate(self.operations.undo)

    def action_backfill(self) -> None:
        """Request a backfill of the targets, or cancel it."""
        self._operate(self.operations.backfill, self._targets_to_act_on())

    def action_audit(self) -> None:
        """Request an audit of the targets, or cancel it."""
        self._operate(self.operations.audit, self._targets_to_act_on())

    def action_add(self) -> None:
        """Register a vehicle."""
        self._operate(self.operations.add)

    def action_edit(self) -> None:
        """Change the registration of the targets."""
        self._operate(self.operations.edit, self._targets_to_act_on())

    def action_delete(self) -> None:
        """Remove the targets."""
        self._operate(self.operations.delete, self._targets_to_act_on())

    def action_test(self) -> None:
        """Test the targets' four calls."""
        self._operate(self.operations.test, self._confirmed_targets())
