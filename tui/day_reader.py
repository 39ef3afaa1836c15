"""Reads the last day of the vehicles on a page in the background, a few vehicles at a time."""

from collections.abc import Callable, Collection
from functools import partial
from uuid import UUID

from textual.widget import Widget

from tui.background import query, read_part
from tui.context import ScreenContext

VEHICLES_AT_ONCE = 8
"""Of one query: a vehicle's day has 2,880 entries, spread over as many pages of the table."""


class DayReader:
    """Keeps the days of a page's vehicles up to date; `on_read` is called after each part."""

    def __init__(self, page: Widget, context: ScreenContext, on_read: Callable[[], object]) -> None:
        self._page = page
        self._context = context
        self._on_read = on_read
        self._wanted: Collection[UUID] = ()
        self._reading = False

    def want(self, ids: Collection[UUID]) -> None:
        """Read the days of these vehicles, unless they were read within the last minute."""
        self._wanted = ids
        if not self._reading and self._due():
            self._reading = True
            read_part(self._page, self._load, "days")

    def _due(self) -> list[UUID]:
        return self._context.days.due(self._wanted, self._context.now())

    async def _load(self) -> None:
        days, gateway = self._context.days, self._context.gateway
        try:
            while self._page.is_attached and (due := self._due()):
                since = partial(days.since, due[:VEHICLES_AT_ONCE])
                read = await query(partial(gateway.journal_hours, since))
                days.keep(read, self._context.now())
                if self._page.is_attached:
                    self._on_read()
        finally:
            self._reading = False
