"""Minute aggregates are what a recomputation from the rows gives, whatever was stored when."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database import due_minutes, measurements, minutes, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.models import Window
from fleetsyncd.telemetry import Measurements
from fleetsyncd.times import utc_now
from tests.integration.test_adoption import as_owner

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
_INDEXES = "FROM pg_partition_tree('public.measurements') t JOIN pg_index i ON i.indrelid = t.relid"
INDEX_BLOCKS = f"SELECT sum(pg_stat_get_xact_blocks_fetched(i.indexrelid)) {_INDEXES}"
INDEX_SIZE = f"SELECT sum(pg_relation_size(i.indexrelid)) / 8192 {_INDEXES} WHERE t.isleaf"
STORED = """
SELECT vehicle_id::text, channel_id, minute, count, min, max, sum, first, last
FROM public.measurements_minute m
WHERE minute < (SELECT minutes_to FROM fleetsync.minute_state s WHERE s.vehicle_id = m.vehicle_id)
"""
# Computed apart from the product: by another function, and another way to the first and last.
# A cluster joins no local table with the distributed one itself.
EXPECTED = """
WITH kept AS MATERIALIZED (SELECT vehicle_id, minutes_to FROM fleetsync.minute_state)
SELECT vehicle_id::text, channel_id, date_trunc('minute', time, 'UTC'), count(*)::int, min(value),
    max(value), sum(value), (array_agg(value ORDER BY time))[1],
    (array_agg(value ORDER BY time DESC))[1]
FROM public.measurements JOIN kept USING (vehicle_id) WHERE time < minutes_to
GROUP BY 1, 2, 3
"""
Row = tuple[Any, ...]


def ask(database: Database, query: str, *values: object) -> list[Row]:
    def run(cursor: Cursor) -> list[Row]:
        cursor.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    return database.run(run)


def stored(database: Database) -> set[Row]:
    """Return the stored minutes that are said to be complete."""
    return set(ask(database, STORED))


def expected(database: Database) -> set[Row]:
    return set(ask(database, EXPECTED))


def rows(
    start: datetime, count: int, channels: Sequence[int] = (1, 7), step: timedelta = SECOND
) -> Measurements:
    """Return rows whose sums are exact in any order of adding."""
    return Measurements.from_rows(
        (start + n * step, channel, float((n * 37 + channel * 11) % 64) / 8 - 2)
        for n in range(count)
        for channel in channels
    )


def store_rows(database: Database, vehicle: UUID, page: Measurements) -> int:
    Partitions(database).ensure(page.times[0], page.times[-1])
    return database.run(lambda c: measurements.add_measurements(c, vehicle, page))


def pulled(database: Database, vehicle: UUID, start: datetime, count: int) -> None:
    """Store rows and let the watermark follow, as a cycle does."""
    store_rows(database, vehicle, rows(start, count))
    set_watermark(database, vehicle, start + count * SECOND)


def set_watermark(
    database: Database, vehicle: UUID, at: datetime, seen: datetime | None = None
) -> None:
    """Move a vehicle's watermark, as a cycle of now does, or of when it was `seen`."""
    moved = "UPDATE vehicles SET last_sync_at = %s, last_seen_at = %s WHERE id = %s::uuid"
    ask(database, moved, at, seen or utc_now(), str(vehicle))


def keep_all(database: Database) -> None:
    """Compute all that can be computed."""
    database.run(minutes.begin)
    while waiting := database.run(lambda c: minutes.waiting(c, every=minutes.MINUTE)):
        database.run(partial(minutes.keep, ids=waiting))
    while found := database.run(lambda c: due_minutes.due_vehicles(c, 1)):
        database.run(partial(due_minutes.work_off, vehicle_id=found[0]))


def merge_due(database: Database) -> None:
    """Merge what is due where it is too much."""
    for vehicle in database.run(due_minutes.crowded_vehicles):
        database.run(partial(due_minutes.merge_due, vehicle_id=vehicle))


def due(database: Database) -> list[Row]:
    return ask(database, "SELECT from_at, to_at FROM fleetsync.minute_due ORDER BY from_at, to_at")


@pytest.fixture
def truck(database: Database) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))


@pytest.fixture
def kept(database: Database, truck: UUID) -> UUID:
    """Return a vehicle whose minutes are complete for an hour."""
    pulled(database, truck, NOON, 3600)
    keep_all(database)
    return truck


