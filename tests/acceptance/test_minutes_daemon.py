"""Daemons keep minutes beside their cycles, and they are what the rows say."""

import signal
from datetime import timedelta

import pytest

from tests.acceptance.conftest import Installation
from tests.integration.test_minutes import due, expected, stored

SETTINGS = {"MINUTES_KEEP_MONTHS": "0", "LOG_LEVEL": "WARNING"}
FRESH = "SELECT bool_and(last_sync_at > now() - interval '10 s') FROM vehicles"
KEPT = """
SELECT count(*) = 3 AND bool_and(minutes_to > now() - interval '17 min')
    AND NOT EXISTS (SELECT FROM fleetsync.minute_due)
FROM fleetsync.minute_state
"""


def test_minutes_are_exact_while_daemons_are_killed(installation: Installation) -> None:
    installation.fleet(3, ago=timedelta(hours=3), channels=2)
    first, second = (installation.daemon(**SETTINGS) for _ in range(2))
    installation.until("SELECT count(*) > 0 FROM fleetsync.minute_state")
    first.process.kill()
    installation.until(FRESH, within=60)
    installation.until(KEPT, within=90)
    second.process.send_signal(signal.SIGTERM)
    assert second.end() == 0
    database = installation.database
    assert not due(database)
    found = {row[:3]: row[3:] for row in stored(database)}
    assert found == {row[:3]: pytest.approx(row[3:], rel=1e-9) for row in expected(database)}
    assert len(found) > 3 * 2 * 150
