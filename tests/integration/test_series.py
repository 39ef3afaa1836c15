"""Channels' values in slices of time: at their places, exact or sampled, bounded."""

import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views import series
from fleetsyncd.database.views.plot import PlotData, PlotSpan, channel_beside, read_plot
from fleetsyncd.database.views.series import Series, Slices, read_exactly, read_series
from fleetsyncd.database.views.vehicle import SPARK_POINTS, channel_values
from tests.tui.driving import add, alarm, channel, execute

NOON = datetime(2026, 2, 22, 12, tzinfo=UTC)


def rows(database: Database, truck: UUID, number: int, values: list[tuple[float, float]]) -> None:
    """Store values of a channel, each so many seconds after NOON."""
    Partitions(database).ensure(NOON - timedelta(days=60), NOON + timedelta(days=1))
    for after, value in values:
        execute(
            database,
            "INSERT INTO measurements VALUES (%s::uuid, %s, %s, %s)",
            str(truck), number, NOON + timedelta(seconds=after), value,
        )  # fmt: skip


def read(database: Database, truck: UUID, slices: Slices, *channels: int) -> list[Series]:
    return database.run(lambda cursor: read_series(cursor, truck, channels, slices))


@given(
    st.floats(0, 4e9), st.floats(60, 3e8), st.integers(2, 400), st.floats(0, 1, exclude_max=True)
)
def test_slices_cover_the_span_and_each_time_has_its_slice(
    end: float, seconds: float, count: int, part: float
) -> None:
    slices = Slices.until(end, seconds, count)
    assert slices.end - slices.start == pytest.approx(seconds, rel=1e-3)
    assert slices.end - slices.step <= end + 1e-6
    assert end <= slices.end
    if slices.step > 60:
        assert slices.end - end <= slices.step / 8 + 1e-6
    index = int(part * count)
    assert slices.index(slices.time(index) + slices.step / 2) == index


def test_values_lie_in_the_slices_of_their_times(database: Database) -> None:
    truck = add(database, "Truck-01")
    values = [(-600, 1.0), (-599.001, 3.0), (-590, 5.0), (-300.5, 7.0), (-0.5, 9.0)]
    rows(database, truck, 1, values)
    slices = Slices.until(NOON.timestamp() - 1, 600, 60)
    (found,) = read(database, truck, slices, 1)
    assert not found.sampled
    assert found.oldest == NOON.timestamp() - 600
    assert [(each.index, each.count, each.low, each.mean, each.high) for each in found.values] == [
        (0, 2, 1.0, 2.0, 3.0),
        (1, 1, 5.0, 5.0, 5.0),
        (29, 1, 7.0, 7.0, 7.0),
        (59, 1, 9.0, 9.0, 9.0),
    ]  # fmt: skip
    for each in found.values:
        assert slices.index(each.first) == slices.index(each.last) == each.index


def test_what_is_no_number_is_left_out(database: Database) -> None:
    truck = add(database, "Truck-01")
    rows(database, truck, 1, [(-3, float("nan")), (-2, float("inf")), (-1, 4.0)])
    (found,) = read(database, truck, Slices.until(NOON.timestamp(), 600, 20), 1)
    assert [(each.low, each.mean, each.high) for each in found.values] == [(4.0, 4.0, 4.0)]


LARGEST, SMALLEST = sys.float_info.max, 5e-324


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1e300, -1e300, 6.0, 6.0], 3.0),
        ([1e200, 3e200], 2e200),
        ([LARGEST, LARGEST, LARGEST], LARGEST),
        ([-LARGEST, -LARGEST], -LARGEST),
        ([LARGEST, -LARGEST], 0.0),
        ([SMALLEST, 0.0], 0.0),
        ([SMALLEST, SMALLEST], SMALLEST),
        ([0.0, 1e-200, 1e200], 1e200 / 3),
        ([0.1, 0.1, 0.1], 0.1),
    ],
)
@pytest.mark.parametrize("sampled", [False, True])
def test_absurd_numbers_have_a_mean_and_hide_no_other_channel(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    values: list[float],
    mean: float,
    sampled: bool,
) -> None:
    if sampled:
        monkeypatch.setattr(series, "EXACT_ROWS", 0)
    truck = add(database, "Truck-01")
    rows(database, truck, 1, [(-1 - number / 100, value) for number, value in enumerate(values)])
    rows(database, truck, 2, [(-1, 4.0)])
    slices = Slices.until(NOON.timestamp() - 1, 600, 20)
    absurd, ordinary = read(database, truck, slices, 1, 2)
    (found,) = absurd.values
    assert absurd.sampled is sampled
    assert found.mean == pytest.approx(mean, rel=1e-12, abs=0)
    assert (found.low, found.high) == (min(values), max(values))
    assert [each.mean for each in ordinary.values] == [4.0]
    means = database.run(lambda cursor: read_exactly(cursor, truck, [1, 2], slices))
    assert means == {1: {found.index: found.mean}, 2: {ordinary.values[0].index: 4.0}}


