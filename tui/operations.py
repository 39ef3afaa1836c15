"""What an operator can do to vehicles: ask, write in a thread, report the result.

An operation applies to the vehicles that were marked, or under the cursor, when its key was
pressed, whatever the table shows when the operator confirms.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from fleetsyncd.database.vehicles import RegisteredVehicle, VehicleChange
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.reports import JournalEntry, Outcome
from fleetsyncd.states import State
from tui.backfills import Backfills
from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.dialog import Confirm
from tui.dialogs.probe import ProbeDialog
from tui.dialogs.vehicle import CurrentValues, DeleteForm, VehicleForm
from tui.operating import Result, Targets, attempt, ids, names_text
from tui.ui import UI

T = TypeVar("T")
OUTCOME_SEC = 60.0
"""How long an operation waits for the outcome of a sync."""
POLL_SEC = 0.5
_MAX_NAMES_TO_CONFIRM = 20


def outcome_text(targets: Targets, entries: Mapping[UUID, JournalEntry], ok: int) -> str:
    """Return how a sync of the targets ended; `ok` of the journal `entries` are successes."""
    missing = len(targets) - len(entries)
    not_pulled = f"not pulled within {OUTCOME_SEC:g} s"
    if not entries:
        return not_pulled
    if len(targets) > 1:
        return f"{ok} ok, {len(entries) - ok} failed" + (
            f", {missing} {not_pulled}" if missing else ""
        )
    (entry,) = entries.values()
    if ok:
        return f"ok, {entry.rows_written:,} rows"
    return f"{entry.status}, {entry.error_msg or 'no reason given'}"


class Operations:
    """Every method is a coroutine that ends when the operation is finished or cancelled."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._gateway = context.gateway
        self._context = context
        self._backfills = Backfills(ui, context)

    async def _try(self, work: Callable[[], T]) -> Result[T] | None:
        """Return the result of `work`; if it fails, show the error and return None."""
        return await attempt(self._ui, work)

    async def _write(self, work: Callable[[], object], success: str) -> None:
        """Run a write, show the `success` text or the error, and read the fleet again."""
        if await self._try(work) is not None:
            self._ui.say(success)
        self._ui.reload()

    async def _confirm_if_many(self, title: str, targets: Targets, accept: str) -> bool:
        """Ask for a confirmation if there is more than one target."""
        return len(targets) == 1 or await self._confirm(title, targets, accept)

    async def _confirm(self, title: str, targets: Targets, accept: str) -> bool:
        names = ", ".join(vehicle.name for vehicle in targets[:_MAX_NAMES_TO_CONFIRM])
        others = len(targets) - _MAX_NAMES_TO_CONFIRM
        text = names + (f" and {others} more" if others > 0 else "")
        return await self._ui.ask(Confirm(title, text, accept)) is True

    async def sync(self, targets: Targets) -> None:
        """Request a sync of the targets and report its outcome; name the paused ones."""
        paused = [vehicle for vehicle in targets if vehicle.state is State.PAUSED]
        if paused:
            self._ui.say(f"{names_text(paused)}: paused, press p to resume", error=True)
        active = [vehicle for vehicle in targets if vehicle.state is not State.PAUSED]
        if not active:
            return
        if not await self._confirm_if_many(f"Sync {len(active)} vehicles now?", active, "Sync"):
            return
        requested_at = await self._try(lambda: self._gateway.sync(ids(active)))
        if requested_at is not None:
            self._ui.say(f"{names_text(active)}: sync requested")
            await self._report_outcome(active, requested_at.value)
        self._ui.reload()

    async def _report_outcome(self, targets: Targets, requested_at: datetime) -> None:
        """Wait until all targets are pulled, at most OUTCOME_SEC, and report the outcome."""
        deadline = self._context.now() + OUTCOME_SEC
        entries: dict[UUID, JournalEntry] = {}
        while len(entries) < len(targets) and self._context.now() < deadline:
            await asyncio.sleep(POLL_SEC)
            try:
                entries = await in_thread(
                    lambda: self._gateway.outcomes(ids(targets), requested_at)
                )
            except FleetsyncError:
                return  # the poller meets the same error and shows it
        ok = sum(entry.status == Outcome.OK for entry in entries.values())
        text = outcome_text(targets, entries, ok)
        self._ui.say(f"{names_text(targets)}: {text}", error=ok < len(targets))

    async def pause(self, targets: Targets) -> None:
        """Pause the targets, or ask whether to resume them if all of them are paused.

        Somebody else may have paused them while the operator reached for the key that was to pause
        them, so the key alone resumes nothing.
        """
        if not targets:
            return
        paused = all(vehicle.state is State.PAUSED for vehicle in targets)
        if not paused and await self._confirm_if_many(
            f"Pause {len(targets)} vehicles?", targets, "Pause"
        ):
            await self._set_paused(targets, True, "paused")
        which = "the vehicle" if len(targets) == 1 else f"{len(targets)} vehicles"
        if paused and await self._confirm(f"Resume {which}?", targets, "Resume"):
            await self._set_paused(targets, False, "resumed")

    async def _set_paused(self, targets: Targets, paused: bool, done: str) -> None:
        await self._write(
            lambda: self._gateway.pause(ids(targets), paused), f"{names_text(targets)}: {done}"
        )

    async def backfill(self, targets: Targets) -> None:
        """Ask for an interval and request its backfill, or cancel the running one."""
        if targets:
            await self._backfills.ask(targets)

    async def add(self) -> None:
        """Ask for a new vehicle and register it."""
        change = await self._ui.ask(
            VehicleForm("Add a vehicle", "Add", None, self._add, self._context.state.tags)
        )
        if change is not None:
            self._ui.say(f"{change.name}: added, the daemon pulls it from its next cycle on")
            self._ui.reload()

    def _add(self, new: VehicleChange) -> None:
        self._gateway.add(str(new.name), str(new.host), int(new.port or 0), new.key, new.add_tags)

    async def edit(self, targets: Targets) -> None:
        """Ask for new values and save them; several targets get only port, key and tags."""
        if not targets:
            return
        vehicles = await self._registered(targets)
        if vehicles is None:
            return
        current = CurrentValues(None, None, None)
        if len(vehicles) == 1:
            current = CurrentValues(vehicles[0].name, vehicles[0].host, vehicles[0].port)
        form = VehicleForm(
            f"Edit {names_text(targets)}",
            "Save",
            current,
            lambda change: self._gateway.change(vehicles, change),
            targets[0].tags if len(targets) == 1 else (),
        )
        if await self._ui.ask(form) is not None:
            self._ui.say(f"{names_text(targets)}: changed")
            self._ui.reload()

    async def _registered(self, targets: Targets) -> list[RegisteredVehicle] | None:
        """Return how the targets are registered, in their order; None, with a word, if one is not.

        The table may show what was so a while ago.
        """
        seen = await self._try(lambda: self._gateway.registered(ids(targets)))
        if seen is None:
            return None
        known = {vehicle.id: vehicle for vehicle in seen.value}
        if len(known) < len(targets):
            self._ui.say(f"{names_text(targets)}: was removed meanwhile", error=True)
            return None
        return [known[vehicle.id] for vehicle in targets]

    async def delete(self, targets: Targets) -> None:
        """Show what is deleted, ask for a confirmation, and remove the targets."""
        if not targets:
            return
        vehicles = await self._registered(targets)
        if vehicles is None:
            return
        rows = await self._try(lambda: self._gateway.count_rows(ids(targets)))
        if rows is None:
            return
        with_measurements = await self._ui.ask(DeleteForm(vehicles, rows.value))
        if with_measurements is None:
            return
        self._ui.say(f"{names_text(targets)}: being removed …")
        removed = await self._try(
            lambda: self._gateway.remove(vehicles, with_measurements=with_measurements)
        )
        if removed is not None:
            done = f"removed, and {removed.value:,} measurements"
            if not with_measurements:
                done = "removed, its measurements stay: fleetsyncd vehicle list --removed"
            self._ui.say(f"{names_text(targets)}: {done}")
        self._ui.reload()

    async def test(self, targets: Targets) -> None:
        """Test the targets' four calls and show the results."""
        if targets:
            await self._ui.ask(ProbeDialog(list(targets)))
