from datetime import timedelta
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database import (
    outcomes,
    vehicles,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views import journal
from fleetsyncd.demo.embedded import Server
from fleetsyncd.remarks import BACKFILL_PREFIX
from fleetsyncd.reports import JournalEntry, Outcome
from fleetsyncd.times import utc_now
from tests.tui.driving import execute

MINUTE = timedelta(minutes=1)


def note(database: Database, truck: UUID, ago: timedelta, outcome: Outcome, error: str) -> None:
    at = utc_now() - ago
    entry = JournalEntry(truck, at, at + timedelta(seconds=1), outcome, 100, error)
    database.run(lambda cursor: outcomes.add_journal_entry(cursor, entry))


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


def journal_of(database: Database, vehicles: int, entries: int) -> list[UUID]:
    """Return vehicles of which each has so many attempts, the first one those that are newest."""
    execute(
        database,
        "INSERT INTO vehicles (name, vpn_ip, api_port)"
        " SELECT 'Truck-' || n, '10.8.0.1', 8000 + n FROM generate_series(1, %s) n",
        vehicles,
    )
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
        " SELECT id, t, t, CASE WHEN e %% 5 = 0 THEN 'error' ELSE 'ok' END"
        " FROM vehicles, generate_series(1, %s) e,"
        " LATERAL (SELECT now() - api_port * interval '1 s' - e * interval '10 s') x(t)",
        entries,
    )
    rows = execute(database, "SELECT id FROM vehicles ORDER BY api_port")
    return [UUID(str(row[0])) for row in rows]


@pytest.mark.parametrize(
    ("statuses", "limit"),
    [((), 8), ((), 40), ((Outcome.TIMEOUT, Outcome.ERROR), 8), ((Outcome.TIMEOUT,), 40)],
)
def test_the_newest_rows_of_many_vehicles_are_read_without_their_whole_journals(
    server: Server,
    database: Database,
    database_name: str,
    statuses: tuple[Outcome, ...],
    limit: int,
) -> None:
    trucks = journal_of(database, vehicles=12, entries=4000)
    for hours in range(1, 5):
        note(database, trucks[0], hours * 60 * MINUTE, Outcome.TIMEOUT, "rare")
    server.execute(sql.SQL("VACUUM ANALYZE public.sync_journal"), database=database_name)

    def read(cursor: Cursor) -> int:
        rows = journal.read_journal(cursor, vehicles=trucks, statuses=statuses, limit=limit)
        assert len(rows) == (4 if statuses == (Outcome.TIMEOUT,) else limit)
        cursor.execute(
            "SELECT sum(coalesce(idx_tup_fetch, 0) + seq_tup_read)::int"
            " FROM pg_stat_xact_user_tables WHERE relname = 'sync_journal'"
        )
        return int(cursor.fetchall()[0][0])

    few = 20  # of the 4,000 of each: the sort reads some rows ahead
    assert database.run(read) <= few * len(trucks)


@pytest.mark.parametrize(
    "statuses", [(), (Outcome.ERROR,), (Outcome.OK,), (Outcome.TIMEOUT, Outcome.ERROR)]
)
def test_the_pages_of_some_vehicles_are_those_rows_of_the_whole_journal(
    database: Database, statuses: tuple[Outcome, ...]
) -> None:
    trucks = journal_of(database, vehicles=6, entries=20)
    everything = database.run(lambda c: journal.read_journal(c, limit=1000))
    some = trucks[1:5]
    wanted = [e.id for e in everything
              if e.vehicle_id in some and (not statuses or e.status in statuses)]  # fmt: skip
    read: list[int | None] = []
    before = None
    while page := database.run(
        lambda c, above=before: journal.read_journal(  # type: ignore[misc]  # of a loop
            c, vehicles=some, statuses=statuses, before=above, limit=7
        )
    ):
        read += [entry.id for entry in page]
        before = page[-1]
    assert read == wanted
    assert database.run(lambda c: journal.read_journal(c, vehicles=[])) == []
