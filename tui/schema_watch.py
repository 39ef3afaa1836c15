"""Looks from time to time whether a newer program has migrated the database."""

import asyncio

from fleetsyncd.errors import DatabaseError
from tui.background import query
from tui.context import ScreenContext

EVERY_SEC = 60.0
"""Migrations are rare."""
RETRY_SEC = 5.0
"""The pause after a read that failed; why it failed is told by the reads of the fleet."""


async def watch_schema(context: ScreenContext) -> None:
    """Keep the notice of a newer schema up to date, until the task is cancelled."""
    while True:
        await asyncio.sleep(await _look(context))


async def _look(context: ScreenContext) -> float:
    """Look once; return the pause in seconds before the next time."""
    try:
        context.state.newer_schema = await query(context.gateway.newer_schema)
    except DatabaseError:  # a role that only looks may not read the history of migrations
        return RETRY_SEC if context.state.lost else EVERY_SEC
    return EVERY_SEC
