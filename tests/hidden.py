"""Measurements in a hidden table behind a view: a plain one, or with the extension a hypertable."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from psycopg2 import sql

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.hidden import conversion, hypertable, obstacles
from fleetsyncd.database.schema.hidden.conversion import Hypertable, State
from fleetsyncd.database.schema.lock_waits import Patience
from fleetsyncd.demo import embedded
from fleetsyncd.demo.embedded import OWNER, Server
from fleetsyncd.settings import DatabaseSettings

QUICK = Patience(60, 0.02)


AVAILABLE = "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'"
_CREATED = "SELECT FROM pg_extension WHERE extname = 'timescaledb'"


def best(cursor: Cursor, chunk: timedelta = timedelta(days=1)) -> str:
    """Make the hidden table a hypertable where the extension is; else leave it plain."""
    cursor.execute(_CREATED)
    return hypertable.create(cursor, chunk) if cursor.fetchall() else ""


def short_chunks(cursor: Cursor) -> str:
    """As `best`, with a chunk a minute."""
    return best(cursor, timedelta(minutes=1))


def extend(server: Server, name: str, folder: Path, *, durable: bool = False) -> Server:
    """Give a database the extension, if the server has it, and restart that for it."""
    with closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(AVAILABLE)
        if not cursor.fetchall():
            return server
    server.execute(sql.SQL("ALTER SYSTEM SET shared_preload_libraries = 'timescaledb'"))
    server.stop()
    server = embedded.start(folder, durable=durable)
    # Its workers would keep the template from being copied.
    server.execute(sql.SQL("ALTER SYSTEM SET timescaledb.max_background_workers = 0"))
    server.stop()
    server = embedded.start(folder, durable=durable)
    server.execute(sql.SQL("CREATE EXTENSION timescaledb"), database=name)
    return server


def hide(server: Server, name: str, make: Hypertable = best, patience: Patience = QUICK) -> bool:
    """Put a database's measurements behind a view."""
    settings = DatabaseSettings(server.parameters(name, OWNER))
    return conversion.convert(settings, lambda c: list(obstacles.misfits(c, None)), make, patience)


def bring_back(server: Server, name: str, patience: Patience = QUICK) -> State:
    """Make measurements a table again."""
    settings = DatabaseSettings(server.parameters(name, OWNER))
    return conversion.undo(settings, obstacles.way_back, patience)
