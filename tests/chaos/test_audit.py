from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fleetsyncd.database import (
    measurements,
    outcomes,
    store,
    vehicles,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.reports import JournalEntry, Outcome
from fleetsyncd.reports import Outcome as Ended
from fleetsyncd.telemetry import BadRow, Measurements
from tests.chaos import audit
from tests.chaos.audit import Truth

NAME = "Truck-01"
LOG = "2026-02-23 10:00:00 [{}] sync: [Truck-01] {}"
WROTE = LOG.format("INFO", "online  sw=1.1.0  db_ok=True  wrote 2 measurements  window=60s")
REPEATED = LOG.format("DEBUG", "timeout on /status: no complete answer within 1.5 s (2 in a row)")
FAILED = LOG.format("WARNING", "timeout on /status: no complete answer within 1.5 s")
Work = Callable[[Cursor], object]


class Watched:
    """A database that notes what is committed, with one vehicle that had one honest cycle."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.vehicle_id = database.run(
            lambda c: vehicles.add_vehicle(c, NAME, "10.8.0.17", 8001, None)
        )
        self.run("UPDATE vehicles SET last_sync_at = now() - interval '1 minute'")
        self.now = datetime.now(UTC)
        Partitions(database).ensure(self.now, self.now)
        started = datetime.now(UTC)
        database.run(self._pull)
        self.journal(Ended.OK, 2, started_at=started)

    def _pull(self, cursor: Cursor) -> None:
        rows = [(self.now - timedelta(seconds=10), channel, 0.5) for channel in (1, 2)]
        measurements.add_measurements(cursor, self.vehicle_id, Measurements.from_rows(rows))
        cursor.execute("UPDATE vehicles SET last_sync_at = %s", (self.now,))

    def run(self, statement: str) -> None:
        self.database.run(lambda cursor: cursor.execute(statement))

    def journal(
        self,
        ended: Outcome,
        rows: int,
        reason: str | None = None,
        started_at: datetime | None = None,
    ) -> None:
        now = datetime.now(UTC)
        entry = JournalEntry(self.vehicle_id, started_at or now, now, ended, rows, reason)
        self.database.run(lambda cursor: outcomes.add_journal_entry(cursor, entry))

    def audit(self, *log_lines: str) -> Truth:
        return audit.audit(self.database, log_lines)


@pytest.fixture
def watched(server: Server, database_name: str, database: Database) -> Watched:
    audit.install(server, database_name)
    return Watched(database)


def test_an_honest_cycle_and_its_log_are_true(watched: Watched) -> None:
    watched.journal(Ended.TIMEOUT, 0, "/status: no complete answer within 1.5 s")
    audited = watched.audit(WROTE, FAILED)
    assert audited == Truth()
    assert audited.clean


def test_an_ok_row_without_a_commit_is_found(watched: Watched) -> None:
    watched.journal(Ended.OK, 0)
    assert watched.audit().untrue_journal == 1


def test_a_row_that_claims_more_than_was_added_is_found(watched: Watched) -> None:
    watched.run("DELETE FROM sync_journal")
    watched.journal(Ended.OK, 3, started_at=watched.now)
    assert watched.audit().untrue_journal == 1


def test_more_rows_than_are_stored_are_found_where_no_trigger_notes_them(
    server: Server, database_name: str, database: Database
) -> None:
    audit.install(server, database_name, None)
    watched = Watched(database)
    assert audit.audit(database, [], noted_rows=False).clean
    watched.run("DELETE FROM sync_journal")
    watched.journal(Ended.OK, 3, started_at=watched.now)
    assert audit.audit(database, [], noted_rows=False).untrue_journal == 1


def test_a_failure_without_its_reason_is_found(watched: Watched) -> None:
    watched.journal(Ended.ERROR, 0)
    assert watched.audit().untrue_journal == 1


@pytest.mark.parametrize("step", ["- interval '1 second'", "+ interval '1 hour'"])
def test_a_watermark_set_back_or_ahead_of_our_clock_is_found(watched: Watched, step: str) -> None:
    watched.run(f"UPDATE vehicles SET last_sync_at = last_sync_at {step}")  # noqa: S608  a constant
    assert watched.audit().untrue_watermarks == 1


def test_a_commit_that_was_rolled_back_leaves_no_note(watched: Watched) -> None:
    def undone(cursor: Cursor) -> None:
        cursor.execute("UPDATE vehicles SET last_sync_at = now() + interval '1 hour'")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  raised right above
        watched.database.run(undone)
    assert watched.audit().clean


@pytest.mark.parametrize("line", [WROTE, FAILED, REPEATED])
def test_a_cycle_in_the_log_that_the_journal_lacks_is_found(watched: Watched, line: str) -> None:
    watched.run("DELETE FROM sync_journal")
    assert watched.audit(line).missing_journal == 1


def test_a_good_row_in_the_quarantine_is_found(watched: Watched) -> None:
    rows = [
        BadRow("/data", f'{{"channel_id":1,"value":0.5,"time":"{time}"}}', "refused")
        for time in (watched.now.isoformat(), "1970-01-01T00:00:00Z")
    ]
    vehicle_id: UUID = watched.vehicle_id
    watched.database.run(lambda cursor: store.quarantine_rows(cursor, vehicle_id, rows))
    assert watched.audit().good_in_quarantine == 1
