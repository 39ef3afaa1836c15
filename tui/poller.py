"""Reads the fleet repeatedly, and has the topmost page show it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fleetsyncd.errors import DatabaseError, DatabaseLost
from tui.background import internal_error, is_live, query
from tui.context import ScreenContext
from tui.screens.page import Page, PageNeeds

T = TypeVar("T")
INTERVALS = (1.0, 2.0, 5.0, 10.0, 30.0)
DEFAULT_INTERVAL = 2.0
SOON_SEC = 0.1
"""The pause before a read for vehicles that were not on the screen at the last one."""
MAX_RETRY_SEC = 10.0
PULSE_SEC = 5.0
"""The daemons' heartbeats are read so often at least, however rarely the fleet is."""


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
        """Read and pause until the task is cancelled."""
        while True:
            self._wake.clear()
            await self._pause(await self._or_tell(self._read()))

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until woken; read the heartbeats from time to time meanwhile."""
        while not self._context.state.lost and seconds > PULSE_SEC:
            seconds -= PULSE_SEC
            if await self._woken(PULSE_SEC):
                return
            seconds = await self._or_tell(self._read_heartbeats(seconds))
        await self._woken(seconds)

    async def _woken(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _or_tell(self, reading: Awaitable[float]) -> float:
        """Return the pause after a reading; a page that cannot show it must not end the reading."""
        try:
            return await reading
        except Exception as error:
            self._on_fault(error)
            return self.interval

    async def _read(self) -> float:
        """Read the fleet once and show it; return the pause before the next read in seconds.

        While the screen is frozen, only the heartbeats are read.
        """
        state, gateway = self._context.state, self._context.gateway
        if state.frozen_at is not None and state.snapshot is not None:
            return await self._read_heartbeats(self.interval)
        before = state.lost, state.snapshot is None
        needs = self._page_needs()
        pause = await self._update_state(
            lambda: gateway.snapshot(needs.last_hour, tail=needs.journal_tail),
            state.update,
            self.interval,
        )
        page = self._page()
        if page is not None:
            page.update_page()
        if not state.lost and not set(self._page_needs().last_hour) <= set(needs.last_hour):
            pause = SOON_SEC
        if (state.lost, state.snapshot is None) != before:
            self._on_change()
        return pause

    async def _read_heartbeats(self, pause: float) -> float:
        """Read the heartbeats and show them; return `pause`, or a shorter one after an error."""
        state = self._context.state
        was_lost = state.lost
        pause = await self._update_state(
            self._context.gateway.heartbeats, state.update_heartbeats, pause
        )
        page = self._page()
        if page is not None:
            page.tick()
        if state.lost != was_lost:
            self._on_change()
        return pause

    async def _update_state(
        self, read: Callable[[], T], update: Callable[[T, float], None], pause: float
    ) -> float:
        """Read, and update the state; return `pause`, or after an error that before a retry."""
        state = self._context.state
        try:
            result = await query(read)
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
        update(result, self._context.now())
        return pause

    def _page_needs(self) -> PageNeeds:
        page = self._page()
        return page.needs() if page is not None and is_live(page) else PageNeeds()
