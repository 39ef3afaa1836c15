"""Syncs that an operator requests, and how they end."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from fleetsyncd.errors import FleetsyncError
from fleetsyncd.reports import JournalEntry, Outcome
from fleetsyncd.states import State
from fleetsyncd.text import counted, listed
from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.confirm import confirm_action
from tui.model.targets import Targets
from tui.operating import attempt
from tui.ui import UI

OUTCOME_SEC = 60.0
"""How long an operation waits for the outcome of a sync."""
POLL_SEC = 0.5


class Syncs:
    """Requests syncs, and reports their outcome."""

    def __init__(self, ui: UI, context: ScreenContext) -> None:
        self._ui = ui
        self._context = context
        self._gateway = context.gateway

    async def request(self, targets: Targets) -> None:
        """Request a sync of the targets and report its outcome; name the paused ones."""
        paused = targets.where(lambda vehicle: vehicle.state is State.PAUSED)
        if paused:
            self._ui.say(f"{paused.names()}: paused, press p to resume", error=True)
        active = targets.where(lambda vehicle: vehicle.state is not State.PAUSED)
        if not active:
            return
        if active.ambiguous and await self._ui.ask(confirm_action("Sync", active)) is not True:
            return
        requested_at = await attempt(self._ui, lambda: self._gateway.sync(active.names_by_id))
        if requested_at is not None:
            self._ui.say(f"{active.names()}: sync requested")
            await self._report_outcome(active, requested_at.value)
        self._ui.reload()

    async def _report_outcome(self, targets: Targets, requested_at: datetime) -> None:
        """Wait until all targets are pulled, at most OUTCOME_SEC, and report the outcome."""
        deadline = self._context.now() + OUTCOME_SEC
        entries: dict[UUID, JournalEntry] = {}
        while len(entries) < len(targets) and self._context.now() < deadline:
            await asyncio.sleep(POLL_SEC)
            try:
                entries = await in_thread(lambda: self._gateway.outcomes(targets.ids, requested_at))
            except FleetsyncError:
                return  # the poller meets the same error and shows it
        ok = sum(entry.status == Outcome.OK for entry in entries.values())
        text = outcome_text(targets, entries)
        self._ui.say(f"sync of {targets.title}: {text}", error=ok < len(targets))


def outcome_text(targets: Targets, entries: Mapping[UUID, JournalEntry]) -> str:
    """Say how a sync of the targets ended by their journal `entries`; name those that failed."""
    not_pulled = f"not pulled within {OUTCOME_SEC:g} s"
    if not entries:
        return not_pulled
    if len(targets) == 1:
        (entry,) = entries.values()
        ok = entry.status == Outcome.OK
        return f"ok, {counted(entry.rows_written, 'row')}" if ok else _reason(entry)
    failed = [
        f"{vehicle.name} ({_reason(entries[vehicle.id])})"
        for vehicle in targets
        if vehicle.id in entries and entries[vehicle.id].status != Outcome.OK
    ]
    missing = [vehicle.name for vehicle in targets if vehicle.id not in entries]
    parts = [f"{len(entries) - len(failed)} ok"]
    if failed:
        parts.append(f"{len(failed)} failed: {listed(failed)}")
    if missing:
        parts.append(f"{len(missing)} {not_pulled}: {listed(missing)}")
    return "; ".join(parts)


def _reason(entry: JournalEntry) -> str:
    return f"{entry.status}, {entry.error_msg or 'no reason given'}"