def test_a_channel_with_more_rows_than_its_share_is_sampled_and_others_are_exact(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "EXACT_ROWS", 2_000)
    truck = add(database, "Truck-01")
    rows(database, truck, 7, [(-1800, 1.0), (-60, 2.0)])
    execute(
        database,
        "INSERT INTO measurements SELECT %s::uuid, 1, %s::timestamptz - n * interval '1 s', n"
        " FROM generate_series(1, 3600) n WHERE n NOT BETWEEN 1200 AND 2400",
        str(truck), NOON,
    )  # fmt: skip
    slices = Slices.until(NOON.timestamp() - 1, 3600, 20)
    dense, sparse, silent = read(database, truck, slices, 1, 7, 99)
    assert (dense.sampled, sparse.sampled, silent.sampled) == (True, False, False)
    assert [each.index for each in dense.values] == [*range(7), *range(13, 20)]
    for each in dense.values:
        assert each.count <= series.PROBES * series.PROBE_ROWS
        start = NOON.timestamp() - slices.time(each.index)
        assert start - slices.step <= each.low <= each.mean <= each.high <= start
    assert dense.values[0].count == dense.values[-1].count == series.PROBES * series.PROBE_ROWS
    assert [each.index for each in sparse.values] == [10, 19]
    assert (silent.values, silent.oldest) == ((), None)


def plotted(database: Database, truck: UUID, channels: list[int], span: PlotSpan) -> PlotData:
    return database.run(lambda cursor: read_plot(cursor, truck, channels, span, 60))


def test_a_plot_never_reaches_beyond_the_present(database: Database) -> None:
    truck = add(database, "Truck-01")
    channel(database, truck, 1, "fuel", "%")
    for end in (None, NOON.timestamp() + 1e9):
        data = plotted(database, truck, [1], PlotSpan(end, 600))
        assert data.slices.end - data.slices.step <= data.now <= data.slices.end
    past = plotted(database, truck, [1], PlotSpan(data.now - 3000, 600))
    assert past.slices.end - past.slices.step <= data.now - 3000 <= past.slices.end
    assert len(past.channels[0].series.values) == 60


def test_a_plot_holds_the_alarms_that_were_active_in_its_span(database: Database) -> None:
    truck = add(database, "Truck-01")
    channel(database, truck, 1, "fuel", "%")
    for number, (ago, lasted) in enumerate(
        [("30 min", "1 min"), ("15 min", "8 min"), ("5 min", None), ("2 days", None)], 1
    ):
        alarm(database, truck, number, f"number {number}", ago, lasted)
    data = plotted(database, truck, [1], PlotSpan(None, 600))
    assert sorted(each.alarm_id for each in data.alarms) == [2, 3, 4]


def test_a_channel_without_configuration_can_be_plotted(database: Database) -> None:
    truck = add(database, "Truck-01")
    rows(database, truck, 5, [(-1, 2.5)])
    data = plotted(database, truck, [5], PlotSpan(NOON.timestamp(), 600))
    assert (data.channels[0].name, data.channels[0].unit) == ("channel 5", "")
    assert data.oldest == NOON.timestamp() - 1


def test_the_channels_of_a_vehicle_follow_each_other_in_a_ring(database: Database) -> None:
    truck = add(database, "Truck-01")
    for number in (-3, 4, 90):
        execute(
            database,
            "INSERT INTO channel_config (vehicle_id, channel_id, name) VALUES (%s::uuid, %s, 'x')",
            str(truck), number,
        )  # fmt: skip

    def beside(start: int, step: int) -> int | None:
        return database.run(lambda cursor: channel_beside(cursor, truck, start, step))

    steps = {(start, step): beside(start, step) for start in (-3, 4, 90, 50) for step in (1, -1)}
    assert steps == {
        (-3, 1): 4, (4, 1): 90, (90, 1): -3, (50, 1): 90,
        (-3, -1): 90, (4, -1): -3, (90, -1): 4, (50, -1): 4,
    }  # fmt: skip


def test_a_spark_ends_at_present_and_keeps_a_place_for_missing_slices(database: Database) -> None:
    truck = add(database, "Truck-01")
    channel(database, truck, 1, "fuel", "%")
    execute(
        database,
        "DELETE FROM measurements WHERE time BETWEEN now() - interval '6 min'"
        " AND now() - interval '3 min' OR time > now() - interval '100 s'",
    )
    (found,) = database.run(lambda cursor: channel_values(cursor, truck))
    assert len(found.curve) == SPARK_POINTS
    missing = [index for index, value in enumerate(found.curve) if value is None]
    assert set(missing) >= {9, 10, 11, 17, 18, 19}
    assert len(missing) <= 10
