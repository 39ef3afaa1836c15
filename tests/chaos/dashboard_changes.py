"""What happens to a database while somebody looks at it: vehicles, states, alarms, closed doors."""

from collections.abc import Callable
from random import Random

from psycopg2 import sql

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.settings import DatabaseSettings
from tests.bench import dashboard
from tests.bench.installation import Installation
from tests.tui.driving import beat

_ADD = """
INSERT INTO vehicles (name, vpn_ip, api_port, sync_status, last_seen_at, last_sync_at)
VALUES ('guest-' || %(n)s, '127.99.0.0'::inet + %(n)s, 1, 'ok', now(), now())
"""
_REMOVE = """
DELETE FROM vehicles WHERE id IN (SELECT id FROM vehicles ORDER BY random() LIMIT %(few)s)
"""
_FAIL = """
UPDATE vehicles SET sync_status = (ARRAY['ok', 'timeout', 'error', 'unknown'])[%(few)s],
    last_seen_at = now() - %(n)s * interval '1 s', last_sync_at = NULL
WHERE id IN (SELECT id FROM vehicles ORDER BY random() LIMIT 20)
"""
_ALARM = """
INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, severity, message, triggered_at)
SELECT id, %(n)s, 1, 'high', 'pressure [low] ' || %(n)s, now() FROM vehicles LIMIT 30
ON CONFLICT DO NOTHING
"""
_JOURNAL = """
INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written, error_msg)
SELECT id, now(), now(), 'error', %(n)s, repeat('x', %(n)s) FROM vehicles LIMIT 50
"""
_CHANNELS = """
INSERT INTO channel_config (vehicle_id, channel_id, name, unit)
SELECT id, c, 'channel ' || c, 'bar' FROM vehicles, generate_series(1, 18) c
ON CONFLICT DO NOTHING
"""
_TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = {} AND pid <> pg_backend_pid()
"""


def prepare(installation: Installation, name: str, vehicles: int) -> Database:
    """Make a database with so many vehicles, each with channels and an hour of journal."""
    installation.prepare(name, [])
    database = Database(DatabaseSettings(installation.server.parameters(name)))
    database.run(lambda cursor: dashboard.fill(cursor, vehicles))
    database.run(lambda cursor: cursor.execute(_CHANNELS))
    beat(database)
    return database


class Changes:
    """Changes the database by seeded dice; what it closes, it opens at the next change."""

    def __init__(self, server: Server, name: str, database: Database, dice: Random) -> None:
        self.count = 0
        self._server = server
        self._name = name
        self._database = database
        self._dice = dice
        self._closed = False

    def next(self) -> None:
        """Let one thing happen."""
        self.count += 1
        if self._closed:
            self.open()
        statements = [_ADD, _REMOVE, _FAIL, _ALARM, _JOURNAL, _CHANNELS]
        kinds: list[Callable[[], None]] = [self._close, self._beat]
        kinds += [lambda text=text: self._write(text) for text in statements]  # type: ignore[misc]  # mypy takes a default for no argument
        self._dice.choice(kinds)()

    def open(self) -> None:
        """Let the database be reached again."""
        self._allow(True)
        self._closed = False

    def _write(self, statement: str) -> None:
        values = {"n": self._dice.randint(1, 5000), "few": self._dice.randint(1, 4)}

        def work(cursor: Cursor) -> None:
            cursor.execute(statement, values)

        try:
            self._database.run(work)
        except FleetsyncError:
            return  # the same guest came twice

    def _beat(self) -> None:
        beat(self._database, f"{self._dice.choice((0, 20, 300))} s")

    def _close(self) -> None:
        self._closed = True
        self._allow(False)
        self._server.execute(sql.SQL(_TERMINATE).format(sql.Literal(self._name)))

    def _allow(self, allowed: bool) -> None:
        self._server.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                sql.Identifier(self._name), sql.Literal(allowed)
            )
        )
