import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fleetsyncd.database import (
    loading,
    measurements,
    store,
    vehicles,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import WatermarkMoved
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import CycleReport, Outcome
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Alarm, BadRow, Channel, Measurements, Status
from tests.integration import recording

NAME = "store"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
MONTHS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
SECOND = timedelta(seconds=1)
_addresses = (f"10.1.{number // 250}.{number % 250 + 1}" for number in count())

moments = st.integers(0, (MONTHS[1] - MONTHS[0]) // timedelta(milliseconds=1) - 1).map(
    lambda ms: MONTHS[0] + timedelta(milliseconds=ms)
)
channel_ids = st.integers(-(2**31), 2**31 - 1)
values = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    """Return one database for all: each test has vehicles of its own."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as opened:
        Partitions(opened).ensure(MONTHS[0], MONTHS[1] - SECOND)
        yield opened


@pytest.fixture
def truck(database: Database) -> UUID:
    return add_vehicle(database)


def add_vehicle(database: Database) -> UUID:
    address = next(_addresses)
    return database.run(
        lambda cursor: vehicles.add_vehicle(cursor, f"Truck at {address}", address, 8001, None)
    )


def query(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, tuple(map(str, arguments)))
        return cursor.fetchall()

    return database.run(work)


def vehicle(database: Database, truck: UUID) -> Vehicle:
    return database.run(lambda cursor: loading.load_vehicles(cursor, [truck]))[0]


def was_seen(database: Database, truck: UUID) -> bool:
    ((seen,),) = query(
        database, "SELECT last_seen_at IS NOT NULL FROM vehicles WHERE id = %s::uuid", truck
    )
    return bool(seen)


def add(database: Database, truck: UUID, rows: Measurements) -> int:
    return database.run(lambda cursor: measurements.add_measurements(cursor, truck, rows))


def stored(database: Database, truck: UUID) -> set[tuple[datetime, int, bytes]]:
    rows = query(
        database,
        "SELECT time, channel_id, value FROM measurements WHERE vehicle_id = %s::uuid",
        truck,
    )
    return {bits(*row) for row in rows}


def bits(moment: datetime, channel_id: int, value: float) -> tuple[datetime, int, bytes]:
    return moment, channel_id, struct.pack("d", value)


def seconds(numbers: range, channel_id: int = 1) -> Measurements:
    return Measurements.from_rows((NOW + n * SECOND, channel_id, n / 7) for n in numbers)


def advance(database: Database, truck: UUID, known: datetime | None, to: datetime) -> None:
    database.run(lambda cursor: store.advance_watermark(cursor, step(truck, known, to)))


def step(truck: UUID, known: datetime | None, watermark: datetime) -> store.WatermarkUpdate:
    return store.WatermarkUpdate(
        vehicle_id=truck,
        known=known,
        watermark=watermark,
        newest_measurement_at=watermark - SECOND,
        clock_skew=timedelta(milliseconds=-1500),
        software_version="2.0",
        known_asked_to=None,
        pulled_from=watermark,
        gap=None,
    )


def report(seen: Vehicle, **changes: Any) -> CycleReport:
    usual = CycleReport(
        vehicle=seen,
        started_at=NOW,
        finished_at=NOW + SECOND,
        outcome=Outcome.ERROR,
        reason="/data: cut short",
        status=Status("2.1", db_ok=True),
    )
    return replace(usual, **changes)


def record(database: Database, written: CycleReport) -> None:
    database.run(lambda cursor: recording.record(cursor, written))


def test_added_measurements_are_counted_and_a_replay_adds_none(
    database: Database, truck: UUID
) -> None:
    assert add(database, truck, seconds(range(10))) == 10
    assert add(database, truck, seconds(range(10))) == 0
    assert add(database, truck, seconds(range(5, 15))) == 5


def test_a_replay_does_not_change_a_stored_value(database: Database, truck: UUID) -> None:
    add(database, truck, Measurements.from_rows([(NOW, 1, 1.0)]))
    assert add(database, truck, Measurements.from_rows([(NOW, 1, 2.0)])) == 0
    assert stored(database, truck) == {bits(NOW, 1, 1.0)}


def test_more_rows_than_a_batch_are_all_stored(database: Database, truck: UUID) -> None:
    rows = seconds(range(2 * measurements.BATCH + 1))
    assert add(database, truck, rows) == len(rows)
    assert stored(database, truck) == {bits(*row) for row in rows.rows()}


def test_no_rows_add_nothing(database: Database, truck: UUID) -> None:
    assert add(database, truck, Measurements.from_rows([])) == 0


@given(st.dictionaries(st.tuples(moments, channel_ids), values, min_size=1, max_size=30))
@hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_measurements_come_back_bit_for_bit(
    database: Database, rows: dict[tuple[datetime, int], float]
) -> None:
    truck = add_vehicle(database)
    expected = [(moment, channel_id, value) for (moment, channel_id), value in rows.items()]
    assert add(database, truck, Measurements.from_rows(expected)) == len(rows)
    assert stored(database, truck) == {bits(*row) for row in expected}


def test_unsorted_rows_and_a_key_met_twice_in_one_call_are_stored_once(
    database: Database, truck: UUID
) -> None:
    rows = Measurements((NOW + SECOND, NOW, NOW), (1, 2, 2), (0.5, 1.5, 1.5))
    assert add(database, truck, rows) == 2
    assert stored(database, truck) == {bits(NOW + SECOND, 1, 0.5), bits(NOW, 2, 1.5)}


def test_the_first_watermark_update_sets_the_watermark_and_the_vehicles_version(
    database: Database, truck: UUID
) -> None:
    gap = Window(NOW, NOW + 60 * SECOND)
    first = replace(step(truck, None, NOW + SECOND), gap=gap)
    database.run(lambda cursor: store.advance_watermark(cursor, first))
    loaded = vehicle(database, truck)
    assert (loaded.watermark, loaded.status, loaded.software_version) == (NOW + SECOND, "ok", "2.0")
    assert was_seen(database, truck)
    assert (loaded.pulled_until, loaded.clock_skew) == (None, timedelta(milliseconds=-1500))
    assert loaded.alarm_watermark == NOW + SECOND
    assert query(
        database,
        "SELECT newest_measurement_at, catching_up_from, catching_up_to"
        " FROM fleetsync.vehicle_state WHERE vehicle_id = %s::uuid",
        truck,
    ) == [(NOW, gap.start, gap.end)]


def test_how_far_a_pull_behind_the_watermark_has_come_is_recorded(
    database: Database, truck: UUID
) -> None:
    advance(database, truck, None, NOW + 60 * SECOND)
    behind = replace(step(truck, NOW + 60 * SECOND, NOW), clock_behind=True)
    database.run(lambda cursor: store.advance_watermark(cursor, behind))
    loaded = vehicle(database, truck)
    assert (loaded.watermark, loaded.pulled_until) == (NOW + 60 * SECOND, NOW)


def test_a_window_before_a_watermark_that_another_daemon_moved_leaves_nothing_to_do(
    database: Database, truck: UUID
) -> None:
    advance(database, truck, None, NOW + 60 * SECOND)
    advance(database, truck, NOW - SECOND, NOW)
    loaded = vehicle(database, truck)
    assert (loaded.watermark, loaded.pulled_until) == (NOW + 60 * SECOND, None)


def test_the_last_watermark_update_of_a_gap_clears_its_progress(
    database: Database, truck: UUID
) -> None:
    part = replace(step(truck, None, NOW), gap=Window(NOW, NOW + SECOND))
    database.run(lambda cursor: store.advance_watermark(cursor, part))
    advance(database, truck, NOW, NOW + SECOND)
    assert vehicle(database, truck).pulled_until is None
    assert query(
        database,
        "SELECT catching_up_from, catching_up_to FROM fleetsync.vehicle_state"
        " WHERE vehicle_id = %s::uuid",
        truck,
    ) == [(None, None)]


def test_the_watermark_and_the_newest_measurement_never_move_backwards(
    database: Database, truck: UUID
) -> None:
    advance(database, truck, None, NOW)
    advance(database, truck, NOW, NOW - 60 * SECOND)
    assert vehicle(database, truck).watermark == NOW
    assert query(
        database,
        "SELECT newest_measurement_at FROM fleetsync.vehicle_state WHERE vehicle_id = %s::uuid",
        truck,
    ) == [(NOW - SECOND,)]


def test_a_watermark_update_behind_another_daemons_is_accepted(
    database: Database, truck: UUID
) -> None:
    advance(database, truck, None, NOW + 5 * SECOND)
    advance(database, truck, NOW, NOW + 2 * SECOND)
    assert vehicle(database, truck).watermark == NOW + 5 * SECOND


@pytest.mark.parametrize("first", [NOW, None])
def test_a_watermark_update_may_be_repeated(
    database: Database, truck: UUID, first: datetime | None
) -> None:
    if first is not None:
        advance(database, truck, None, first)
    for _ in range(2):
        advance(database, truck, first, NOW + SECOND)
    assert vehicle(database, truck).watermark == NOW + SECOND


def test_two_daemons_that_pull_a_new_vehicle_at_once_both_move_the_watermark(
    database: Database, truck: UUID
) -> None:
    for end in (NOW + 60 * SECOND, NOW + 59 * SECOND):
        pulled = replace(step(truck, None, end), pulled_from=NOW)
        database.run(partial(store.advance_watermark, update=pulled))
    assert vehicle(database, truck).watermark == NOW + 60 * SECOND


@pytest.mark.parametrize("back", ["last_sync_at - interval '1 hour'", "NULL"])
def test_a_watermark_update_is_refused_if_the_watermark_was_set_back_meanwhile(
    database: Database, truck: UUID, back: str
) -> None:
    advance(database, truck, None, NOW)
    statement = f"UPDATE vehicles SET last_sync_at = {back} WHERE id = %s::uuid"  # noqa: S608
    query(database, statement + " RETURNING 1", truck)
    before = vehicle(database, truck)
    with pytest.raises(WatermarkMoved, match="set back"):
        advance(database, truck, NOW, NOW + SECOND)
    assert vehicle(database, truck) == before


def test_only_channels_that_changed_are_written(database: Database, truck: UUID) -> None:
    channels = [Channel(-1, "Oil", "bar", 0.0, 10.0), Channel(2, "Door", None, 0.0, 1.0)]
    rows = (
        "SELECT channel_id, xmin, synced_at FROM channel_config WHERE vehicle_id = %s::uuid"
        " ORDER BY channel_id"
    )
    assert database.run(lambda c: store.save_channels(c, truck, channels)) == 2
    before = query(database, rows, truck)
    assert database.run(lambda c: store.save_channels(c, truck, channels)) == 0
    assert query(database, rows, truck) == before

    changed = [channels[0], replace(channels[1], unit="V")]
    assert database.run(lambda c: store.save_channels(c, truck, changed)) == 1
    after = query(database, rows, truck)
    assert after[0] == before[0]
    assert after[1][2] > before[1][2]


def test_no_channels_write_nothing(database: Database, truck: UUID) -> None:
    assert database.run(lambda cursor: store.save_channels(cursor, truck, [])) == 0


def test_an_alarm_is_written_again_only_when_its_resolution_changed(
    database: Database, truck: UUID
) -> None:
    def save(alarm: Alarm) -> int:
        return database.run(lambda cursor: store.save_alarms(cursor, truck, [alarm]))

    lasting = Alarm(2**63 - 1, -1, None, "Oil low", NOW, None)
    assert [save(lasting), save(lasting)] == [1, 0]
    assert [save(replace(lasting, resolved_at=NOW + SECOND, message="changed"))] == [1]
    assert query(
        database,
        "SELECT alarm_id, severity, message, resolved_at FROM alarms_log"
        " WHERE vehicle_id = %s::uuid",
        truck,
    ) == [(2**63 - 1, None, "Oil low", NOW + SECOND)]


def test_the_oldest_open_alarm_of_the_last_week_is_read(database: Database, truck: UUID) -> None:
    ((now,),) = query(database, "SELECT now() WHERE %s IS NOT NULL", truck)
    ages = [timedelta(days=8), timedelta(days=2), timedelta(hours=1)]
    alarms = [Alarm(n, 1, "high", "hot", now - age, None) for n, age in enumerate(ages)]
    alarms.append(Alarm(9, 1, "high", "hot", now - timedelta(days=3), now))
    database.run(lambda cursor: store.save_alarms(cursor, truck, alarms))
    assert vehicle(database, truck).oldest_open_alarm == now - ages[1]


def test_a_bad_row_met_again_is_kept_once(database: Database, truck: UUID) -> None:
    bad = [BadRow("/data", "{}", "no time"), BadRow("/alarms", "{}", "no time")]
    for _ in range(2):
        database.run(lambda cursor: store.quarantine_rows(cursor, truck, [*bad, bad[0]]))
    assert quarantined(database, truck) == 2


def quarantined(database: Database, truck: UUID) -> int:
    statement = "SELECT count(*)::int FROM fleetsync.quarantine WHERE vehicle_id = %s::uuid"
    return int(query(database, statement, truck)[0][0])


def test_the_quarantine_of_a_vehicle_is_bounded(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "QUARANTINE_PER_VEHICLE", 10)
    kept = []
    for call in range(3):
        bad = [BadRow("/data", f"{call} {n}", "poison") for n in range(6)]
        kept.append(database.run(partial(store.quarantine_rows, vehicle_id=truck, bad=bad)))
    assert kept == [True, False, False]
    assert quarantined(database, truck) == 10
    assert database.run(partial(store.quarantine_rows, vehicle_id=truck, bad=bad[:0]))
    again = [BadRow("/data", f"0 {n}", "poison") for n in range(6)]
    assert database.run(partial(store.quarantine_rows, vehicle_id=truck, bad=again))


@pytest.mark.parametrize("never", ["-infinity", "infinity", "0044-03-15 12:00 BC"])
def test_a_watermark_that_is_no_date_of_pythons_does_not_hide_the_fleet(
    database: Database, truck: UUID, never: str
) -> None:
    other = add_vehicle(database)
    query(
        database,
        "UPDATE vehicles SET last_sync_at = %s::timestamptz WHERE id = %s::uuid RETURNING 1",
        never,
        truck,
    )
    loaded = {vehicle.id: vehicle for vehicle in database.run(loading.load_vehicles)}
    assert loaded[other].watermark is None
    assert loaded[truck].watermark is not None


def test_a_failed_cycle_is_written_once_though_recorded_twice(
    database: Database, truck: UUID
) -> None:
    loaded = vehicle(database, truck)
    for _ in range(2):
        record(database, report(loaded, rows_written=3, alarm_watermark=NOW))
    assert query(
        database,
        "SELECT started_at, finished_at, status, rows_written, error_msg FROM sync_journal"
        " WHERE vehicle_id = %s::uuid",
        truck,
    ) == [(NOW, NOW + SECOND, "error", 3, "/data: cut short")]
    after = vehicle(database, truck)
    assert (after.status, after.software_version, after.failures) == ("error", "2.1", 1)
    assert after.alarm_watermark == NOW
    assert was_seen(database, truck)


def test_a_vehicle_that_did_not_answer_keeps_what_it_said_last(
    database: Database, truck: UUID
) -> None:
    advance(database, truck, None, NOW)
    before = vehicle(database, truck)
    record(database, report(before, outcome=Outcome.TIMEOUT, status=None))
    after = vehicle(database, truck)
    assert after == replace(before, status="timeout", failures=1)


def test_failures_in_a_row_are_counted_until_a_cycle_goes_well(
    database: Database, truck: UUID
) -> None:
    counted = []
    for number, outcome in enumerate((Outcome.ERROR, Outcome.TIMEOUT, Outcome.OK, Outcome.ERROR)):
        started = NOW + number * SECOND
        record(database, report(vehicle(database, truck), started_at=started, outcome=outcome))
        counted.append(vehicle(database, truck).failures)
    assert counted == [1, 2, 0, 1]


def test_a_cycle_ended_on_purpose_is_written_but_not_held_against_the_vehicle(
    database: Database, truck: UUID
) -> None:
    advance(database, truck, None, NOW)
    record(database, report(vehicle(database, truck), started_at=NOW - SECOND))
    advance(database, truck, NOW, NOW + SECOND)
    before = vehicle(database, truck)
    record(database, report(before, stopped=True, reason="paused"))
    assert vehicle(database, truck) == before
    assert (before.status, before.failures) == ("ok", 1)
