"""Reads the fleet over and over, and has the page on top show it."""

import asyncio
from collections.abc import Callable

from fleetsyncd.errors import DatabaseError, DatabaseLost
from tui.background import internal_error, query
from tui.context import ScreenContext
from tui.screens.page import Needs, Page

INTERVALS = (1.0, 2.0, 5.0, 10.0, 30.0)
DEFAULT_INTERVAL = 2.0
SOON_SEC = 0.1
"""For the last hour of vehicles that have only just come onto the screen."""
LONGEST_RETRY_SEC = 10.0


class Poller:
    """The next reading begins `interval` seconds after the last one has ended.

    `page` returns the page on top, if there is one; `on_change` is called when the database was
    lost or is back.
    """

    def __init__(
        self,
        context: ScreenContext,
        page: Callable[[], Page | None],
        on_change: Callable[[], object],
    ) -> None:
        self.interval = DEFAULT_INTERVAL
        self._context = context
        self._page = page
        self._on_change = on_change
        self._wake = asyncio.Event()

    def soon(self) -> None:
        """Read without waiting for the next time."""
        self._wake.set()

    def change_interval(self, step: int) -> float:
        """Read less often (1) or more often (-1), from now on; return the interval."""
        place = INTERVALS.index(self.interval) + step
        self.interval = INTERVALS[max(0, min(place, len(INTERVALS) - 1))]
        self.soon()
        return self.interval

    async def run(self) -> None:
        """Read, show, pause, for ever."""
        while True:
            self._wake.clear()
            frozen = self._context.state.frozen_at is not None
            pause = self.interval if frozen else await self._read()
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    async def _read(self) -> float:
        """Read the fleet once and show it; return how long to pause."""
        state, gateway = self._context.state, self._context.gateway
        was_lost = state.lost
        on_screen, tail = self._wanted()
        try:
            snapshot = await query(lambda: gateway.snapshot(on_screen, tail=tail))
        except Exception as error:
            # Whatever it is, the next reading may do better, and old rows are better than none.
            pause = min(LONGEST_RETRY_SEC, 2.0 ** min(state.attempts, 8))
            told = str(error) if isinstance(error, DatabaseError) else internal_error(error)
            there = not isinstance(error, DatabaseLost)
            state.lose(told, self._context.now(), pause, refused=there)
        else:
            state.take(snapshot, self._context.now())
            pause = self.interval
        page = self._page()
        if page is not None and page.is_mounted:
            page.update_page()
        if not (state.lost or set(self._wanted()[0]) <= set(on_screen)):
            pause = SOON_SEC
        if state.lost != was_lost:
            self._on_change()
        return pause

    def _wanted(self) -> Needs:
        page = self._page()
        return ([], False) if page is None else page.needs()
