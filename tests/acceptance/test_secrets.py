import re
import signal
from pathlib import Path

from fleetsyncd.database import vehicles
from tests.acceptance.conftest import Installation
from tests.hostile import HostileServer, http

KEY = "a-key-that-must-stay-secret-4711"
TEXTS = """
SELECT table_schema::text, table_name::text, column_name::text FROM information_schema.columns
WHERE table_schema IN ('public', 'fleetsync') AND data_type IN ('text', 'character varying')
  AND (table_name, column_name) <> ('vehicles', 'api_key')
"""


def stored_texts(installation: Installation) -> str:
    """Return everything that any text column of ours holds, the key's own column aside."""
    texts = []
    for schema, table, column in installation.rows(TEXTS):
        texts += installation.rows(f"SELECT {column} FROM {schema}.{table}")  # noqa: S608  a test's
    return str(texts)


def test_a_key_is_in_no_log_row_or_process_list_even_if_the_vehicle_echoes_it(
    installation: Installation,
) -> None:
    answer = [http(KEY.encode(), f"X-Echo: {KEY}", status=f"418 {KEY}")]
    with HostileServer(*[answer] * 100) as vehicle:
        installation.database.run(
            lambda c: vehicles.add_vehicle(c, "Truck-01", vehicle.host, vehicle.port, KEY)
        )
        daemon = installation.daemon(LOG_LEVEL="DEBUG", LOG_FORMAT="json")
        daemon.wait_for("418")
        command_line = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
        limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
        assert vehicle.header("x-api-key") == KEY
        shown = [installation.command(*words)[1:] for words in (
            ["status", "--json"], ["vehicle", "list", "--json"], ["vehicle", "test", "Truck-01"],
            ["quarantine", "list"],
        )]  # fmt: skip
    assert installation.rows("SELECT count(*) > 0 FROM sync_journal") == [(True,)]
    assert KEY not in "\n".join(daemon.lines)
    assert KEY not in stored_texts(installation)
    assert KEY.encode() not in command_line
    assert re.search(r"Max core file size\s+0 ", limits)
    assert KEY not in str(shown)
