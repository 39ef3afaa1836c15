"""A vehicle's attempts over time: the unknown has no lag, rates are of what was observed."""

from datetime import timedelta
from uuid import UUID

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.estimates import pull_rate
from fleetsyncd.database.views.history import (
    EARLIER_ATTEMPTS,
    History,
    Outcomes,
    read_histories,
    read_history,
)
from fleetsyncd.database.views.journal_hours import journal_hours, present_hour
from fleetsyncd.remarks import LEAVES_GAP
from tests.tui.driving import add, attempts, execute

HOUR = 3600.0
SLICES = 60


def history(database: Database, truck: UUID, seconds: float = HOUR) -> History:
    return database.run(lambda cursor: read_histories(cursor, [truck], seconds, SLICES))[truck]


def synced(database: Database, truck: UUID, ago: timedelta) -> None:
    """Let a vehicle that was registered days ago be committed up to `ago`."""
    execute(
        database,
        "UPDATE vehicles SET last_sync_at = now() - %s, created_at = now() - interval '9 days'"
        " WHERE id = %s::uuid",
        ago, str(truck),
    )  # fmt: skip


def unknown(shown: History) -> int:
    """Return how many of the first slices have no lag; later ones all have one."""
    lags = [bucket.lag for bucket in shown.buckets]
    count = next((index for index, lag in enumerate(lags) if lag is not None), len(lags))
    assert None not in lags[count:]
    return count


def rate(database: Database, *vehicles: UUID) -> float | None:
    return database.run(lambda cursor: pull_rate(cursor, vehicles)).rows_per_second


def test_before_the_first_attempt_no_lag_is_known(database: Database) -> None:
    truck = add(database, "Young-01")
    attempts(database, truck, 34)
    shown = history(database, truck)
    assert unknown(shown) in (42, 43)
    assert all(bucket.lag is None or bucket.lag < 70 for bucket in shown.buckets)


def test_of_a_vehicle_that_never_answered_no_lag_is_known(database: Database) -> None:
    truck = add(database, "Mute-01")
    attempts(database, truck, 100, status="timeout", rows=0)
    assert unknown(history(database, truck)) == SLICES


def test_the_lag_grows_while_nobody_tries_and_falls_with_a_good_attempt(
    database: Database,
) -> None:
    truck = add(database, "Paused-01")
    attempts(database, truck, 1, every="50 min")
    attempts(database, truck, 1, every="10 min")
    lags = [bucket.lag or 0.0 for bucket in history(database, truck).buckets]
    assert lags[12:50] == sorted(lags[12:50])
    assert lags[49] == pytest.approx(40 * 60, abs=61)
    assert lags[53] < 5 * 60


def test_an_outage_that_began_before_the_span_is_a_lag_from_its_start_on(
    database: Database,
) -> None:
    truck = add(database, "Dead-01")
    attempts(database, truck, 1, every="70 min")
    attempts(database, truck, 60, every="65 s", status="error", rows=0)
    shown = history(database, truck)
    assert unknown(shown) == 0
    assert shown.buckets[0].lag == pytest.approx(11 * 60, abs=70)
    assert shown.buckets[-1].lag == pytest.approx(70 * 60, abs=70)


def test_an_outage_longer_than_what_is_looked_back_is_told_by_the_watermark(
    database: Database,
) -> None:
    truck = add(database, "Dead-01")
    attempts(database, truck, 60 + 2 * EARLIER_ATTEMPTS, every="1 min", status="error", rows=0)
    synced(database, truck, timedelta(days=2))
    shown = history(database, truck)
    assert unknown(shown) == 0
    assert shown.buckets[0].lag == pytest.approx(47 * HOUR, abs=90)


def test_a_watermark_tells_nothing_about_the_time_before_the_registration(
    database: Database,
) -> None:
    truck = add(database, "New-01")
    synced(database, truck, timedelta(days=2))
    execute(database, "UPDATE vehicles SET created_at = now() - interval '30 min'")
    assert unknown(history(database, truck)) in (29, 30)


@pytest.mark.parametrize("count", [3, 34, 240])
def test_the_rate_is_that_of_the_time_that_was_observed(database: Database, count: int) -> None:
    truck = add(database, "Young-01")
    attempts(database, truck, count)
    assert history(database, truck).rows_per_second == pytest.approx(18, rel=0.02)
    assert rate(database, truck) == pytest.approx(18, rel=0.02)


def test_after_the_first_attempt_there_is_no_rate(database: Database) -> None:
    truck = add(database, "New-01")
    attempts(database, truck, 1, rows=100_000)
    assert history(database, truck).rows_per_second is None
    assert rate(database, truck) is None


