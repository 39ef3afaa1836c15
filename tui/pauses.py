"""Pausing, resuming, muting and unmuting vehicles, and the way back."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from uuid import UUID

from fleetsyncd.database.bulk import BulkResult
from fleetsyncd.states import Pause, State
from fleetsyncd.text import listed
from tui.context import ScreenContext
from tui.dialogs.confirm import confirm_action
from tui.dialogs.maintenance import Maintenance, MaintenanceForm
from tui.model.targets import Targets
from tui.operating import attempt, hand_keys_on
from tui.ui import UI

MOST_STEPS = 20
"""Actions that can be undone, one after the other, the last one first."""


class Kind(Enum):
    """What an action does, and what takes it back, in a word."""

    PAUSE = ("paused", "resumed")
    RESUME = ("resumed", "paused")
    MUTE = ("muted", "unmuted")
    UNMUTE = ("unmuted", "muted")

    @property
    def done(self) -> str:
        """What the vehicles are afterwards."""
        return self.value[0]

    @property
    def undone(self) -> str:
        """What they are when it is taken back."""
        return self.value[1]

    @property
    def is_mute(self) -> bool:
        """Whether it is about what is told, not about what is pulled."""
        return self in (Kind.MUTE, Kind.UNMUTE)


@dataclass(frozen=True, slots=True)
class _Action:
    """What an action of this dashboard has changed: vehicles' names by id."""

    names: Mapping[UUID, str]
    kind: Kind
    at: dict[UUID, str | None]
    """When, by the database's clock; when an undo has made it so again, the moment of that."""
    before: Mapping[UUID, Pause]
    """Until when, why and by whom they were paused or muted before."""


class Pauses:
    """Pauses and mutes vehicles, ends both, and undoes what this dashboard has done of that."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._context = context
        self._gateway = context.gateway
        self._done: deque[_Action] = deque(maxlen=MOST_STEPS)
        self._in_order = asyncio.Lock()
        """Keeps an undo behind the action before it."""

    async def pause(self, targets: Targets) -> None:
        """Pause the targets, or ask whether to resume them if all of them are paused.

        Somebody else may have paused them while the operator reached for the key that was to pause
        them, so the key alone resumes nothing.
        """
        gateway, names = self._gateway, targets.names_by_id
        if all(vehicle.state is State.PAUSED for vehicle in targets):
            if await self._ui.ask(confirm_action("Resume", targets, unexpected=True)) is True:
                await self._act(Kind.RESUME, names, lambda: gateway.pause(names, False))
        elif not targets.ambiguous or await self._ui.ask(confirm_action("Pause", targets)) is True:
            await self._act(Kind.PAUSE, names, lambda: gateway.pause(names, True))

    async def maintain(self, targets: Targets) -> None:
        """Ask until when and why, and pause or mute the targets; or unmute them."""
        gateway, names = self._gateway, targets.names_by_id
        form = MaintenanceForm(
            self._context,
            targets.names(),
            are_muted=any(vehicle.mute is not None for vehicle in targets),
            notice=targets.notice,
        )
        answer = await self._ui.ask(form)
        if answer is None:
            return
        why, length = answer.why, answer.length
        match answer.kind:
            case Maintenance.PAUSE:
                await self._act(Kind.PAUSE, names, lambda: gateway.pause(names, True, why, length))
            case Maintenance.MUTE:
                await self._act(Kind.MUTE, names, lambda: gateway.mute(names, why, length))
            case Maintenance.UNMUTE:
                await self._act(Kind.UNMUTE, names, lambda: gateway.mute(names, None))

    async def _act(
        self, kind: Kind, names: Mapping[UUID, str], write: Callable[[], BulkResult]
    ) -> None:
        hand_keys_on()
        async with self._in_order:
            changed = await attempt(self._ui, write)
            if changed is not None:
                result = changed.value
                theirs = {key: names[key] for key in names if key in result.changed}
                at: dict[UUID, str | None] = {key: result.at_of(key) for key in theirs}
                action = _Action(theirs, kind, at, result.before)
                if action.names:
                    self._done.append(action)
                missed = bool(result.removed or result.error)
                self._ui.say(_done_text(names, action, result), error=missed)
        self._ui.reload()

    async def undo(self) -> None:
        """Undo the last action that is not undone yet, where its vehicles are as it left them."""
        hand_keys_on()
        async with self._in_order:
            if not self._done:
                self._ui.say("nothing to undo: u undoes what p and P have done here")
                return
            last = self._done[-1]
            result = await attempt(self._ui, lambda: self._take_back(last))
            if result is not None:
                undone = result.value
                self._done.pop()
                if undone.unfinished:
                    rest = {key: last.names[key] for key in last.names if key in undone.unfinished}
                    self._done.append(replace(last, names=rest))
                self._date_again(last, undone)
                whole = len(undone.changed) == len(last.names)
                self._ui.say(_undone_text(last, undone), error=not whole)
        self._ui.reload()

    def _take_back(self, last: _Action) -> BulkResult:
        if last.kind.is_mute:
            muted = last.kind is Kind.MUTE
            return self._gateway.undo_mute(last.names, muted, last.at, last.before)
        paused = last.kind is Kind.PAUSE
        return self._gateway.undo_pause(last.names, paused, last.at, last.before)

    def _date_again(self, last: _Action, undone: BulkResult) -> None:
        """Note when the vehicles are again as the action before has left them."""
        same = [each for each in reversed(self._done) if each.kind.is_mute == last.kind.is_mute]
        for key in undone.changed:
            before = next((each for each in same if key in each.names), None)
            if before is not None:
                before.at[key] = undone.at_of(key)


def _done_text(names: Mapping[UUID, str], action: _Action, result: BulkResult) -> str:
    told = action.names.keys() | result.removed | result.unfinished
    already = [name for key, name in names.items() if key not in told]
    is_unmuted = action.kind is Kind.UNMUTE
    left = "muted by a tag, or with the fleet, or not at all" if is_unmuted else ""
    return _sentence(
        (list(action.names.values()), f"{action.kind.done}, u undoes"),
        (already, left or f"{action.kind.done} already"),
        *_missed(names, result),
    )


def _undone_text(action: _Action, result: BulkResult) -> str:
    told = result.changed | result.removed | result.unfinished
    replaced = action.before if action.kind in (Kind.PAUSE, Kind.MUTE) else {}
    back = {key: name for key, name in action.names.items() if key in result.changed}
    changed = [name for key, name in back.items() if key not in replaced]
    again = [name for key, name in back.items() if key in replaced]
    others = [name for key, name in action.names.items() if key not in told]
    return "undo: " + _sentence(
        (changed, f"{action.kind.undone} again"),
        (again, f"{action.kind.done} as before"),
        (others, "changed meanwhile by somebody, left so"),
        *_missed(action.names, result),
    )


def _missed(names: Mapping[UUID, str], result: BulkResult) -> tuple[tuple[list[str], str], ...]:
    removed = [name for key, name in names.items() if key in result.removed]
    unfinished = [name for key, name in names.items() if key in result.unfinished]
    return (removed, "removed meanwhile"), (unfinished, f"{result.error}, try again")


def _sentence(*ends: tuple[list[str], str]) -> str:
    return "; ".join(f"{listed(names)}: {end}" for names, end in ends if names)
