"""Backfills that an operator requests or cancels, and how they end."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from fleetsyncd.database.views.backfills import BackfillStatus
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.models import Window
from fleetsyncd.states import State
from fleetsyncd.times import utc_span
from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.backfill import BackfillForm, CancelBackfill
from tui.operating import Targets, attempt, ids, names_text
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
        keys = ids(targets)
        known = await attempt(
            self._ui, lambda: (self._gateway.pull_rate(keys), self._gateway.backfills(keys))
        )
        if known is None:
            return
        rate, statuses = known.value
        versions = {key: each.asked_at for key, each in statuses.items() if not each.finished}
        form = BackfillForm(
            self._context,
            f"Backfill {names_text(targets)}",
            len(targets),
            rate,
            running=bool(versions),
            notice=paused_text(targets),
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
        name = names_text(targets)
        if cancelled == shown:
            self._ui.say(f"{name}: backfill cancelled")
        else:
            text = f"{cancelled} of {shown} cancelled, the others ended or changed meanwhile"
            self._ui.say(f"{name}: {text}", error=True)

    async def _request(self, targets: Targets, window: Window) -> None:
        requested = await attempt(self._ui, lambda: self._gateway.backfill(ids(targets), window))
        if requested is None:
            return
        intervals = {status.window for status in requested.value.values()}
        real = _span(next(iter(intervals))) if len(intervals) == 1 else "several intervals"
        self._ui.say(f"{names_text(targets)}: backfill of {real} requested")
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
        done = [status for status in ended.values() if status is not None]
        text = outcome_text(done, len(ended))
        whole = len(done) == len(ended) and all(status.is_whole for status in done)
        self._ui.say(f"{names_text(targets)}: backfill {text}", error=not whole)


def paused_text(targets: Targets) -> str:
    """Say which of the targets are paused, so that their backfills wait; empty without any."""
    paused = [vehicle for vehicle in targets if vehicle.state is State.PAUSED]
    if not paused:
        return ""
    return f"{names_text(paused)}: paused, a backfill waits until p resumes it"


def outcome_text(done: Sequence[BackfillStatus], requested: int) -> str:
    """Say how backfills ended: those that are done, of so many that were requested."""
    others = requested - len(done)
    if requested == 1:
        (status,) = done or (None,)
        if status is None:
            return "cancelled or replaced"
        return f"{status.outcome}, {status.rows_added:,} rows"
    gone = sum(status.gone_sec > 0 for status in done)
    parts = [f"{len(done)} complete, {sum(status.rows_added for status in done):,} rows"]
    parts += [f"{gone} of them lack what is gone"] if gone else []
    lacking = sum(status.lacks_alarms for status in done)
    parts += [f"{lacking} of them without alarms"] if lacking else []
    parts += [f"{others} cancelled or replaced"] if others else []
    return "; ".join(parts)


def _span(window: Window) -> str:
    return utc_span(window.start, window.end)
