"""What an operator can do to vehicles: ask, do it off the screen's thread, show the result.

An operation is for the vehicles that were marked, or under the cursor, when its key was pressed,
whatever the table shows by the time it is confirmed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from fleetsyncd.database.vehicles import VehicleChange
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.models import JournalEntry, Outcome, Window
from fleetsyncd.states import State, VehicleOverview
from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.backfill import BackfillForm
from tui.dialogs.dialog import Confirm
from tui.dialogs.probe import ProbeDialog
from tui.dialogs.vehicle import CurrentValues, DeleteForm, VehicleForm
from tui.formatting import time_text
from tui.ui import UI

T = TypeVar("T")
OUTCOME_SEC = 60.0
"""How long the outcome of a sync is waited for."""
LOOK_SEC = 0.5
_FEW = 3
Targets = Sequence[VehicleOverview]


def named(targets: Targets) -> str:
    """Return the targets as a message names them."""
    if len(targets) > _FEW:
        return f"{len(targets)} vehicles"
    return ", ".join(vehicle.name for vehicle in targets)


def ids(targets: Targets) -> list[UUID]:
    """Return the targets' ids."""
    return [vehicle.id for vehicle in targets]


def outcome(targets: Targets, came: Mapping[UUID, JournalEntry], good: int) -> str:
    """Return what came of an attempt at each of the targets, `good` of which went well."""
    waiting = len(targets) - len(came)
    if not came:
        return f"not pulled within {OUTCOME_SEC:g} s"
    if len(targets) > 1:
        still = f", {waiting} not pulled within {OUTCOME_SEC:g} s" if waiting else ""
        return f"{good} ok, {len(came) - good} failed{still}"
    (attempt,) = came.values()
    reason = attempt.error_msg or "for no reason given"
    return f"ok, {attempt.rows_written:,} rows" if good else f"{attempt.status}, {reason}"


