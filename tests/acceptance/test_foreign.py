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
from tests.acceptance.foreign import KEY, ForeignVehicle, OddHandler, serving, text

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


def test_a_vehicle_that_writes_everything_in_another_way_is_pulled_all_the_same(
    adopted: Installation,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    start = now - timedelta(minutes=8)
    with serving(handler=OddHandler) as vehicle:
        vehicle.record(start, seconds=470, channels=18)
        vehicle.query("INSERT INTO alarms VALUES (7, NULL, NULL, 'hot', ?, NULL)", text(start))
        register(adopted, vehicle, start)
        adopted.rows("UPDATE vehicles SET software_version = '1.2' WHERE name = 'F'")
        daemon = adopted.daemon("--cycles", "2")
        assert daemon.end() == 0, daemon.lines
        code, output, _ = adopted.command("vehicle", "test", "F")
        assert (code, output.count("bad")) == (0, 0), output
        assert "sw=? db_ok=True" in output
        expected = vehicle.query("SELECT count(*) FROM rows WHERE value IS NOT NULL")
    state = "SELECT id, sync_status, software_version FROM vehicles WHERE name = 'F'"
    ((mine, *status),) = adopted.rows(state)
    assert status == ["ok", "1.2"]
    count = "SELECT count(*) FROM measurements WHERE vehicle_id = %s"
    assert adopted.rows(count, mine) == expected
    alarms = "SELECT alarm_id, channel_id, severity FROM alarms_log WHERE vehicle_id = %s"
    assert adopted.rows(alarms, mine) == [(7, None, "3")]
    channels = "SELECT count(*), min(min_value) FROM channel_config WHERE vehicle_id = %s"
    assert adopted.rows(channels, mine) == [(18, None)]
    remarks = "SELECT DISTINCT error_msg FROM sync_journal WHERE vehicle_id = %s"
    assert adopted.rows(remarks, mine) == [(None,)]


def register(installation: Installation, vehicle: ForeignVehicle, start: datetime) -> None:
    host, port = vehicle.server_address[:2]
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port, api_key, last_sync_at)"
        " VALUES ('F', %s, %s, %s, %s)",
        *(host, port, KEY, start),
    )


def test_a_vehicle_that_asks_for_a_rest_is_left_alone_until_an_operator_wants_it_synced(
    adopted: Installation,
) -> None:
    refused = "SELECT count(*) >= %s FROM sync_journal WHERE error_msg LIKE %s"
    text_of_it = '/status: HTTP 429: {"error": "busy"}; not asked again for 120 s'
    with serving() as vehicle:
        register(adopted, vehicle, datetime.now(UTC) - timedelta(seconds=60))
        vehicle.retry_after = "120"
        daemon = adopted.daemon()
        adopted.until(refused, 1, text_of_it)
        for _ in range(3):
            daemon.wait_for("Starting sync cycle for 2 vehicle")
        assert vehicle.asked == ["/status"]
        vehicle.retry_after = None
        assert adopted.command("vehicle", "sync", "F")[0] == 0
        adopted.until("SELECT sync_status = 'ok' FROM vehicles WHERE name = 'F'", within=5)
        assert len(vehicle.asked) > 3


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
