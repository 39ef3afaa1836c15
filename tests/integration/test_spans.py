"""What is looked for through all of time is found, part by part, wherever measurements are."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from fleetsyncd.database import channel_changes, leftovers, measurements, spans, vehicles
from fleetsyncd.database.channel_changes import record_changes
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.removed_vehicles import (
    Ends,
    Extent,
    RemovedVehicle,
    read_ends,
    read_extent,
)
from fleetsyncd.database.spans import Span, all_spans
from fleetsyncd.database.views import newest_values
from fleetsyncd.database.views.estimates import count_measurements
from fleetsyncd.database.views.vehicle import channel_values
from fleetsyncd.demo.embedded import Server
from fleetsyncd.telemetry import Channel, Measurements
from fleetsyncd.times import utc_now
from tests.hidden import hide
from tests.integration.test_adoption import as_owner
from tests.integration.test_foreign_partitions import partition
from tests.integration.test_retention import query
from tests.integration.test_storage import UNPARTITIONED

FIRST = datetime(2025, 3, 31, 23, 59, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 60
TIMES = [FIRST + n * 7 * DAY for n in range(8)]
PARTS_OF_DAYS = [
    partition(f"measurements_p{n}", FIRST + n * DAY, FIRST + (n + 1) * DAY) for n in range(DAYS)
]
DEFAULT = "CREATE TABLE public.other PARTITION OF public.measurements DEFAULT"
CONFIGURE = (
    "INSERT INTO channel_config (vehicle_id, channel_id, name)"
    " SELECT %s::uuid, n, n FROM generate_series(1, 3) n"
)
LOCKED = (
    "SELECT count(DISTINCT relation) FROM pg_locks JOIN pg_class c ON c.oid = relation"
    " WHERE pid = pg_backend_pid() AND c.relkind = 'r' AND (c.relname LIKE 'measurements_p%'"
    " OR c.relname LIKE '\\_hyper%')"
)


def hidden(server: Server, name: str) -> None:
    hide(server, name)


def plain_and_hidden(server: Server, name: str) -> None:
    hide(server, name, lambda _cursor: "")


def days(server: Server, name: str) -> None:
    as_owner(server, name, *PARTS_OF_DAYS)


def a_default_and_some_days(server: Server, name: str) -> None:
    as_owner(server, name, *PARTS_OF_DAYS[10:20], *PARTS_OF_DAYS[40:50], DEFAULT)


def unpartitioned(server: Server, name: str) -> None:
    as_owner(server, name, *UNPARTITIONED)


KINDS = [hidden, plain_and_hidden, days, a_default_and_some_days, unpartitioned]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def filled(
    request: pytest.FixtureRequest, server: Server, database_name: str, database: Database
) -> Database:
    """Return a database whose measurements are kept in one of several ways."""
    request.param(server, database_name)
    return database


def store(database: Database, truck: UUID, *rows: tuple[datetime, int]) -> None:
    query(
        database,
        "INSERT INTO public.measurements (vehicle_id, channel_id, time, value)"
        " SELECT %s::uuid, unnest(%s::int[]), unnest(%s::timestamptz[]), 1",
        str(truck),
        [channel for _, channel in rows],
        [time for time, _ in rows],
    )


def renamed(database: Database, truck: UUID, channel: int) -> int:
    """Let a channel change its meaning; return how many changes are kept."""
    old, new = (Channel(channel, name, name, 0.0, 1.0) for name in ("old", "new"))
    return len(database.run(lambda c: record_changes(c, truck, {channel: old}, [new])))


@pytest.mark.parametrize("parts", [1, 3, 20])
def test_what_a_removed_vehicle_left_is_found_in_every_part(
    filled: Database, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(spans, "PARTS_OF_A_SPAN", parts)
    truck, other = sorted([uuid4(), uuid4()])
    store(filled, truck, *[(time, number) for number, time in enumerate(TIMES)])
    store(filled, other, (TIMES[4], 7))
    left = RemovedVehicle(truck)
    extent = Extent(tuple(range(len(TIMES))), TIMES[0], TIMES[-1])
    assert filled.run(lambda c: read_extent(c, left)) == extent
    assert filled.run(lambda c: read_ends(c, left)) == Ends(TIMES[0], TIMES[-1])
    assert filled.run(lambda c: read_ends(c, RemovedVehicle(other))) == Ends(TIMES[4], TIMES[4])
    later = RemovedVehicle(truck, purged_until=str(TIMES[2]))
    assert filled.run(lambda c: read_ends(c, later)) == Ends(TIMES[2], TIMES[-1])
    assert filled.run(lambda c: read_extent(c, RemovedVehicle(uuid4()))) is None
    assert filled.run(lambda c: read_ends(c, RemovedVehicle(uuid4()))) is None
    assert [each.id for each in filled.run(leftovers.find_all)] == [truck, other]


def test_a_channel_that_was_measured_at_any_time_changes_its_meaning(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "PARTS_OF_A_SPAN", 1)
    monkeypatch.setattr(channel_changes, "MOST_SPANS", 1_000)
    truck = filled.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    store(filled, truck, (TIMES[0], 1), *[(time, 2) for time in TIMES])
    assert [renamed(filled, truck, channel) for channel in (1, 2, 3)] == [1, 1, 0]


@pytest.mark.parametrize("may_see_parts", [True, False])
def test_the_newest_value_of_a_channel_is_shown_however_old_it_is(
    filled: Database, monkeypatch: pytest.MonkeyPatch, *, may_see_parts: bool
) -> None:
    monkeypatch.setattr(spans, "PARTS_OF_A_SPAN", 1)
    monkeypatch.setattr(newest_values, "MANY_PARTS", -1)
    if not may_see_parts:
        monkeypatch.setattr(newest_values, "may_call", lambda *_asked: False)
    truck = filled.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    query(filled, CONFIGURE, str(truck))
    now = utc_now()
    store(filled, truck, (TIMES[0], 1), *[(time, 2) for time in TIMES])
    shown = filled.run(partial(channel_values, vehicle_id=truck))
    assert [each.value for each in shown] == [1, 1, None]
    for each, newest in zip(shown, (TIMES[0], TIMES[-1]), strict=False):
        assert each.age == pytest.approx((now - newest).total_seconds(), abs=60)


def test_the_newest_values_of_many_parts_are_read_from_the_newest(
    server: Server, database_name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newest_values, "MANY_PARTS", DAYS - 1)
    now = utc_now()
    days(server, database_name)
    as_owner(server, database_name, partition("newest", now - 2 * DAY, now + 2 * DAY))
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    query(database, CONFIGURE, str(truck))
    store(database, truck, (TIMES[0], 1), *[(now, channel) for channel in (2, 3)])

    def look(cursor: Cursor) -> tuple[list[float | None], int]:
        shown = channel_values(cursor, truck)
        cursor.execute(LOCKED)
        return [each.value for each in shown], int(cursor.fetchall()[0][0])

    # The first one finds out how many parts there are.
    assert database.run(look) == ([1, 1, 1], DAYS)
    assert database.run(look) == ([1, 1, 1], 0)


def test_the_spans_are_all_of_time(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store(filled, uuid4(), *[(time, 1) for time in TIMES])
    monkeypatch.setattr(spans, "PARTS_OF_A_SPAN", 4)
    found = filled.run(all_spans)
    assert (found[0].begins, found[-1].ends) == (None, None)
    assert [each.ends for each in found[:-1]] == [each.begins for each in found[1:]]
    count = "SELECT count(*)::int FROM measurements WHERE true"
    assert sum(query(filled, count + each.condition())[0][0] for each in found) == len(TIMES)


def test_a_default_partition_in_use_is_not_read_once_for_each_span(
    server: Server, database_name: str, database: Database
) -> None:
    as_owner(server, database_name, *PARTS_OF_DAYS, DEFAULT)
    assert len(database.run(all_spans)) > 1
    store(database, uuid4(), (FIRST - DAY, 1))
    assert database.run(all_spans) == [Span()]


def test_few_months_are_one_span(database: Database) -> None:
    assert database.run(all_spans) == [Span()]


WHOLE: dict[str, Callable[[Cursor, UUID], object]] = {
    "newest values": channel_values,
    "count": lambda c, truck: count_measurements(c, [truck], 1_000),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_planned_over_all_parts_is_not_compiled(database: Database, name: str) -> None:
    def compiles(cursor: Cursor) -> str:
        cursor.execute("SET LOCAL jit = on")
        WHOLE[name](cursor, uuid4())
        cursor.execute("SHOW jit")
        return str(cursor.fetchall()[0][0])

    assert database.run(compiles) == "off"


LOOKS: dict[str, Callable[[Cursor, UUID], object]] = {
    "extent": lambda c, truck: read_extent(c, RemovedVehicle(truck)),
    "ends": lambda c, truck: read_ends(c, RemovedVehicle(truck)),
    "unrecorded": lambda c, _truck: leftovers.find_all(c),
    "channel": lambda c, truck: record_changes(
        c, truck, {1: Channel(1, "old", "V", 0.0, 1.0)}, [Channel(1, "new", "A", 0.0, 1.0)]
    ),
}


@pytest.mark.parametrize("name", LOOKS)
def test_no_look_through_many_parts_keeps_their_locks(
    server: Server, database_name: str, database: Database, name: str
) -> None:
    days(server, database_name)
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    page = Measurements.from_rows([(time, 1, 0.5) for time in TIMES])
    database.run(lambda cursor: measurements.add_measurements(cursor, truck, page))

    def look(cursor: Cursor) -> int:
        assert LOOKS[name](cursor, truck) is not None
        cursor.execute(LOCKED)
        return int(cursor.fetchall()[0][0])

    assert database.run(look) <= 1


def test_in_a_cycle_only_the_newest_parts_are_looked_through_and_no_meaning_is_lost(
    server: Server, database_name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    days(server, database_name)
    monkeypatch.setattr(channel_changes, "MOST_SPANS", 2)
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    store(database, truck, (TIMES[0], 1))
    looked: list[Span] = []
    condition = Span.condition

    def watched(each: Span, column: str) -> str:
        looked.append(each)
        return condition(each, column)

    monkeypatch.setattr(Span, "condition", watched)
    assert renamed(database, truck, 1) == 1
    assert [each.ends is None for each in looked] == [True, False]