class Operations:
    """Every method is a coroutine that ends when the operation has, or was called off."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._gateway = context.gateway
        self._context = context

    async def _try(self, work: Callable[[], T]) -> tuple[T] | None:
        """Return what `work` returned, or None after its error was shown."""
        try:
            return (await in_thread(work),)
        except FleetsyncError as error:
            self._ui.say(str(error), bad=True)
            return None

    async def _do(self, work: Callable[[], object], done: str) -> None:
        if await self._try(work) is not None:
            self._ui.say(done)
        self._ui.reload()

    async def _sure(self, title: str, targets: Targets, accept: str) -> bool:
        """Ask, if it is about several vehicles."""
        if len(targets) == 1:
            return True
        text = ", ".join(vehicle.name for vehicle in targets[:20])
        more = f" and {len(targets) - 20} more" if len(targets) > 20 else ""  # noqa: PLR2004
        answer = await self._ui.ask(Confirm(title, text + more, accept))
        return answer is True

    async def sync(self, targets: Targets) -> None:
        """Let the daemon sync the targets now; paused ones are left out and named."""
        paused = [vehicle for vehicle in targets if vehicle.state is State.PAUSED]
        if paused:
            self._ui.say(f"{named(paused)}: paused, press p to resume", bad=True)
        wanted = [vehicle for vehicle in targets if vehicle.state is not State.PAUSED]
        if not wanted or not await self._sure(f"Sync {len(wanted)} vehicles now?", wanted, "Sync"):
            return
        asked = await self._try(lambda: self._gateway.sync(ids(wanted)))
        if asked is not None:
            self._ui.say(f"{named(wanted)}: sync asked for")
            await self._tell_outcome(wanted, asked[0])
        self._ui.reload()

    async def _tell_outcome(self, targets: Targets, asked_at: datetime) -> None:
        """Say what came of a sync, once all of the targets were pulled or it took too long."""
        ends = self._context.now() + OUTCOME_SEC
        came: dict[UUID, JournalEntry] = {}
        while len(came) < len(targets) and self._context.now() < ends:
            await asyncio.sleep(LOOK_SEC)
            try:
                came = await in_thread(lambda: self._gateway.outcomes(ids(targets), asked_at))
            except FleetsyncError:
                return  # what is told of the database says enough
        good = sum(attempt.status == Outcome.OK for attempt in came.values())
        self._ui.say(f"{named(targets)}: {outcome(targets, came, good)}", bad=good < len(targets))

    async def pause(self, targets: Targets) -> None:
        """Pause the targets, or resume them if all of them are paused."""
        if not targets:
            return
        pausing = any(vehicle.state is not State.PAUSED for vehicle in targets)
        word = "Pause" if pausing else "Resume"
        if await self._sure(f"{word} {len(targets)} vehicles?", targets, word):
            done = "paused" if pausing else "resumed"
            await self._do(
                lambda: self._gateway.pause(ids(targets), pausing), f"{named(targets)}: {done}"
            )

    async def backfill(self, targets: Targets) -> None:
        """Ask for an interval and let the daemon pull it again; or call off what runs."""
        if not targets:
            return
        pace = await self._try(lambda: self._gateway.pull_rate(ids(targets)))
        if pace is None:
            return
        running = any(vehicle.backfill is not None for vehicle in targets)
        form = BackfillForm(
            self._context, f"Backfill {named(targets)}", len(targets), pace[0], running
        )
        window: Window | None = await self._ui.ask(form)
        if window is None:
            return
        if window.start == window.end:
            await self._do(
                lambda: self._gateway.cancel_backfill(ids(targets)),
                f"{named(targets)}: backfill called off",
            )
            return
        told = f"{time_text(window.start)} to {time_text(window.end)}"
        await self._do(
            lambda: self._gateway.backfill(ids(targets), window),
            f"{named(targets)}: backfill of {told} asked for",
        )

    async def add(self) -> None:
        """Ask for a new vehicle and register it; a refusal keeps what was typed."""
        form = SavingForm("Add a vehicle", "Add", None, self._add)
        change = await self._ui.ask(form)
        if change is not None:
            self._ui.say(f"{change.name}: added, the daemon takes it in at its next cycle")
            self._ui.reload()

    def _add(self, new: VehicleChange) -> None:
        self._gateway.add(str(new.name), str(new.host), int(new.port or 0), new.key)

    async def edit(self, targets: Targets) -> None:
        """Ask for new values; for several vehicles only for those they can share."""
        if not targets:
            return
        known = CurrentValues(None, None, None)
        if len(targets) == 1:
            found = await self._try(lambda: self._gateway.vehicle_details(targets[0].id))
            if found is None:
                return
            if found[0] is None:
                self._ui.say(f"{named(targets)}: was removed meanwhile", bad=True)
                return
            known = CurrentValues(found[0].name, found[0].host, found[0].port)
        form = SavingForm(
            f"Edit {named(targets)}",
            "Save",
            known,
            lambda change: self._gateway.change(ids(targets), change),
        )
        if await self._ui.ask(form) is not None:
            self._ui.say(f"{named(targets)}: changed")
            self._ui.reload()

    async def delete(self, targets: Targets) -> None:
        """Say what goes, have it confirmed, and remove the targets."""
        if not targets:
            return
        extent = await self._try(lambda: self._gateway.count_rows(ids(targets)))
        if extent is None:
            return
        answer = await self._ui.ask(DeleteForm(list(targets), extent[0]))
        if answer is None:
            return
        self._ui.say(f"{named(targets)}: being removed …")
        removed = await self._try(
            lambda: self._gateway.remove(ids(targets), with_measurements=answer)
        )
        if removed is not None:
            self._ui.say(f"{named(targets)}: removed, and {removed[0]:,} measurements")
        self._ui.reload()

    async def test(self, targets: Targets) -> None:
        """Show how the targets answer their four calls."""
        if targets:
            await self._ui.ask(ProbeDialog(list(targets)))


class SavingForm(VehicleForm):
    """A vehicle's form that is left only when what it asks for was done."""

    def __init__(
        self,
        title: str,
        accept: str,
        known: CurrentValues | None,
        save: Callable[[VehicleChange], None],
    ) -> None:
        super().__init__(title, accept, known)
        self._save = save

    def apply(self, change: VehicleChange) -> None:
        """Do it; on an error say so and keep what was typed."""
        self.run_worker(self._saving(change), exclusive=True, exit_on_error=False)

    async def _saving(self, change: VehicleChange) -> None:
        try:
            await in_thread(lambda: self._save(change))
        except FleetsyncError as error:
            self.show_error(str(error))
        else:
            self.finish(change)
