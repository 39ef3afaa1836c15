"""Pausing and resuming vehicles, and the way back."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.database.bulk import BulkResult
from fleetsyncd.states import State
from fleetsyncd.text import listed
from tui.context import ScreenContext
from tui.dialogs.confirm import confirm_action
from tui.model.targets import Targets
from tui.operating import attempt
from tui.ui import UI

MOST_STEPS = 20
"""Actions that can be undone, one after the other, the last one first."""


@dataclass(frozen=True, slots=True)
class _Action:
    """What an action of this dashboard has changed: vehicles' names by id."""

    names: Mapping[UUID, str]
    paused: bool
    """Whether it paused them; else it resumed them."""
    at: dict[UUID, str | None]
    """When, by the database's clock; when an undo has made it so again, the moment of that."""


class Pauses:
    """Pauses and resumes vehicles, and undoes what this dashboard has paused or resumed."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._gateway = context.gateway
        self._done: deque[_Action] = deque(maxlen=MOST_STEPS)
        self._in_order = asyncio.Lock()
        """Keeps an undo behind the action before it."""

    async def pause(self, targets: Targets) -> None:
        """Pause the targets, or ask whether to resume them if all of them are paused.

        Somebody else may have paused them while the operator reached for the key that was to pause
        them, so the key alone resumes nothing.
        """
        if all(vehicle.state is State.PAUSED for vehicle in targets):
            if await self._ui.ask(confirm_action("Resume", targets, unexpected=True)) is True:
                await self._set_paused(targets, False)
        elif not targets.ambiguous or await self._ui.ask(confirm_action("Pause", targets)) is True:
            await self._set_paused(targets, True)

    async def _set_paused(self, targets: Targets, paused: bool) -> None:
        names = targets.names_by_id
        async with self._in_order:
            changed = await attempt(self._ui, lambda: self._gateway.pause(names, paused))
            if changed is not None:
                result = changed.value
                theirs = {key: names[key] for key in names if key in result.changed}
                action = _Action(theirs, paused, dict.fromkeys(theirs, result.at))
                if action.names:
                    self._done.append(action)
                self._ui.say(_done_text(names, action))
        self._ui.reload()

    async def undo(self) -> None:
        """Undo the last action that is not undone yet, where its vehicles are as it left them."""
        async with self._in_order:
            if not self._done:
                self._ui.say("nothing to undo: u undoes what p has paused or resumed here")
                return
            last = self._done[-1]
            result = await attempt(
                self._ui, lambda: self._gateway.undo_pause(last.names, last.paused, last.at)
            )
            if result is not None:
                self._done.pop()
                self._date_again(result.value)
                whole = len(result.value.changed) == len(last.names)
                self._ui.say(_undone_text(last, result.value), error=not whole)
        self._ui.reload()

    def _date_again(self, undone: BulkResult) -> None:
        """Note when the vehicles are again as the action before has left them."""
        for key in undone.changed:
            before = next((each for each in reversed(self._done) if key in each.names), None)
            if before is not None:
                before.at[key] = undone.at


def _word(paused: bool) -> str:
    return "paused" if paused else "resumed"


def _done_text(names: Mapping[UUID, str], action: _Action) -> str:
    already = [names[key] for key in names if key not in action.names]
    parts = []
    if action.names:
        parts.append(f"{listed(list(action.names.values()))}: {_word(action.paused)}, u undoes")
    if already:
        parts.append(f"{listed(already)}: {_word(action.paused)} already")
    return "; ".join(parts)


def _undone_text(action: _Action, result: BulkResult) -> str:
    changed = [name for key, name in action.names.items() if key in result.changed]
    removed = [name for key, name in action.names.items() if key in result.removed]
    others = [n for k, n in action.names.items() if k not in result.changed | result.removed]
    ends = (
        (changed, f"{_word(not action.paused)} again"),
        (others, "changed meanwhile by somebody, left so"),
        (removed, "removed meanwhile"),
    )
    return "undo: " + "; ".join(f"{listed(names)}: {end}" for names, end in ends if names)
