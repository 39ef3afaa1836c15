"""Backfills that an operator requests or cancels, and how they end."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from fleetsyncd.database.views.backfills import BackfillStatus
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.models import Window
from fleetsyncd.states import State
from fleetsyncd.text import counted, listed
from fleetsyncd.times import utc_span
from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.backfill import BackfillForm, CancelBackfill
from tui.model.targets import Targets
from tui.operating import attempt
from tui.ui import UI

POLL_SEC = 2.0
Requests = Mapping[UUID, BackfillStatus]


class Backfills:
    """Asks for an interval, requests it or cancels what runs, and reports the outcome."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._context = context
        self._gateway = context.gateway

    async def ask(self, targets: Targets) -> None:
        """Show the dialog and do what is answered; what runs is cancelled only as it was shown."""
        keys = targets.ids
        known = await attempt(
            self._ui,
            lambda: (self._gateway.pull_rate(keys), self._gateway.backfills(keys)),
            before_dialog=True,
        )
        if known is None:
            return
        rate, statuses = known.value
        versions = {key: each.asked_at for key, each in statuses.items() if not each.finished}
        form = BackfillForm(
            self._context,
            f"Backfill {targets.names()}",
            len(targets),
            rate,
            running=bool(versions),
            notice="\n".join(filter(None, [targets.notice, paused_text(targets)])),
        )
        answer = await self._ui.ask(form)
        if isinstance(answer, CancelBackfill):
            cancelled = await attempt(self._ui, lambda: self._gateway.cancel_backfills(versions))
            if cancelled is not None:
                self._tell_cancelled(targets, len(versions), cancelled.value)
        elif answer is not None:
            await self._request(targets, answer)
        self._ui.reload()

    def _tell_cancelled(self, targets: Targets, shown: int, cancelled: int) -> None:
        name = targets.names()
        if cancelled == shown:
            self._ui.say(f"{name}: backfill cancelled")
        else:
            text = f"{cancelled} of {shown} cancelled, the others ended or changed meanwhile"
            self._ui.say(f"{name}: {text}", error=True)

    async def _request(self, targets: Targets, window: Window) -> None:
        requested = await attempt(self._ui, lambda: self._gateway.backfill(targets.ids, window))
        if requested is None:
            return
        intervals = {status.window for status in requested.value.values()}
        real = _span(next(iter(intervals))) if len(intervals) == 1 else "several intervals"
        self._ui.say(f"{targets.names()}: backfill of {real} requested")
        if paused := paused_text(targets):
            self._ui.say(paused, error=True)
        self._ui.reload()
        await self._report_outcome(targets, requested.value)

    async def _report_outcome(self, targets: Targets, requested: Requests) -> None:
        """Wait until no request is open any more, and report what became of them."""
        ended: dict[UUID, BackfillStatus | None] = {}
        while len(ended) < len(requested):
            await asyncio.sleep(POLL_SEC)
            rest = [key for key in requested if key not in ended]
            try:
                known = await in_thread(partial(self._gateway.backfills, rest))
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
        text = outcome_text([(names[key], status) for key, status in ended.items()])
        self._ui.say(f"backfill of {targets.title}: {text}", error=not whole)


def paused_text(targets: Targets) -> str:
    """Say which of the targets are paused, so that their backfills wait; empty without any."""
    paused = targets.where(lambda vehicle: vehicle.state is State.PAUSED)
    return f"{paused.names()}: paused, a backfill waits until p resumes it" if paused else ""


def outcome_text(ended: Sequence[tuple[str, BackfillStatus | None]]) -> str:
    """Say how vehicles' backfills ended; None is one that was cancelled or replaced."""
    done = [(name, status) for name, status in ended if status is not None]
    rows = counted(sum(status.rows_added for _, status in done), "row")
    if len(ended) == 1:
        return f"{done[0][1].outcome}, {rows}" if done else "cancelled or replaced"
    kinds = (
        ("of them without what is gone", [name for name, status in done if status.gone_sec > 0]),
        ("of them without alarms", [name for name, status in done if status.lacks_alarms]),
        ("cancelled or replaced", [name for name, status in ended if status is None]),
    )
    lacking = [f"{len(names)} {what}: {listed(names)}" for what, names in kinds if names]
    return "; ".join([f"{len(done)} complete, {rows}", *lacking])


def _span(window: Window) -> str:
    return utc_span(window.start, window.end)