@pytest.mark.usefixtures("kept")
def test_minutes_are_those_of_the_rows(database: Database) -> None:
    found = stored(database)
    assert found == expected(database)
    assert len(found) == 2 * (60 - minutes.LAG // minutes.MINUTE)
    assert not due(database)


def test_minutes_follow_the_watermark(database: Database, kept: UUID) -> None:
    for n in range(1, 4):
        pulled(database, kept, NOON + n * HOUR, 3600)
        keep_all(database)
        assert stored(database) == expected(database)
    assert len(stored(database)) == 2 * (240 - minutes.LAG // minutes.MINUTE)


def test_all_minutes_of_a_vehicle_that_fell_silent_are_computed(
    database: Database, truck: UUID
) -> None:
    """Else the last ones would be gone with the month of their rows."""
    end = NOON + 3605 * SECOND
    store_rows(database, truck, rows(NOON, 3605))
    set_watermark(database, truck, end, seen=utc_now())
    database.run(minutes.begin)
    while waiting := database.run(minutes.waiting):
        database.run(partial(minutes.keep, ids=waiting))
    set_watermark(database, truck, end, seen=utc_now() - HOUR)
    assert database.run(minutes.waiting) == [truck]
    keep_all(database)
    assert len(stored(database)) == 2 * 61
    assert stored(database) == expected(database)
    assert database.run(minutes.waiting) == []
    # It comes back in the middle of the minute that was computed last.
    pulled(database, truck, end, 1200)
    assert len(due(database)) == 1
    keep_all(database)
    assert stored(database) == expected(database)


def test_minutes_ahead_of_a_gap_are_computed_of_a_vehicle_that_fell_silent(
    database: Database, kept: UUID
) -> None:
    begun = NOON + 5 * HOUR
    store_rows(database, kept, rows(begun, 605))
    ask(
        database,
        "INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, islands, island_watermark)"
        " SELECT id, tstzmultirange(tstzrange(%s, %s)), last_sync_at FROM vehicles"
        " ON CONFLICT (vehicle_id) DO UPDATE SET islands = excluded.islands RETURNING 1",
        begun,
        begun + 605 * SECOND,
    )
    set_watermark(database, kept, NOON + HOUR, seen=utc_now())
    keep_all(database)
    assert len(stored(database)) == 2 * 55, "the gap may still be pulled"
    set_watermark(database, kept, NOON + HOUR, seen=utc_now() - HOUR)
    keep_all(database)
    assert len(stored(database)) == 2 * (60 + 11)
    assert stored(database) == expected(database)
    assert database.run(minutes.waiting) == []
    store_rows(database, kept, rows(NOON + 2 * HOUR, 90))
    set_watermark(database, kept, begun + 605 * SECOND, seen=utc_now())
    assert due(database), "it came back, and its gap was pulled"
    keep_all(database)
    assert stored(database) == expected(database)


def test_rows_of_the_newest_minutes_are_left_for_later(database: Database, kept: UUID) -> None:
    assert store_rows(database, kept, rows(NOON + HOUR - 299 * SECOND, 9, (8,))) == 9
    assert not due(database)
    pulled(database, kept, NOON + HOUR, 600)
    keep_all(database)
    assert stored(database) == expected(database)


@pytest.mark.parametrize("channels", [(1,), (99,)])
def test_late_rows_make_their_minutes_due(
    database: Database, kept: UUID, channels: tuple[int, ...]
) -> None:
    late = rows(NOON + timedelta(minutes=10, seconds=0.5), 70, channels)
    assert store_rows(database, kept, late) == 70
    assert due(database) == [(NOON + timedelta(minutes=10), NOON + timedelta(minutes=12))]
    assert stored(database) != expected(database)
    keep_all(database)
    assert stored(database) == expected(database)
    assert not due(database)


def test_rows_that_are_stored_already_make_nothing_due(database: Database, kept: UUID) -> None:
    assert store_rows(database, kept, rows(NOON, 600)) == 0
    assert not due(database)


def test_rows_of_many_days_make_only_their_hours_due(database: Database, kept: UUID) -> None:
    few = rows(NOON - timedelta(days=20), 20, (3,), timedelta(days=1))
    assert store_rows(database, kept, few) == 20
    assert sum((end - start for start, end in due(database)), timedelta()) == 20 * minutes.MINUTE
    keep_all(database)
    assert stored(database) == expected(database)


def test_the_same_minutes_become_due_once(database: Database, kept: UUID) -> None:
    for n in range(5):
        store_rows(database, kept, rows(NOON + SECOND / 2, 60, (20 + n,)))
    assert len(due(database)) == 1


def test_history_is_computed_after_the_present(database: Database, truck: UUID) -> None:
    pulled(database, truck, NOON - timedelta(days=40), 1800)
    pulled(database, truck, NOON, 1800)
    database.run(minutes.begin)
    ((start, end),) = due(database)
    assert (start, end) == (minutes.OLDEST, NOON + timedelta(minutes=25))
    pulled(database, truck, NOON + timedelta(minutes=30), 1800)
    assert database.run(lambda c: minutes.keep(c, [truck])).rows == 2 * 1800
    assert due(database) == [(start, end)]
    newest = database.run(lambda c: due_minutes.next_due(c, truck))
    assert newest == Window(end - HOUR, end)
    keep_all(database)
    assert stored(database) == expected(database)
    assert not due(database)


def test_history_with_years_without_rows_is_worked_off_in_steps(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_minutes, "MOST_PARTS", 3)
    for months_ago in (9, 8, 1):
        pulled(database, truck, NOON - timedelta(days=31 * months_ago), 600)
    Partitions(database).ensure(NOON - timedelta(days=31 * 9), NOON)
    pulled(database, truck, NOON, 1800)
    database.run(minutes.begin)
    steps = 0
    while database.run(lambda c: due_minutes.work_off(c, truck)) is not None:
        steps += 1
    assert stored(database) == expected(database)
    assert not due(database)
    assert steps > 4, "one for each time with rows, and those that found none"


def test_history_in_a_default_partition_is_not_passed_over(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    old = rows(NOON - timedelta(days=60), 600, (1,))
    store_rows(database, truck, old)
    rest = "CREATE TABLE public.measurements_rest PARTITION OF public.measurements DEFAULT"
    server.execute(sql.SQL(rest), database=database_name)
    newer = rows(NOON - timedelta(days=20), 600, (2,))
    database.run(lambda c: measurements.add_measurements(c, truck, newer))
    set_watermark(database, truck, NOON)
    keep_all(database)
    assert stored(database) == expected(database)
    assert {row[1] for row in stored(database)} == {1, 2}


def test_what_is_due_is_looked_for_without_reading_the_whole_month(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    begins = NOON - 9 * timedelta(days=1)
    for day in range(9):
        store_rows(database, truck, rows(begins + day * timedelta(days=1), 1440, step=MINUTE))
    server.execute(sql.SQL("VACUUM ANALYZE public.measurements"), database=database_name)
    state = "INSERT INTO fleetsync.minute_state VALUES (%s::uuid, %s, %s)"
    ask(database, state, str(truck), begins, NOON)
    late = "INSERT INTO fleetsync.minute_due (vehicle_id, from_at, to_at) VALUES (%s::uuid, %s, %s)"
    ask(database, late, str(truck), NOON - HOUR, NOON - HOUR + 2 * MINUTE)

    def blocks_read(cursor: Cursor) -> int:
        cursor.execute(INDEX_BLOCKS)
        return int(cursor.fetchall()[0][0])

    def look(cursor: Cursor) -> tuple[Window | None, int]:
        before = blocks_read(cursor)
        return due_minutes.next_due(cursor, truck), blocks_read(cursor) - before

    window, blocks = database.run(look)
    assert window == Window(NOON - HOUR, NOON - HOUR + 2 * MINUTE)
    ((size,),) = ask(database, INDEX_SIZE)
    assert size >= 100
    assert blocks <= size / 4


def test_channels_of_what_is_due_are_those_of_the_month_however_little_it_is(
    database: Database, kept: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer servers skip what is before or after; the others would read it for each channel."""
    store_rows(database, kept, rows(NOON + SECOND / 2, 60, (1,)))
    asked: list[str] = []
    execute = Cursor.execute

    def watched(cursor: Cursor, query: str, arguments: Any = None) -> None:
        if "measured_channels" in query:
            asked.append(cursor.mogrify(query, arguments).decode())
        execute(cursor, query, arguments)

    monkeypatch.setattr(Cursor, "execute", watched)
    assert database.run(lambda c: due_minutes.next_due(c, kept)) == Window(NOON, NOON + MINUTE)
    (query,) = asked
    assert "'2026-02-01 00:00:00+00', '2026-03-01 00:00:00+00'" in query


def test_a_vehicle_that_is_far_behind_goes_on_at_the_present(
    database: Database, kept: UUID
) -> None:
    pulled(database, kept, NOON + HOUR, 600)
    pulled(database, kept, NOON + timedelta(days=3), 3600)
    database.run(minutes.begin)
    upto = NOON + timedelta(days=3, minutes=55)
    assert due(database) == [(NOON + timedelta(minutes=55), upto)]
    keep_all(database)
    assert stored(database) == expected(database)


@contextmanager
def writing(database: Database, vehicle: UUID, page: Measurements) -> Iterator[None]:
    """Leave a transaction that stores rows open."""
    with database.transaction() as cursor:
        measurements.add_measurements(cursor, vehicle, page)
        yield


def test_a_vehicle_to_which_somebody_writes_is_left_for_the_next_time(
    database: Database, kept: UUID
) -> None:
    pulled(database, kept, NOON + HOUR, 1200)
    with writing(database, kept, rows(NOON + HOUR + SECOND / 2, 60)):
        assert database.run(lambda c: minutes.keep(c, [kept])) == minutes.Kept()
    assert database.run(lambda c: minutes.keep(c, [kept])).vehicles == 1
    assert stored(database) == expected(database)


def test_what_is_due_waits_for_who_writes(database: Database, kept: UUID) -> None:
    store_rows(database, kept, rows(NOON + SECOND / 2, 10))
    with writing(database, kept, rows(NOON + SECOND / 4, 10)):
        assert database.run(lambda c: due_minutes.work_off(c, kept)) is None
    keep_all(database)
    assert stored(database) == expected(database)


def test_rows_that_were_committed_before_the_lock_are_seen(
    database: Database, kept: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled(database, kept, NOON + HOUR, 1200)
    lock = minutes.lock_vehicles

    def late_lock(cursor: Cursor, ids: Sequence[UUID]) -> list[UUID]:
        cursor.execute("SELECT now()")
        store_rows(database, kept, rows(NOON + HOUR + SECOND / 2, 60))
        return lock(cursor, ids)

    monkeypatch.setattr(minutes, "lock_vehicles", late_lock)
    database.run(lambda c: minutes.keep(c, [kept]))
    assert stored(database) == expected(database)


def interrupt(database: Database, work: Callable[[Cursor], object]) -> None:
    with database.transaction() as cursor:
        work(cursor)
        raise KeyboardInterrupt


def test_an_interrupted_transaction_leaves_all_to_be_done_again(
    database: Database, kept: UUID
) -> None:
    pulled(database, kept, NOON + HOUR, 1200)
    store_rows(database, kept, rows(NOON + SECOND / 2, 10))
    before = ask(database, "SELECT * FROM fleetsync.minute_state"), due(database), stored(database)
    works: tuple[Callable[[Cursor], object], ...] = (
        lambda c: minutes.keep(c, [kept]),
        lambda c: due_minutes.work_off(c, kept),
    )
    for work in works:
        with pytest.raises(KeyboardInterrupt):
            interrupt(database, work)
        state = ask(database, "SELECT * FROM fleetsync.minute_state")
        assert (state, due(database), stored(database)) == before
    keep_all(database)
    assert stored(database) == expected(database)


def test_minutes_of_rows_that_were_dropped_stay(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    january = datetime(2026, 1, 20, tzinfo=UTC)
    pulled(database, truck, january, 600)
    pulled(database, truck, NOON, 600)
    keep_all(database)
    before = stored(database)
    as_owner(server, database_name, "DROP TABLE measurements_2026_01")
    # A part of it comes again, by a backfill: fewer rows of one minute, more of another.
    store_rows(database, truck, rows(january, 30))
    store_rows(database, truck, rows(january + timedelta(seconds=60), 120, step=SECOND / 2))
    keep_all(database)
    found = {row[1:3]: row for row in stored(database)}
    assert len(found) == len(before)
    for row in before:
        if row[2] != january + minutes.MINUTE:
            assert found[row[1:3]] == row
        else:
            assert found[row[1:3]][3] == 120
    assert not due(database)


def test_values_that_are_no_numbers_are_left_out(
    server: Server, database_name: str, database: Database, kept: UUID
) -> None:
    at = NOON + HOUR
    values = ["NaN", "Infinity", "-Infinity", "1e308", "1e308", "-3"]
    listed = ", ".join(
        f"('{kept}', 5, '{at + n * SECOND}', '{value}')" for n, value in enumerate(values)
    )
    insert = f"INSERT INTO measurements VALUES {listed}"  # noqa: S608  constants
    as_owner(server, database_name, insert)
    set_watermark(database, kept, at + timedelta(minutes=10))
    keep_all(database)
    found = [row for row in stored(database) if row[1] == 5]
    assert found == [(str(kept), 5, at, 3, -3.0, 1e308, None, 1e308, -3.0)]


@pytest.mark.parametrize("seconds", [1, 59, 61, 438])
def test_what_is_due_is_computed_by_whole_minutes_whatever_the_bite(
    database: Database, truck: UUID, seconds: int
) -> None:
    pulled(database, truck, NOON, 1200)
    database.run(minutes.begin)
    while database.run(lambda c: due_minutes.work_off(c, truck, seconds * SECOND)) is not None:
        starts = {start.second for start, _end in due(database)}
        ends = {end.second for _start, end in due(database)}
        assert starts | ends <= {0}
    assert stored(database) == expected(database)


def test_too_many_due_intervals_are_merged_and_none_is_lost(database: Database, kept: UUID) -> None:
    for n in range(due_minutes.MOST_DUE + 5):
        store_rows(database, kept, rows(NOON - (n + 1) * HOUR, 3, (1,)))
    merge_due(database)
    merged = due(database)
    assert len(merged) == 1
    keep_all(database)
    assert stored(database) == expected(database)
    # Those that touch are merged as they are.
    for n in range(due_minutes.MOST_DUE + 5):
        store_rows(database, kept, rows(NOON - HOUR + (n + 0.5) * SECOND * 60, 2, (9,)))
    ask(database, "UPDATE fleetsync.minute_due SET to_at = to_at + interval '1 s'")
    merge_due(database)
    assert len(due(database)) == 1
    assert due(database)[0][0] == NOON - HOUR


def test_only_owners_see_minutes_and_only_theirs(
    server: Server, database_name: str, database: Database, kept: UUID
) -> None:
    other = database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.2", 8001, None))
    pulled(database, other, NOON, 3600)
    store_rows(database, other, rows(NOON - HOUR, 5))
    keep_all(database)
    store_rows(database, other, rows(NOON - 2 * HOUR, 5))
    store_rows(database, kept, rows(NOON - 2 * HOUR, 5))
    user = "11111111-1111-1111-1111-111111111111"
    grant = f"INSERT INTO vehicle_access VALUES ('{user}', '{kept}')"  # noqa: S608  ids
    as_owner(server, database_name, grant)
    tables = ("public.measurements_minute", "fleetsync.minute_state", "fleetsync.minute_due")

    def seen(role: str, table: str) -> set[str]:
        with database.transaction() as cursor:
            cursor.execute(
                "SELECT set_config('app.user_role', %s, true), set_config('app.user_id', %s, true)",
                (role, user),
            )
            cursor.execute(f"SELECT DISTINCT vehicle_id::text FROM {table}")  # noqa: S608  constants
            return {key for (key,) in cursor.fetchall()}

    for table in tables:
        assert seen("superuser", table) == {str(kept), str(other)}
        assert seen("owner", table) == {str(kept)}
        assert seen("", table) == set()


def test_two_that_keep_at_once_do_not_wait_for_each_other(database: Database, kept: UUID) -> None:
    pulled(database, kept, NOON + HOUR, 1200)
    with database.transaction() as cursor:
        assert minutes.keep(cursor, [kept]).vehicles == 1
        assert database.run(lambda c: minutes.keep(c, [kept])) == minutes.Kept()
    assert stored(database) == expected(database)


def test_minutes_to_never_passes_the_present(database: Database, truck: UUID) -> None:
    set_watermark(database, truck, utc_now() + timedelta(days=300))
    database.run(minutes.begin)
    ((reached,),) = ask(database, "SELECT minutes_to < now() FROM fleetsync.minute_state")
    assert reached


@pytest.mark.parametrize("seed", range(4))
def test_minutes_are_exact_after_any_order_of_rows_and_computations(
    database: Database, truck: UUID, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  no secret
    reached = NOON

    def pull() -> None:
        nonlocal reached
        seconds = dice.choice((30, 400, 4000))
        store_rows(database, truck, rows(reached, seconds // 10, step=10 * SECOND))
        reached += seconds * SECOND
        set_watermark(database, truck, reached)

    def store_late() -> None:
        start = reached - dice.randrange(1, 40_000) * SECOND
        channel = dice.randrange(1, 4)
        step = dice.choice((1, 7, 900)) * SECOND
        store_rows(database, truck, rows(start, dice.randrange(1, 30), (channel,), step))

    def compute() -> None:
        bite = dice.choice((1, 7.3, 10, 60)) * minutes.MINUTE
        dice.choice((
            lambda: database.run(minutes.begin),
            lambda: database.run(partial(minutes.keep, ids=[truck], bite=bite)),
            lambda: database.run(partial(due_minutes.work_off, vehicle_id=truck, bite=bite)),
            lambda: merge_due(database),
        ))()  # fmt: skip

    for _ in range(60):
        dice.choice((pull, store_late, compute, compute))()
    wrong = {row[:3] for row in stored(database) ^ expected(database)}
    marked = due(database)
    assert all(any(start <= key[2] < end for start, end in marked) for key in wrong)
    keep_all(database)
    assert stored(database) == expected(database)
