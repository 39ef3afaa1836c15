"""Measurements in a hidden table behind a view: a plain one, or with the extension a hypertable."""

from datetime import timedelta

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.hidden import conversion, hypertable, obstacles
from fleetsyncd.database.schema.hidden.conversion import Hypertable, State
from fleetsyncd.database.schema.lock_waits import Patience
from fleetsyncd.demo.embedded import OWNER, Server
from fleetsyncd.settings import DatabaseSettings

QUICK = Patience(60, 0.02)


def plain(_cursor: Cursor) -> str:
    """Leave the hidden table a plain one."""
    return ""


def chunks_of(chunk: timedelta) -> Hypertable:
    """Make the hidden table a hypertable."""
    return lambda cursor: hypertable.create(cursor, chunk)


def hide(server: Server, name: str, make: Hypertable = plain, patience: Patience = QUICK) -> bool:
    """Put a database's measurements behind a view."""
    settings = DatabaseSettings(server.parameters(name, OWNER))
    return conversion.convert(settings, lambda c: list(obstacles.misfits(c, None)), make, patience)


def bring_back(server: Server, name: str, patience: Patience = QUICK) -> State:
    """Make measurements a table again."""
    settings = DatabaseSettings(server.parameters(name, OWNER))
    return conversion.undo(settings, obstacles.way_back, patience)
