"""The daemon against an API and a database that this project did not make."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from fleetsyncd.database.pool import Database
from fleetsyncd.demo import embedded
from fleetsyncd.settings import DatabaseSettings
from tests.acceptance.conftest import Installation
from tests.acceptance.foreign import KEY, serving, text

ADOPTED = Path(__file__).parents[1] / "integration" / "adopted.sql"


@pytest.fixture
def adopted(server: embedded.Server, empty_database: str) -> Iterator[Installation]:
    """Return an installation that was there before, migrated by its owner's command."""
    owner = psycopg2.connect(make_dsn(**server.parameters(empty_database, embedded.OWNER)))
    with owner, owner.cursor() as cursor:
        cursor.execute(ADOPTED.read_text())
    owner.close()
    database = Database(DatabaseSettings(server.parameters(empty_database)))
    with ExitStack() as stack:
        installation = Installation(server, empty_database, database, stack)
        code, _, errors = installation.command("migrate", DB_USER=embedded.OWNER)
        assert code == 0, errors
        yield installation
    database.close()


def test_every_row_of_a_foreign_vehicle_reaches_a_foreign_database(adopted: Installation) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    start = now - timedelta(minutes=30)
    with serving() as vehicle:
        vehicle.record(start, seconds=1790, channels=18)
        vehicle.query("INSERT INTO alarms VALUES (?, 3, NULL, 'hot', ?, NULL)", 2**62, text(start))
        host, port = vehicle.server_address[:2]
        adopted.rows(
            "INSERT INTO vehicles (name, vpn_ip, api_port, last_sync_at) VALUES ('F', %s, %s, %s)",
            host,
            port,
            start,
        )
        daemon = adopted.daemon("--cycles", "2", VEHICLE_DEFAULT_API_KEY=KEY)
        assert daemon.end() == 0, daemon.lines
        expected = {
            (channel, value, datetime.fromisoformat(moment))
            for channel, value, moment in vehicle.query("SELECT * FROM rows")
            if value is not None
        }
    stored = adopted.rows(
        "SELECT channel_id, value, time FROM measurements"
        " WHERE vehicle_id = (SELECT id FROM vehicles WHERE name = 'F')"
    )
    assert len(stored) == len(expected)
    assert set(stored) == expected
    assert adopted.rows("SELECT alarm_id FROM alarms_log WHERE message = 'hot'") == [(2**62,)]
    state = "SELECT sync_status, software_version FROM vehicles WHERE name = 'F'"
    assert adopted.rows(state) == [("ok", "9.9.9")]


def test_rows_that_appear_under_the_watermark_a_moment_later_are_stored(
    adopted: Installation,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    with serving() as vehicle:
        host, port = vehicle.server_address[:2]
        adopted.rows(
            "INSERT INTO vehicles (name, vpn_ip, api_port, api_key) VALUES ('F', %s, %s, %s)",
            host,
            port,
            KEY,
        )
        daemon = adopted.daemon()
        daemon.wait_for("Cycle done")
        vehicle.record(now - timedelta(seconds=1), seconds=2, channels=18)
        assert (
            adopted.until(
                "SELECT count(*) >= 30 FROM measurements WHERE time > %s",
                now - timedelta(seconds=5),
            )
            < 4
        )
