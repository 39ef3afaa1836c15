"""What an operator can do to vehicles: ask, write in a thread, report the result.

An operation applies to the vehicles that were marked, or under the cursor, when its key was
pressed, whatever the table shows when the operator confirms.
"""

from collections.abc import Callable
from uuid import UUID

from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.terms import NO_TERMS
from fleetsyncd.text import counted, listed
from tui.audits import Audits
from tui.backfills import Backfills
from tui.context import ScreenContext
from tui.dialogs.confirm import confirm_action
from tui.dialogs.deletion import DeleteForm
from tui.dialogs.probe import MOST_TESTED, ProbeDialog
from tui.dialogs.vehicle import CurrentValues, VehicleForm
from tui.model.targets import Targets
from tui.operating import attempt
from tui.pauses import Pauses
from tui.syncs import Syncs
from tui.ui import UI


class Operations:
    """Every method is a coroutine that ends when the operation is finished or cancelled."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._gateway = context.gateway
        self._state = context.state
        self._backfills = Backfills(ui, context, context.gateway.backfills)
        self._audits = Audits(ui, context, context.gateway.audits)
        self._pauses = Pauses(ui, context)
        self._syncs = Syncs(ui, context)

    async def sync(self, targets: Targets) -> None:
        """Request a sync of the targets and report its outcome; name the paused ones."""
        await self._syncs.request(targets)

    async def pause(self, targets: Targets) -> None:
        """Pause the targets, or ask whether to resume them if all of them are paused."""
        if targets:
            await self._pauses.pause(targets)

    async def maintain(self, targets: Targets) -> None:
        """Ask until when and why, and pause or mute the targets."""
        if targets:
            await self._pauses.maintain(targets)

    async def undo(self) -> None:
        """Undo the last pause, resume or mute of this dashboard."""
        await self._pauses.undo()

    async def backfill(self, targets: Targets) -> None:
        """Ask for an interval and request its backfill, or cancel the running one."""
        if targets:
            await self._backfills.ask(targets)

    async def audit(self, targets: Targets) -> None:
        """Ask for an interval and request its audit, or cancel the running one."""
        if targets:
            await self._audits.ask(targets)

    async def add(self) -> None:
        """Ask for a new vehicle and register it."""
        before = self._state.view.cursor

        def save(new: VehicleChange) -> Callable[[], None]:
            name, host, port = str(new.name), str(new.host), int(new.port or 0)
            vehicle_id = self._gateway.add(
                name, host, port, new.key, new.add_tags, new.terms.applied_to(NO_TERMS)
            )
            return lambda: self._tell_added(name, vehicle_id, before)

        await self._ui.ask(VehicleForm("Add a vehicle", "Add", None, save, tags=self._state.tags))

    def _tell_added(self, name: str, vehicle_id: UUID, cursor_before: UUID | None) -> None:
        self._ui.say(f"{name}: added, the daemon pulls it from its next cycle on")
        # A key that is pressed now is for what the operator has moved to.
        if self._ui.shows_fleet and self._state.view.cursor == cursor_before:
            self._state.view.await_vehicle(vehicle_id)
        self._ui.reload()

    async def edit(self, targets: Targets) -> None:
        """Ask for new values and save them; several targets get only port, key, tags and terms."""
        if not targets:
            return
        vehicles = await self._registered(targets)
        if vehicles is None:
            return
        current = CurrentValues(None, None, None)
        if len(vehicles) == 1:
            current = CurrentValues(vehicles[0].name, vehicles[0].host, vehicles[0].port)

        def save(change: VehicleChange) -> Callable[[], None]:
            self._gateway.change(vehicles, change)
            return tell

        def tell() -> None:
            self._ui.say(f"{targets.names()}: changed")
            self._ui.reload()

        form = VehicleForm(
            f"Edit {targets.names()}",
            "Save",
            current,
            save,
            tags=targets.vehicles[0].tags if len(targets) == 1 else (),
            terms=targets.vehicles[0].terms if len(targets) == 1 else None,
            notice=targets.notice,
        )
        await self._ui.ask(form)

    async def _registered(self, targets: Targets) -> list[RegisteredVehicle] | None:
        """Return how the targets are registered, in their order; None, with a word, if one is not.

        The table may show what was so a while ago.
        """
        seen = await attempt(
            self._ui, lambda: self._gateway.registered(targets.ids), before_dialog=True
        )
        if seen is None:
            return None
        known = {vehicle.id: vehicle for vehicle in seen.value}
        gone = [vehicle.name for vehicle in targets if vehicle.id not in known]
        if gone:
            self._ui.say(f"{listed(gone)}: removed meanwhile, nothing was done", error=True)
            return None
        return [known[vehicle.id] for vehicle in targets]

    async def delete(self, targets: Targets) -> None:
        """Show what is deleted, ask for a confirmation, and remove the targets."""
        if not targets:
            return
        vehicles = await self._registered(targets)
        if vehicles is None:
            return
        rows = await attempt(
            self._ui, lambda: self._gateway.count_rows(targets.ids), before_dialog=True
        )
        if rows is None:
            return
        form = DeleteForm(vehicles, rows.value, notice=targets.notice)
        with_measurements = await self._ui.ask(form)
        if with_measurements is None:
            return
        self._ui.say(f"{targets.names()}: being removed …")
        removed = await attempt(
            self._ui, lambda: self._gateway.remove(vehicles, with_measurements=with_measurements)
        )
        if removed is not None:
            done = f"removed, and {counted(removed.value, 'measurement')}"
            if not with_measurements:
                whose = "its" if len(targets) == 1 else "their"
                done = f"removed, {whose} measurements stay: fleetsyncd vehicle list --removed"
            self._ui.say(f"{targets.names()}: {done}")
        self._ui.reload()

    async def test(self, targets: Targets) -> None:
        """Test the targets' four calls and show the results."""
        if not targets:
            return
        if len(targets) > MOST_TESTED:
            limit = f"t tests at most {MOST_TESTED} at once, mark fewer"
            self._ui.say(f"{targets.title}: {limit}", error=True)
            return
        if not targets.unseen or await self._ui.ask(confirm_action("Test", targets)) is True:
            await self._ui.ask(ProbeDialog(targets))
