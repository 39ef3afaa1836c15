"""When the disk is full: what is never dropped has no end, and minutes grow with measurements."""

from datetime import timedelta
from uuid import UUID

import pytest

from fleetsyncd.conditions.model import Terms
from fleetsyncd.database import vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views import storage as view
from fleetsyncd.database.views.storage import Keep, Storage, storage
from fleetsyncd.demo.embedded import APP, Server
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.sync.notifier import Notices, Notifier
from fleetsyncd.time_limits import no_deadline
from fleetsyncd.times import month_of, utc_now
from tests.hidden import hide
from tests.integration.test_adoption import as_owner
from tests.integration.test_foreign_partitions import CONTINUED, SCHEMES
from tests.integration.test_retention import query

ROOM = 10**12
"""More than a month of these rows takes, and less than all that is to come."""
INTAKE = (
    "INSERT INTO fleetsync.vehicle_state (vehicle_id, intake_day, day_rows, day_seconds)"
    " VALUES (%s::uuid, current_date, 500000, 43200)"
)
UNPARTITIONED = [
    "DROP TABLE public.measurements",
    "CREATE TABLE public.measurements (vehicle_id uuid NOT NULL, channel_id integer NOT NULL,"
    " time timestamptz NOT NULL, value double precision NOT NULL,"
    " PRIMARY KEY (vehicle_id, channel_id, time))",
    f"GRANT SELECT, INSERT, DELETE ON public.measurements TO {APP}",
]
MINUTES = (
    "INSERT INTO public.measurements_minute"
    " (vehicle_id, channel_id, minute, count, min, max, sum, first, last)"
    " SELECT %s::uuid, c, m, %s, 0, 1, 1, 0, 1"
    " FROM generate_series(1, 100) c, generate_series(%s::timestamptz, %s, interval '1 min') m"
)


@pytest.fixture
def truck(database: Database) -> UUID:
    """Return a vehicle that measures a million rows a day."""
    made = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    query(database, INTAKE, str(made))
    return made


def is_full_some_day(found: Storage, keep: Keep) -> bool:
    return found.full_in(ROOM, keep) is not None


@pytest.mark.usefixtures("truck")
def test_months_of_ours_end_the_growth(database: Database) -> None:
    Partitions(database).ensure_ahead(utc_now())
    found = database.run(storage)
    assert is_full_some_day(found, Keep())
    assert not is_full_some_day(found, Keep(1))
    assert found.levels_off_at(Keep(1)) is not None


@pytest.mark.usefixtures("truck")
@pytest.mark.parametrize("scheme", [*SCHEMES.values(), UNPARTITIONED], ids=[*SCHEMES, "none"])
def test_partitions_that_retention_never_drops_end_no_growth(
    server: Server, database_name: str, database: Database, scheme: list[str]
) -> None:
    as_owner(server, database_name, *scheme)
    Partitions(database).ensure_ahead(utc_now())
    found = database.run(storage)
    goes_on = scheme not in [SCHEMES[name] for name in CONTINUED]
    assert is_full_some_day(found, Keep(1)) == goes_on
    assert (found.levels_off_at(Keep(1)) is None) == goes_on


@pytest.mark.usefixtures("truck")
def test_a_plain_hidden_table_grows_for_ever_and_the_notice_of_its_disk_is_sent(
    server: Server, database_name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(server, database_name, lambda _cursor: "")
    found = database.run(storage)
    assert found.levels_off_at(Keep(1)) is None
    monkeypatch.setattr(view, "_free", lambda *_folder, **_place: 10**6)
    notifier = Notifier(
        database,
        Notices(
            NoticeSender(database, [], no_deadline, utc_now),
            Terms(timedelta(minutes=10)),
            None,
            Keep(1),
        ),
        sync_interval_sec=30.0,
        now=utc_now,
        spawn=lambda work: work(),
        on_database_error=lambda error: pytest.fail(str(error)),
    )
    notifier.run_if_due(0.0)
    told = query(database, "SELECT title FROM fleetsync.notice WHERE title LIKE '%%disk%%'")
    assert len(told) == 1


@pytest.mark.usefixtures("truck")
def test_what_others_keep_for_ever_stays_where_the_growth_ends(
    server: Server, database_name: str, database: Database
) -> None:
    month = month_of(utc_now())
    as_owner(
        server,
        database_name,
        "CREATE TABLE public.past PARTITION OF public.measurements"
        f" FOR VALUES FROM (MINVALUE) TO ('{month}')",
        "INSERT INTO public.past SELECT gen_random_uuid(), 1, '2020-01-01', 1"
        " FROM generate_series(1, 10000)",
    )
    Partitions(database).ensure_ahead(utc_now())
    found = database.run(storage)
    past = next(table for table in found.months if table.name == "past")
    without = found.levels_off_at(Keep(1))
    assert past.total_bytes > 10_000 * 100
    assert without is not None
    kept = 2 * 365.25 / 12 * found.bytes_a_day
    assert without == pytest.approx(
        found.total_bytes - found.measurement_bytes + past.total_bytes + kept, rel=0.001
    )


def test_minutes_grow_with_measurements_and_end_with_their_own_months(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    Partitions(database).ensure_ahead(utc_now())
    now = utc_now().replace(second=0, microsecond=0)
    for start, rows in ((now - timedelta(days=1), 30), (now - timedelta(hours=12), 10)):
        for month in {month_of(start).date(), month_of(start + timedelta(hours=12)).date()}:
            query(database, "SELECT fleetsync.make_minute_month(%s)", month)
        end = start + timedelta(hours=11, minutes=59)
        query(database, MINUTES, str(truck), rows, start, end)
    as_owner(server, database_name, "ANALYZE public.measurements_minute")
    found = database.run(storage)
    # Twenty measurements a minute: a row of minutes of about 180 bytes for each.
    assert found.rows_a_minute == pytest.approx(20, rel=0.25)
    assert found.minute_bytes_a_day == pytest.approx(1_000_000 / 20 * 180, rel=0.3)
    assert found.growth_a_day(Keep()) == found.bytes_a_day
    assert found.growth_a_day(Keep(1, 0)) == found.bytes_a_day + found.minute_bytes_a_day
    assert not is_full_some_day(found, Keep(1))
    assert is_full_some_day(found, Keep(1, 0))
    assert found.levels_off_at(Keep(1, 0)) is None
    assert not is_full_some_day(found, Keep(1, 12))
    alone, both = found.levels_off_at(Keep(1)), found.levels_off_at(Keep(1, 12))
    assert alone is not None
    assert both is not None
    minutes = sum(each.total_bytes for each in found.tables if each.is_minutes)
    kept = 13 * 365.25 / 12 * found.minute_bytes_a_day
    assert both == pytest.approx(alone - minutes + kept)
