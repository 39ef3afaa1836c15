"""Closed months of minute aggregates are tidied as those of measurements."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from psycopg2 import sql

from fleetsyncd.database.pool import Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema.grants import MAINTAIN_SINCE
from fleetsyncd.database.tidying import Tidying
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.times import month_of, utc_now
from tests.integration.closed_month import VEHICLES, held_up, query

AT_ONCE = timedelta(0)
# In the order in which they are computed: ten minutes of one vehicle and of the next.
MINUTES = """
INSERT INTO measurements_minute (vehicle_id, channel_id, minute, count, min, max, sum, first, last)
SELECT v.id, channel, %s::timestamptz + n * interval '1 min', 60, 0, 1, 30, 0.5, 0.5
FROM generate_series(0, 599) n, vehicles v, generate_series(1, 18) channel
ORDER BY n / 10, v.id, channel, n
"""
RAW_ROWS = 60 * 600 * 3 * 18
BYTES = "SELECT pg_total_relation_size(to_regclass(%s))"


@pytest.fixture
def month(server: Server, database: Database) -> Iterator[str]:
    """Fill a month of some months ago; before PostgreSQL 17 its owner tidies it."""
    first = month_of(utc_now() - timedelta(days=100))
    query(database, "SELECT fleetsync.make_minute_month(%s)", first.date())
    name = str(query(database, "SELECT current_database()::text")[0][0])
    roles = tuple(map(sql.Identifier, (OWNER, APP)))
    with closing(server.connect(name)) as superuser, superuser.cursor() as cursor:
        cursor.execute(VEHICLES)
        cursor.execute(MINUTES, (first,))
        superuser.commit()
        is_old = superuser.server_version < MAINTAIN_SINCE
    if is_old:
        server.execute(sql.SQL("GRANT {} TO {}").format(*roles))
    yield f"measurements_minute_{first:%Y_%m}"
    if is_old:
        server.execute(sql.SQL("REVOKE {} FROM {}").format(*roles))


def test_a_closed_month_of_minutes_takes_less_than_three_bytes_a_raw_row(
    database: Database, month: str
) -> None:
    before = query(database, BYTES, month)[0][0]
    tidied = Tidying(database, AT_ONCE).run(utc_now())
    assert tidied is not None
    assert tidied.name == month
    after = query(database, BYTES, month)[0][0]
    assert after == before - tidied.saved_bytes
    assert after / RAW_ROWS < 3
    assert Tidying(database, AT_ONCE).run(utc_now()) is None


def test_what_a_killed_one_has_left_of_a_month_of_minutes_is_dropped(
    server: Server, database: Database, month: str
) -> None:
    tidying = Tidying(database, AT_ONCE)
    with held_up(server, database, tidying) as (_running, pid):
        query(database, "SELECT pg_terminate_backend(%s)", pid)
    Tidying(database, AT_ONCE).clean_up()
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = to_regclass(%s)"
    assert query(database, invalid, month) == [(0,)]


def test_retention_leaves_a_month_of_minutes_that_is_tidied_to_a_later_round(
    server: Server, database: Database, month: str
) -> None:
    told: list[str] = []
    policy = RetentionPolicy(None, None, None, minutes_keep_months=1)

    def drop() -> bool:
        retention = Retention(database, policy, tell=told.append, at_once=True)
        assert list(retention.steps(utc_now)) is not None
        return query(database, "SELECT to_regclass(%s)", month) == [(None,)]

    with held_up(server, database, Tidying(database, AT_ONCE)) as (running, _pid):
        assert not drop()
        assert f"retention: {month} is being tidied: it is dropped in a later round" in told
    assert running.result(0) is not None
    assert drop()
