from datetime import timedelta
from uuid import UUID

from fleetsyncd.database import store, vehicles
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views import journal
from fleetsyncd.reports import BACKFILL_PREFIX, JournalEntry, Outcome
from fleetsyncd.times import utc_now

MINUTE = timedelta(minutes=1)


def note(database: Database, truck: UUID, ago: timedelta, outcome: Outcome, error: str) -> None:
    at = utc_now() - ago
    entry = JournalEntry(truck, at, at + timedelta(seconds=1), outcome, 100, error)
    database.run(lambda cursor: store.add_journal_entry(cursor, entry))


def test_the_lag_is_what_the_last_good_cycle_left_whatever_a_backfill_did(
    database: Database,
) -> None:
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    note(database, truck, 50 * MINUTE, Outcome.OK, "")
    note(database, truck, 20 * MINUTE, Outcome.OK, f"{BACKFILL_PREFIX}yesterday; complete")
    note(database, truck, 10 * MINUTE, Outcome.TIMEOUT, "/status: no complete answer")
    hour = database.run(lambda c: journal.last_hour(c, [truck]))[truck]
    assert hour.failures == 1
    known = [lag for lag in hour.lags if lag is not None]
    assert len(known) in (10, 11)
    assert abs(max(known) - 50 * 60) < 30
    assert known == sorted(known)
