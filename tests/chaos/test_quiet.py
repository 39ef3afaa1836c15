from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fleetsyncd.database import measurements, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import readings
from fleetsyncd.demo.checker import Expectation
from fleetsyncd.demo.lateness import Lateness
from fleetsyncd.telemetry import Measurements
from tests.chaos import quiet

NAME = "Truck-01"
CHANNELS = 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 3, 1, 11, 58, tzinfo=UTC)
SILENT = START + timedelta(minutes=1)
FOUND_AFTER_SEC = 120.0


class Finding:
    """A daemon that stores all rows of a silent vehicle from START on, the late ones in time."""

    def __init__(self, database: Database, found_after_sec: float) -> None:
        self.database = database
        self.found_after_sec = found_after_sec
        self.passed_sec = 0.0
        self.vehicle_id: UUID = database.run(
            lambda cursor: vehicles.add_vehicle(cursor, NAME, "10.8.0.17", 8001, None)
        )
        Partitions(database).ensure(START, SILENT)
        database.run(lambda c: c.execute("UPDATE vehicles SET last_sync_at = %s", (SILENT,)))

    def tend(self, seconds: float) -> None:
        self.passed_sec += seconds
        if self.passed_sec >= self.found_after_sec:
            self.database.run(self._store)

    def _store(self, cursor: Cursor) -> None:
        start_ms, end_ms = (int(moment.timestamp() * 1000) for moment in (START, SILENT))
        rows = readings.rows(readings.seed_of(NAME), start_ms, end_ms, channels=CHANNELS)
        found = [(EPOCH + timedelta(milliseconds=at), c, v) for c, at, v in rows if v is not None]
        measurements.add_measurements(cursor, self.vehicle_id, Measurements.from_rows(found))

    def wait(self, start: datetime = START, since: datetime = START) -> float:
        lateness = Lateness(100, 100)
        expected = Expectation(
            self.vehicle_id,
            NAME,
            start,
            channels=CHANNELS,
            lateness=lateness,
            silent_from=SILENT,
        )
        clock = lambda: self.passed_sec  # noqa: E731  what `tend` moves
        return quiet.await_late_rows(self.database, self.tend, [expected], since, clock)


def test_the_quiet_lasts_until_no_late_row_is_missing(database: Database) -> None:
    assert Finding(database, FOUND_AFTER_SEC).wait() == FOUND_AFTER_SEC


def test_the_quiet_ends_although_a_row_is_never_found(database: Database) -> None:
    assert Finding(database, quiet.LATE_SEC * 2).wait() == quiet.LATE_SEC


@pytest.mark.parametrize("earlier", [timedelta(0), timedelta(hours=1)])
def test_the_quiet_does_not_wait_for_what_is_older_than_the_storm(
    database: Database, earlier: timedelta
) -> None:
    finding = Finding(database, quiet.LOOK_SEC)
    waited = finding.wait(start=START - timedelta(minutes=1) - earlier)
    assert waited == quiet.LOOK_SEC
