"""Reads the fleet repeatedly, and has the topmost page show it."""

import asyncio
from collections.abc import Callable

from fleetsyncd.errors import DatabaseError, DatabaseLost
from tui.background import internal_error, is_live, query
from tui.context import ScreenContext
from tui.screens.page import Page, PageNeeds

INTERVALS = (1.0, 2.0, 5.0, 10.0, 30.0)
DEFAULT_INTERVAL = 2.0
SOON_SEC = 0.1
"""The pause before a read for vehicles that were not on the screen at the last one."""
MAX_RETRY_SEC = 10.0


class Poller:
    """Reads the fleet; the next read starts `interval` seconds after the last one has ended.

    `page` returns the topmost page, if there is one. `on_change` is called when the database is
    lost, and when it is back; `on_fault` gets an error of what shows the fleet.
    """

    def __init__(
        self,
        context: ScreenContext,
        page: Callable[[], Page | None],
        on_change: Callable[[], object],
        on_fault: Callable[[Exception], object],
    ) -> None:
        self.interval = DEFAULT_INTERVAL
        self._context = context
        self._page = page
        self._on_change = on_change
        self._on_fault = on_fault
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """End the pause: read the fleet at once."""
        self._wake.set()

    def change_interval(self, step: int) -> float:
        """Use the next longer (1) or next shorter (-1) interval; return it in seconds."""
        index = INTERVALS.index(self.interval) + step
        self.interval = INTERVALS[max(0, min(index, len(INTERVALS) - 1))]
        self.wake()
        return self.interval

    async def run(self) -> None:
        """Read and pause until the task is cancelled; while the screen is frozen, only pause."""
        while True:
            self._wake.clear()
            frozen = self._context.state.frozen_at is not None
            pause = self.interval if frozen else await self._read_or_tell()
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    async def _read_or_tell(self) -> float:
        """Read and show; a page that cannot show it must not end the reading."""
        try:
            return await self._read()
        except Exception as error:
            self._on_fault(error)
            return self.interval

    async def _read(self) -> float:
        """Read the fleet once and show it; return the pause before the next read in seconds."""
        state = self._context.state
        was_lost = state.lost
        needs = self._page_needs()
        pause = await self._update_state(needs)
        page = self._page()
        if page is not None:
            page.update_page()
        if not state.lost and not set(self._page_needs().last_hour) <= set(needs.last_hour):
            pause = SOON_SEC
        if state.lost != was_lost:
            self._on_change()
        return pause

    async def _update_state(self, needs: PageNeeds) -> float:
        state, gateway = self._context.state, self._context.gateway
        try:
            snapshot = await query(
                lambda: gateway.snapshot(needs.last_hour, tail=needs.journal_tail)
            )
        except Exception as error:
            # After any error the next read may succeed, and old rows are better than none.
            pause = min(MAX_RETRY_SEC, 2.0 ** min(state.failed_reads, 8))
            message = str(error)
            if not isinstance(error, DatabaseError):
                message = internal_error(error)
                self._on_fault(error)
            refused = not isinstance(error, DatabaseLost)
            state.mark_lost(message, self._context.now(), pause, refused=refused)
            return pause
        state.update(snapshot, self._context.now())
        return self.interval

    def _page_needs(self) -> PageNeeds:
        page = self._page()
        return page.needs() if page is not None and is_live(page) else PageNeeds()
