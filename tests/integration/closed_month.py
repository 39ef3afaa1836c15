"""A closed month as a daemon leaves it, and the sessions that meet the one who tidies it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

from psycopg2.extensions import connection

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.tidying import Tidied, Tidying
from fleetsyncd.demo.embedded import Server
from fleetsyncd.times import month_of, utc_now

PATIENCE_SEC = 30.0
VEHICLES = (
    "INSERT INTO vehicles (name, vpn_ip) SELECT 'Truck-0' || n, ('10.8.0.' || n)::inet"
    " FROM generate_series(1, 3) n ON CONFLICT DO NOTHING"
)
# In the order in which rows come: second by second, all channels of one vehicle and of the next.
ROWS = """
INSERT INTO measurements (vehicle_id, channel_id, time, value)
SELECT v.id, channel, at, 0.5
FROM generate_series(%s::timestamptz, %s::timestamptz, interval '1 s') at, vehicles v,
    generate_series(1, 18) channel
ORDER BY at, v.id, channel
"""
INVALID = (
    "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    " AND indrelid IN (SELECT relid FROM pg_partition_tree('public.measurements')"
    " UNION ALL SELECT relid FROM pg_partition_tree('public.measurements_minute'))"
)
BYTES_A_ROW = (
    "SELECT pg_total_relation_size(to_regclass(%s))::float8"
    " / (SELECT count(*) FROM measurements WHERE time < date_trunc('month', now()))"
)
PID = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'fleetsyncd tidy'"
    " AND datname = current_database() AND query LIKE 'REINDEX%%'"
)


def query(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Return what a query says, seen as the daemon sees it."""

    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def fill(server: Server, database: Database, seconds: int, months_ago: int = 1) -> str:
    """Make a past month of 54 rows for each of so many seconds; return the partition's name.

    Called again, it goes on behind the rows that are there.
    """
    first = month_of(utc_now())
    for _ in range(months_ago):
        first = month_of(first - timedelta(days=1))
    query(database, "SELECT fleetsync.make_month(%s)", first.date())
    with closing(server.connect(_name(database))) as superuser, superuser.cursor() as cursor:
        cursor.execute(VEHICLES)
        cursor.execute(
            "SELECT coalesce(max(time) + interval '1 s', %s) FROM measurements"
            " WHERE time >= %s AND time < %s",
            (first, first, first + timedelta(days=27)),
        )
        start = cursor.fetchall()[0][0]
        cursor.execute(ROWS, (start, start + timedelta(seconds=seconds - 1)))
        superuser.commit()
    return f"measurements_{first:%Y_%m}"


def _name(database: Database) -> str:
    return str(query(database, "SELECT current_database()::text")[0][0])


@contextmanager
def old_snapshot(server: Server, database: Database, name: str = "pg_dump") -> Iterator[connection]:
    """Hold a snapshot for which every index that is built has to wait; it locks no measurements."""
    with closing(server.connect(_name(database))) as reader, reader.cursor() as cursor:
        cursor.execute("SET application_name = %s", (name,))
        reader.commit()
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT FROM vehicles")
        yield reader
        reader.rollback()


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + PATIENCE_SEC
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@contextmanager
def held_up(
    server: Server, database: Database, tidying: Tidying
) -> Iterator[tuple["Future[Tidied | None]", int]]:
    """Run a tidying that waits with its new index until the end of the body.

    Gives its result to come, and the server's process that works on it.
    """
    with ThreadPoolExecutor(1) as thread:
        with old_snapshot(server, database):
            running = thread.submit(tidying.run, utc_now())
            until(lambda: running.done() or bool(query(database, INVALID)))
            assert not running.done(), running.result()
            ((pid,),) = query(database, PID)
            yield running, pid
        running.exception(PATIENCE_SEC)


def in_thread(work: Callable[[], None]) -> None:
    """Start work beside the test, as the supervisor does with greenlets."""
    threading.Thread(target=work, daemon=True).start()