def test_what_a_good_cycle_caught_up_with_counts_for_the_time_that_it_was_measured_in(
    database: Database,
) -> None:
    truck = add(database, "Tunnel-01")
    attempts(database, truck, 1, every="50 min")
    attempts(database, truck, 10, every="4 min", status="timeout", rows=0)
    attempts(database, truck, 1, every="2 min", rows=48 * 60 * 18)
    assert rate(database, truck) == pytest.approx(18, rel=0.02)


def test_silent_vehicles_and_backfills_do_not_change_the_estimated_rate(
    database: Database,
) -> None:
    pulled, silent = add(database, "Truck-01"), add(database, "Truck-02", "10.8.0.18")
    attempts(database, pulled, 60)
    attempts(database, pulled, 1, every="5 min", rows=10**6, error="backfill of 7 days; complete")
    attempts(database, silent, 60, status="timeout", rows=0)
    assert rate(database, pulled, silent) == pytest.approx(18, rel=0.02)


def test_the_rate_of_a_vehicle_that_went_silent_is_that_of_the_day(database: Database) -> None:
    truck = add(database, "Truck-01")
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)"
        " SELECT %s::uuid, now() - interval '5 h' - n * interval '30 s', now(), 'ok', 540"
        " FROM generate_series(1, 50) n",
        str(truck),
    )
    assert rate(database, truck) == pytest.approx(18, rel=0.02)


def test_an_estimate_for_many_vehicles_is_that_of_some_of_them(database: Database) -> None:
    fleet = [add(database, f"Truck-{n:03}", f"10.8.1.{n}") for n in range(5)]
    for truck in fleet:
        attempts(database, truck, 10)
    assert rate(database, *(fleet * 100)) == pytest.approx(18, rel=0.02)
    assert rate(database) is None


@pytest.mark.parametrize("began", [3, 30], ids=["in the span", "before it"])
def test_a_long_attempt_counts_in_each_slice_that_it_took_as_in_the_strip_of_hours(
    database: Database, began: int
) -> None:
    truck = add(database, "Truck-01")
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status)"
        " SELECT %s::uuid, date_trunc('hour', now()) - s * interval '1 h' + interval '1 min',"
        " date_trunc('hour', now()) - interval '50 min', 'error'"
        " FROM unnest(%s::int[]) s",
        str(truck), [began],
    )  # fmt: skip
    shown = database.run(lambda cursor: read_history(cursor, truck, 86_400, 24 * 60))
    taken = [minute for minute, each in enumerate(shown.outcomes) if each.attempts]
    hours = database.run(lambda c: journal_hours(c, {truck: present_hour(c) - 23}))
    strip = hours.counts[truck]
    times = {int(shown.start + 60 * minute) // 3600 for minute in taken}
    times.discard(hours.now - 24)  # the strip begins with a whole hour
    assert times == {hour for hour in strip if strip[hour].attempts}
    assert taken == list(range(taken[0], taken[-1] + 1))
    assert shown.all_outcomes == Outcomes(1, 0)
    assert (taken[0] == 0) is (began == 30)


@pytest.mark.parametrize("away", ["timeout", "paused"])
def test_what_is_pulled_beside_the_cycles_takes_its_time_with_it(
    database: Database, away: str
) -> None:
    truck = add(database, "Mine-01")
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written,"
        " error_msg) SELECT %s::uuid, at, at + interval '2 s', status, rows, error FROM ("
        " SELECT now() - n * interval '30 s' AS at,"
        "  CASE WHEN n < 12 OR n > 110 THEN 'ok' ELSE 'timeout' END AS status,"
        "  CASE WHEN n < 12 OR n > 110 THEN 540 ELSE 0 END AS rows,"
        "  CASE WHEN n = 11 THEN 'gap of 50 minutes: ' || %s END AS error"
        " FROM generate_series(1, 118) n WHERE %s OR n < 12 OR n > 110) cycles",
        str(truck), LEAVES_GAP, away == "timeout",
    )  # fmt: skip
    attempts(database, truck, 1, every="3 min", rows=10**6, error="catch-up of 50 minutes")
    assert rate(database, truck) == pytest.approx(18, rel=0.02)


def test_the_time_of_a_pause_before_the_span_was_not_observed(database: Database) -> None:
    truck = add(database, "Mine-01")
    attempts(database, truck, 34)
    execute(
        database,
        "INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written)"
        " SELECT vehicle_id, started_at - interval '20 days', finished_at - interval '20 days',"
        " status, rows_written FROM sync_journal",
    )
    assert history(database, truck).rows_per_second == pytest.approx(18, rel=0.02)
