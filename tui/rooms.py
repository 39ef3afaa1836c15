"""The pages of quarantine, jobs, findings, actions and notices: what they ask for."""

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from uuid import UUID

from textual.app import App

from fleetsyncd.database.views.jobs import JobKind, JobStatus, ListedJob
from fleetsyncd.text import counted
from tui import own_program
from tui.audits import Audits
from tui.backfills import Backfills
from tui.context import ScreenContext
from tui.dialogs.confirm import Confirm
from tui.jobs import Jobs
from tui.model.refused import Refused
from tui.operating import attempt
from tui.screens.actions import ActionsPage
from tui.screens.backfills import BackfillsPage
from tui.screens.findings import FindingsPage
from tui.screens.notices import NoticesPage
from tui.screens.page import Page
from tui.screens.quarantine import QuarantinePage
from tui.screens.room import Room
from tui.ui import UI

Operation = Callable[..., Coroutine[None, None, None]]
REPLAYED_AT_ONCE = 1_000
"""Rows that are named to one process."""


class RoomOperations:
    """Every method is a coroutine that ends when the operation is finished or cancelled."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._gateway = context.gateway
        self._jobs: Mapping[JobKind, Jobs[Any, Any]] = {
            JobKind.BACKFILL: Backfills(ui, context, context.gateway.backfills),
            JobKind.AUDIT: Audits(ui, context, context.gateway.audits),
        }

    async def _confirm(
        self, title: str, text: str, accept: str, *, enter_accepts: bool = True
    ) -> bool:
        dialog = Confirm(title, text, accept, unexpected=not enter_accepts)
        return await self._ui.ask(dialog) is True

    async def purge(self, refused: Refused) -> None:
        """Ask, and delete refused rows."""
        title = f"Delete {counted(refused.count, 'refused row')} of {refused.whose} for good?"
        if not await self._confirm(title, refused.what, "Delete", enter_accepts=False):
            return
        rooms = self._gateway.rooms
        groups, rows = tuple(refused.groups), tuple(refused.rows)
        deleted = await attempt(
            self._ui, lambda: rooms.purge_groups(groups) if groups else rooms.purge_rows(rows)
        )
        if deleted is not None:
            self._ui.say(f"{refused.whose}: deleted {counted(deleted.value, 'refused row')}")
        self._ui.reload()

    async def replay(self, refused: Refused) -> None:
        """Ask, and try refused rows again: of a group all rows of its vehicle."""
        what = counted(refused.count, "refused row") if refused.rows else "all refused rows"
        text = "Those that are valid by now are stored; the others stay refused."
        if not await self._confirm(f"Try {what} of {refused.whose} again?", text, "Try"):
            return
        self._ui.say(f"{refused.whose}: trying {what} again …")
        for whose, arguments in _replays(refused):
            ended = await own_program.run("quarantine", "replay", *arguments)
            failed = ended.code != 0
            told = ended.error or "failed" if failed else ended.last_line
            self._ui.say(f"{whose}: {told}", error=failed)
        self._ui.reload()

    async def cancel(self, job: ListedJob[JobStatus]) -> None:
        """Ask, and cancel a backfill or an audit as it was shown."""
        await self._do(job, lambda jobs: jobs.cancel, "it cannot be called off")

    async def repeat(self, job: ListedJob[JobStatus]) -> None:
        """Ask, and request the interval of a backfill or an audit again."""
        await self._do(job, lambda jobs: jobs.repeat, "x on the vehicle audits any interval")

    async def _do(
        self, job: ListedJob[JobStatus], what: Callable[[Jobs[Any, Any]], Operation], instead: str
    ) -> None:
        """Do something to a job, or say what can be done `instead` to one that is no operator's."""
        jobs = self._jobs.get(job.kind)
        if jobs is None:
            self._ui.say(f"{job.vehicle}: a repair is the daemon's own, {instead}", error=True)
        else:
            await what(jobs)(job)


def _replays(refused: Refused) -> list[tuple[str, list[str]]]:
    """Return whose rows are tried and the arguments of the command, for each of its runs."""
    if refused.groups:
        return [(name, [str(key)]) for key, name in refused.vehicles.items()]
    numbers = [f"--id={row.id}" for row in refused.rows]
    parts = range(0, len(numbers), REPLAYED_AT_ONCE)
    return [(refused.whose, numbers[start : start + REPLAYED_AT_ONCE]) for start in parts]


class RoomsApp(App[None]):
    """The part of the app that these pages need; the app itself defines the first three methods."""

    context: ScreenContext
    rooms: RoomOperations

    @abstractmethod
    def open_vehicle(self, vehicle_id: UUID) -> None:
        """Open the page of a vehicle."""

    @abstractmethod
    def _operate(self, operation: Operation, *arguments: Any) -> None:
        """Run an operation in the background."""

    @abstractmethod
    def go_to(self, kind: type[Page]) -> None:
        """Go back to the page of a kind, or open one."""

    def action_quarantine(self) -> None:
        """Open the quarantine page."""
        self.go_to(QuarantinePage)

    def action_backfills(self) -> None:
        """Open the page of backfills and audits."""
        self.go_to(BackfillsPage)

    def action_findings(self) -> None:
        """Open the findings page."""
        self.go_to(FindingsPage)

    def action_actions(self) -> None:
        """Open the page of actions."""
        self.go_to(ActionsPage)

    def action_notices(self) -> None:
        """Open the page of notices."""
        self.go_to(NoticesPage)

    def on_room_vehicle_opened(self, event: Room.VehicleOpened) -> None:
        """Open the page of a vehicle."""
        self.open_vehicle(event.vehicle_id)

    def on_quarantine_page_replay_asked(self, event: QuarantinePage.ReplayAsked) -> None:
        """Try refused rows again."""
        self._operate(self.rooms.replay, event.refused)

    def on_quarantine_page_purge_asked(self, event: QuarantinePage.PurgeAsked) -> None:
        """Delete refused rows."""
        self._operate(self.rooms.purge, event.refused)

    def on_backfills_page_cancel_asked(self, event: BackfillsPage.CancelAsked) -> None:
        """Cancel a backfill or an audit."""
        self._operate(self.rooms.cancel, event.job)

    def on_backfills_page_repeat_asked(self, event: BackfillsPage.RepeatAsked) -> None:
        """Request the interval of a backfill or an audit again."""
        self._operate(self.rooms.repeat, event.job)
