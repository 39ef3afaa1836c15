"""Backfills and audits that an operator requests, repeats or cancels, and how they end."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from fleetsyncd.database.views.jobs import JobStatus, ListedJob
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.states import State
from fleetsyncd.text import listed
from fleetsyncd.times import utc_span
from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.confirm import Confirm
from tui.dialogs.interval import CancelRunning, IntervalForm, Work
from tui.job_gateway import JobGateway
from tui.model.targets import Targets
from tui.operating import attempt
from tui.ui import UI

POLL_SEC = 2.0
Wanted = TypeVar("Wanted")
Status = TypeVar("Status", bound=JobStatus)
Ended = Sequence[tuple[str, Status | None]]
"""How vehicles' jobs ended, by name; None is one that was cancelled or replaced."""


class Jobs(ABC, Generic[Wanted, Status]):
    """One kind: asks for an interval, requests it or cancels what runs, and reports the outcome."""

    NOUN: ClassVar[str]
    A_NOUN: ClassVar[str]
    """With its article."""
    FORM: ClassVar[type[IntervalForm]]  # type: ignore[type-arg]  # a class variable has no parameters
    DONE_STAYS: ClassVar[str]
    """What becomes of the part that is done when the rest is called off."""
    REPEATS: ClassVar[str]
    """Asks whether to do it again, before the vehicle's name."""
    OPEN_REPEATED: ClassVar[str]
    """What becomes of the part that is done when an open one is requested again."""

    def __init__(self, ui: UI, context: ScreenContext, gateway: JobGateway[Wanted, Status]) -> None:
        self._ui = ui
        self._context = context
        self._gateway = gateway

    @abstractmethod
    def same(self, status: Status) -> Wanted:
        """Return what has to be requested to do a job again."""

    @abstractmethod
    def outcome_text(self, ended: Ended[Status]) -> str:
        """Say how several vehicles' jobs ended, or the one of a single vehicle."""

    async def ask(self, targets: Targets) -> None:
        """Show the dialog and do what is answered; what runs is cancelled only as it was shown."""
        keys, gateway = targets.ids, self._context.gateway
        known = await attempt(
            self._ui,
            lambda: (gateway.pull_rate(keys), self._gateway.statuses(keys)),
            before_dialog=True,
        )
        if known is None:
            return
        rate, statuses = known.value
        versions = {key: each.asked_at for key, each in statuses.items() if not each.finished}
        form = self.FORM(
            self._context,
            targets.names(),
            Work(len(targets), rate, is_running=bool(versions)),
            notice="\n".join(filter(None, [targets.notice, self._paused_text(targets)])),
        )
        answer = await self._ui.ask(form)
        if isinstance(answer, CancelRunning):
            cancelled = await attempt(self._ui, lambda: self._gateway.cancel(versions))
            if cancelled is not None:
                self._tell_cancelled(targets, len(versions), cancelled.value)
        elif answer is not None:
            await self._request(targets, answer)
        self._ui.reload()

    def _paused_text(self, targets: Targets) -> str:
        """Say which of the targets are paused, so that their jobs wait; empty without any."""
        paused = targets.where(lambda vehicle: vehicle.state is State.PAUSED)
        return f"{paused.names()}: paused, {self.A_NOUN} waits until p resumes it" if paused else ""

    def _tell_cancelled(self, targets: Targets, shown: int, cancelled: int) -> None:
        name = targets.names()
        if cancelled == shown:
            self._ui.say(f"{name}: {self.NOUN} cancelled")
        else:
            text = f"{cancelled} of {shown} cancelled, the others ended or changed meanwhile"
            self._ui.say(f"{name}: {text}", error=True)

    async def _request(self, targets: Targets, wanted: Wanted) -> None:
        names = targets.names_by_id
        answer = await attempt(self._ui, lambda: self._gateway.request(names, wanted))
        if answer is None:
            return
        requested, left_out = answer.value.statuses, answer.value.left_out
        spans = {interval_text(status) for status in requested.values()}
        real = spans.pop() if len(spans) == 1 else "several intervals"
        asked = listed([name for key, name in names.items() if key not in left_out])
        self._ui.say(f"{asked}: {self.NOUN} of {real} requested")
        if left_out:
            text = "left out, nothing of the interval was pulled yet"
            self._ui.say(f"{listed(list(left_out.values()))}: {text}", error=True)
        if paused := self._paused_text(targets):
            self._ui.say(paused, error=True)
        self._ui.reload()
        await self._report_outcome(targets, requested)

    async def _report_outcome(self, targets: Targets, requested: Mapping[UUID, Status]) -> None:
        """Wait until no request is open any more, and report what became of them."""
        ended: dict[UUID, Status | None] = {}
        while len(ended) < len(requested):
            await asyncio.sleep(POLL_SEC)
            rest = [key for key in requested if key not in ended]
            try:
                known = await in_thread(partial(self._gateway.statuses, rest))
            except FleetsyncError:
                continue  # the poller meets the same error and shows it
            for key in rest:
                status = known.get(key)
                if status is None or status.asked_at != requested[key].asked_at:
                    ended[key] = None
                elif status.finished:
                    ended[key] = status
        whole = all(status is not None and status.is_whole for status in ended.values())
        names = targets.names_by_id
        text = self.outcome_text([(names[key], status) for key, status in ended.items()])
        self._ui.say(f"{self.NOUN} of {targets.title}: {text}", error=not whole)

    async def cancel(self, job: ListedJob[Status]) -> None:
        """Ask, and cancel a job as it was shown."""
        status = job.status
        if status.finished:
            self._ui.say(f"{job.vehicle}: this {self.NOUN} has ended", error=True)
            return
        text = f"{interval_text(status)}: {status.outcome} is done, and {self.DONE_STAYS}."
        title = f"Call off the {self.NOUN} of {job.vehicle}?"
        if await self._ui.ask(Confirm(title, text, "Call off")) is not True:
            return
        versions = {job.vehicle_id: status.asked_at}
        cancelled = await attempt(self._ui, lambda: self._gateway.cancel(versions))
        if cancelled is not None and cancelled.value:
            self._ui.say(f"{job.vehicle}: {self.NOUN} cancelled")
        elif cancelled is not None:
            text = "not cancelled: it has ended, or was requested anew, meanwhile"
            self._ui.say(f"{job.vehicle}: {text}", error=True)
        self._ui.reload()

    async def repeat(self, job: ListedJob[Status]) -> None:
        """Ask, and request the interval of a job again."""
        text = interval_text(job.status)
        if not job.status.finished:
            text += f"\nIt is open: {self.OPEN_REPEATED}."
        title = f"{self.REPEATS} of {job.vehicle} again?"
        if await self._ui.ask(Confirm(title, text, "Request")) is not True:
            return
        names, wanted = {job.vehicle_id: job.vehicle}, self.same(job.status)
        if await attempt(self._ui, lambda: self._gateway.request(names, wanted)) is not None:
            self._ui.say(f"{job.vehicle}: {self.NOUN} requested")
        self._ui.reload()


def interval_text(status: JobStatus) -> str:
    """Return the interval of a job."""
    return utc_span(status.window.start, status.window.end)


def some_text(kinds: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Return for each kind how many vehicles there are, what is said of them, and their names."""
    return [f"{len(names)} {what}: {listed(names)}" for what, names in kinds if names]
