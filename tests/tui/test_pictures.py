"""Pictures tell the truth: about time, about what is missing, about their scale."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.database.views.history import History, HistoryBucket, Outcomes
from fleetsyncd.database.views.plot import PlotData, PlottedChannel
from fleetsyncd.database.views.series import Series, Slices, SliceValues
from fleetsyncd.database.views.vehicle import StoredAlarm
from tui.model.curve import joined
from tui.model.plot_view import PlotView
from tui.model.scale import MIN_SHARE, Scale, expected_range, scale_of
from tui.model.span import HOUR
from tui.model.sparks import (
    MISSING,
    channel_scale,
    count_scale,
    count_spark,
    lag_scale,
    lag_scale_text,
    spark,
    thinned,
)
from tui.model.time_axis import MARK, TimeAxis, utc
from tui.widgets.panes.history import history_text
from tui.widgets.plot_panel import COLOURS, panels
from tui.widgets.plot_picture import (
    LASTING,
    NOT_KNOWN,
    OTHER_ALARM,
    OWN_ALARM,
    draw_plot,
    slice_at,
    slice_count,
)

WIDTH, HEIGHT = 80, 20
NOON = datetime(2026, 2, 22, 12, tzinfo=UTC).timestamp()
ANY = st.floats(allow_nan=False, allow_infinity=False)
USUAL = st.floats(-1e6, 1e6)
GAPPY = st.lists(st.none() | USUAL, min_size=1, max_size=40)
BRAILLE = range(0x2801, 0x2900)


def is_drawn(character: str) -> bool:
    return ord(character) in BRAILLE


@given(st.lists(ANY, min_size=1), st.none() | st.tuples(ANY, ANY))
def test_the_printed_scale_contains_all_values_and_the_expected_range(
    values: list[float], bounds: tuple[float, float] | None
) -> None:
    expected = expected_range(*bounds) if bounds else None
    scale = scale_of(values, expected)
    assert float(scale.low_text) <= min([*values, *(expected or ())])
    assert float(scale.high_text) >= max([*values, *(expected or ())])
    assert scale.low < scale.high
    assert all(0 <= scale.fraction(value) <= 1 for value in values)


@given(USUAL, st.floats(0, 1e-3))
def test_a_nearly_constant_value_is_nearly_flat_without_an_expected_range(
    value: float, change: float
) -> None:
    scale = scale_of([value, value * (1 + change)])
    moved = scale.fraction(value * (1 + change)) - scale.fraction(value)
    assert abs(moved) <= 1.1 * change / MIN_SHARE + 1e-9


def test_the_expected_range_decides_how_dramatic_a_change_looks() -> None:
    values = [62.2, 62.3, 62.4]
    assert set(spark(values, channel_scale(values, (0, 100)))) == {"▅"}
    assert len(set(spark(values, channel_scale(values, None)))) <= 2
    beyond = channel_scale([*values, 140], (0, 100))
    assert (beyond.low, beyond.high) == (0, 140)


@pytest.mark.parametrize(
    ("low", "high"), [(None, 1.0), (1.0, None), (5.0, 5.0), (5.0, 1.0), (0.0, math.inf)]
)
def test_a_range_that_is_none_is_not_expected(low: float | None, high: float | None) -> None:
    assert expected_range(low, high) is None


@given(GAPPY)
def test_a_spark_has_a_place_for_each_slice_and_a_dot_only_for_a_missing_one(
    values: list[float | None],
) -> None:
    drawn = spark(values, channel_scale(values, None))
    assert len(drawn) == len(values)
    assert [sign == MISSING for sign in drawn] == [value is None for value in values]


@given(st.lists(st.none() | st.integers(0, 10**7), min_size=1, max_size=40))
def test_no_rows_one_row_and_no_attempt_look_different(counts: list[float | None]) -> None:
    drawn = count_spark(counts, count_scale(counts))
    for count, sign in zip(counts, drawn, strict=True):
        assert (sign == MISSING) == (count is None)
        assert (sign == "▁") == (count == 0)


@given(st.lists(st.none() | st.floats(0, 1e8), min_size=12, max_size=12))
def test_thinned_lags_keep_the_longest_and_what_is_missing(lags: list[float | None]) -> None:
    halves = thinned(lags, 6)
    assert len(halves) == 6
    for number, lag in enumerate(halves):
        pair = [each for each in lags[2 * number : 2 * number + 2] if each is not None]
        assert lag == max(pair, default=None)


@given(st.lists(st.floats(0, 1e8), min_size=1))
def test_the_bound_of_a_lags_scale_is_not_less_than_the_longest(lags: list[float]) -> None:
    scale = lag_scale(lags)
    text = lag_scale_text(scale).removeprefix("0…")
    assert float(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]] >= max(lags)


def test_a_lag_of_seconds_is_low_and_has_the_usual_scale() -> None:
    scale = lag_scale([3, 31])
    assert (spark([3, 31], scale), lag_scale_text(scale)) == ("▁▃", "0…90s")


SPANS = st.tuples(st.floats(0, 4e9), st.floats(60, 4e8), st.integers(40, 300))


@given(SPANS)
def test_a_label_stands_in_the_cell_of_its_time_and_covers_no_other(
    span: tuple[float, float, int],
) -> None:
    start, seconds, width = span
    axis = TimeAxis(start, start + seconds, width)
    assert len(axis.line) == width
    assert axis.line.count(MARK) == len(axis.ticks)
    for tick in axis.ticks:
        assert axis.line[tick.cell :].startswith(MARK + tick.label)
        assert abs(axis.start + (tick.cell + 0.5) * seconds / width - tick.at) <= seconds / width


@given(SPANS, st.floats(-0.5, 1.5))
def test_a_time_has_the_cell_that_its_share_of_the_span_gives(
    span: tuple[float, float, int], part: float
) -> None:
    start, seconds, width = span
    axis = TimeAxis(start, start + seconds, width)
    cell = axis.cell(start + part * seconds)
    if cell is None:
        assert not 1e-6 < part < 1 - 1e-6
    else:
        assert abs(cell - part * width) <= 1.001


def slices(seconds: float = HOUR.seconds, width: int = WIDTH) -> Slices:
    return Slices.until(NOON, seconds, slice_count(width))


def one(index: int, of: Slices, value: float = 5.0, count: int = 10) -> SliceValues:
    """Return the values of a slice whose rows fill it."""
    start, pause = of.time(index), of.step / count
    return SliceValues(index, count, value, value, value, start, start + of.step - pause)


def channel(
    values: list[SliceValues], number: int = 1, unit: str = "bar", *, sampled: bool = False
) -> PlottedChannel:
    oldest = values[0].first if values else None
    return PlottedChannel(
        number, f"name {number}", unit, None, None, Series(number, tuple(values), sampled, oldest)
    )


def view(
    *channels: PlottedChannel,
    alarms: tuple[StoredAlarm, ...] = (),
    known_age: float | None = 0.0,
) -> PlotView:
    return PlotView(HOUR, data=PlotData(NOON, slices(), channels, alarms, known_age))


def curve_rows(shown: PlotView, width: int = WIDTH) -> list[str]:
    """Return the rows of a plot of one panel, without its axis."""
    lines = draw_plot(shown, width, HEIGHT).plain.split("\n")
    start = next(column for column in range(width) if slice_at(column) is not None)
    return [line[start:].ljust(width - start) for line in lines[1 : HEIGHT - 3]]


@given(st.sets(st.integers(0, slice_count(WIDTH) - 1), max_size=60))
def test_a_gap_in_the_data_is_a_gap_in_the_plot(filled: set[int]) -> None:
    of = slices()
    shown = curve_rows(view(channel([one(index, of) for index in sorted(filled)])))
    for column in range(slice_count(WIDTH) // 2):
        has_data = bool(filled & {2 * column, 2 * column + 1})
        assert any(is_drawn(row[column]) for row in shown) == has_data


@given(st.floats(0.5, 60), st.floats(0, 0.8))
def test_neighbours_are_joined_only_if_no_row_is_missing_between_them(
    interval: float, missing: float
) -> None:
    of = slices()
    begins, ends = of.start + 0.1 * HOUR.seconds, of.start + (0.1 + missing) * HOUR.seconds
    every = [of.start + number * interval for number in range(int(HOUR.seconds / interval))]
    found: dict[int, list[float]] = {}
    for at in every:
        if not begins <= at < ends:
            found.setdefault(of.index(at), []).append(at)
    before = max(at for at in every if at < begins)
    after = min(at for at in every if at >= ends)
    # What is missing within one slice has no neighbours that a line could join.
    crossed = of.index(before) != of.index(after)
    values = tuple(
        SliceValues(index, len(times), 1, 1, 1, times[0], times[-1])
        for index, times in found.items()
    )
    pairs = list(joined(Series(1, values, False, None), of.step))
    bridges = [pair for pair in pairs if pair[0].last < begins and pair[1].first >= ends]
    if ends - begins > 4 * interval:
        assert not bridges
        assert len(pairs) == len(values) - 1 - crossed
    if missing == 0:
        assert len(pairs) == len(values) - 1


def of_minutes(of: Slices, every: float, missing: range = range(0)) -> Series:
    """Return a series as it is read from minutes, without those that are missing."""
    counts: dict[int, int] = {}
    for number in range(int((of.end - of.start) / every)):
        minute = int((of.start + number * every) // 60 * 60)
        counts[minute] = counts.get(minute, 0) + 1
    gone = [int(of.start // 60 + number) * 60 for number in missing]
    found: dict[int, list[int]] = {}
    for minute in counts:
        if of.start <= minute and minute not in gone:
            found.setdefault(of.index(minute), []).append(minute)
    values = tuple(
        SliceValues(index, sum(counts[at] for at in each), 1, 1, 1, each[0], each[-1] + 60)
        for index, each in found.items()
    )
    return Series(1, values, False, None, 60.0)


@pytest.mark.parametrize("every", [1, 10, 30, 60, 61, 65, 70, 75, 89, 90, 100, 119, 120, 300, 600])
@pytest.mark.parametrize(("hours", "count"), [(4, 136), (4, 226), (24, 136), (168, 136)])
def test_a_curve_read_from_minutes_is_joined_however_often_the_channel_is_sampled(
    every: float, hours: int, count: int
) -> None:
    of = Slices.until(1_700_000_000, hours * 3600, count)
    series = of_minutes(of, every)
    assert len(list(joined(series, of.step))) == len(series.values) - 1


@pytest.mark.parametrize(("every", "minutes"), [(1, 1), (10, 1), (60, 4), (70, 6)])
def test_a_curve_read_from_minutes_has_a_gap_where_minutes_are_missing(
    every: float, minutes: int
) -> None:
    of = Slices.until(1_700_000_000, 4 * 3600, 226)
    series = of_minutes(of, every, range(100, 100 + minutes))
    assert len(list(joined(series, of.step))) == len(series.values) - 2


def test_a_slow_channel_is_a_line_and_two_rows_days_apart_are_not() -> None:
    of = slices()
    slow = [SliceValues(n, 1, 1, 1, 1, of.time(n), of.time(n)) for n in range(0, 100, 10)]
    assert len(list(joined(Series(1, tuple(slow), False, None), of.step))) == 9
    assert not list(joined(Series(1, tuple(slow[:2]), False, None), of.step))


def test_a_sampled_channel_is_joined_to_the_next_slice_only() -> None:
    of = slices(30 * 86_400)
    values = [one(index, of) for index in (1, 2, 4)]
    pairs = list(joined(Series(1, tuple(values), True, None), of.step))
    assert [(before.index, after.index) for before, after in pairs] == [(1, 2)]


@given(st.lists(USUAL, min_size=1, max_size=100))
def test_the_axis_of_a_panel_contains_its_values_and_names_the_unit(values: list[float]) -> None:
    of = slices()
    drawn = [one(index, of, value) for index, value in enumerate(values)]
    (panel,) = panels([channel(drawn)], fitted=False)
    labels = panel.labels(10)
    assert labels[0].endswith(" bar")
    assert float(labels[0].removesuffix(" bar")) >= max(values)
    assert float(labels[-1]) <= min(values)


def test_channels_of_one_unit_share_a_scale_and_others_have_their_own() -> None:
    of = slices()
    data = [("bar", 5.0), ("°C", 80.0), ("bar", 9.0), ("", 1.0), ("", 2.0)]
    channels = [
        channel([one(3, of, value)], number, unit) for number, (unit, value) in enumerate(data)
    ]
    drawn = panels(channels, fitted=False)
    assert [[c.channel.channel_id for c in panel.curves] for panel in drawn] == [
        [0, 2], [1], [3], [4],
    ]  # fmt: skip
    assert drawn[0].scale == Scale(5, 9)
    assert [curve.colour for panel in drawn for curve in panel.curves] == [
        COLOURS[0], COLOURS[2], COLOURS[1], COLOURS[3], COLOURS[4],
    ]  # fmt: skip


def test_curves_on_one_scale_are_named_without_colours_too() -> None:
    of = slices()
    values = [channel([one(n, of, level) for n in range(50)], number)
              for number, level in ((1, 2.0), (2, 8.0))]  # fmt: skip
    shown = curve_rows(view(*values))
    columns = {letter: row.index(letter) for letter in "ab" for row in shown if letter in row}
    assert columns == {"a": 24, "b": 24}


def alarm(number: int, channel_id: int, at: float, lasted: float | None = 60.0) -> StoredAlarm:
    ended = None if lasted is None else utc(at + lasted)
    return StoredAlarm(number, channel_id, "high", f"message {number}", utc(at), ended)


def test_alarms_are_marked_at_their_times_and_those_of_plotted_channels_apart() -> None:
    of = slices()
    alarms = (
        alarm(1, 1, of.time(20) + 1),
        alarm(2, 9, of.time(60) + 1),
        alarm(3, 1, of.time(100) + 1, None),
    )
    shown = view(channel([one(5, of)]), alarms=alarms)
    row = draw_plot(shown, WIDTH, HEIGHT).plain.split("\n")[-3]
    marks = [(column, sign) for column, sign in enumerate(row) if sign in OWN_ALARM + OTHER_ALARM]
    at = {slice_at(column): sign for column, sign in marks}
    assert at == {20: OWN_ALARM, 60: OTHER_ALARM, 100: OWN_ALARM}
    assert row.endswith("──")
    shown.put_cursor(60)
    assert "△ high of channel 9: message 2" in draw_plot(shown, 120, HEIGHT).plain
    assert "none in this span" in draw_plot(view(channel([])), WIDTH, HEIGHT).plain


@pytest.mark.parametrize(
    ("known_age", "as_of"), [(119.0, None), (1800.0, "as of 11:30 UTC: "), (None, "not known to")]
)
def test_an_open_alarm_is_drawn_up_to_when_the_vehicle_was_heard_of(
    known_age: float | None, as_of: str | None
) -> None:
    of = slices()
    begun, over = alarm(1, 1, NOON - 2700, None), alarm(2, 1, NOON - 600)
    shown = view(channel([one(5, of)]), alarms=(begun, over), known_age=known_age)
    start = next(column for column in range(WIDTH) if slice_at(column) is not None)
    row = draw_plot(shown, WIDTH, HEIGHT).plain.split("\n")[-3][start:]
    width = len(row)
    known = (2700 if known_age is None else known_age) if as_of else 0
    lines = row.replace(OWN_ALARM, LASTING).rstrip()
    assert abs(lines.count(LASTING) - (2700 - known) / 3600 * width) <= 3
    assert (NOT_KNOWN in lines) == (as_of is not None)
    assert len(lines) == width
    assert row[int(width * 50 / 60) :].count(OWN_ALARM) == 1, "one that is over hides nothing"
    shown.put_cursor(of.count - 2)
    text = draw_plot(shown, 160, HEIGHT).plain.split("\n")[-1]
    assert "▲ " + (as_of or "high of channel 1: message 1") in text
    shown.put_cursor(of.index(NOON - 2000))
    assert "as of" not in draw_plot(shown, 160, HEIGHT).plain


def test_the_cursor_tells_time_and_value_and_says_where_there_are_no_data() -> None:
    of = slices()
    shown = view(channel([one(30, of, 7.25)]))
    shown.put_cursor(30)
    text = draw_plot(shown, WIDTH, HEIGHT).plain
    assert "a name 1 7.25 bar" in text
    assert f"│ {utc(of.time(30)):%Y-%m-%d %H:%M:%S} UTC" in text
    shown.put_cursor(31)
    assert "a name 1 no data" in draw_plot(shown, WIDTH, HEIGHT).plain


def test_what_does_not_fit_is_told() -> None:
    channels = [channel([], number, f"unit {number}") for number in range(6)]
    assert "not shown: 3 panels;" in draw_plot(view(*channels), 80, 13).plain
    assert "not shown" not in draw_plot(view(*channels), 80, 21).plain


def bucket(attempts: int, rows: int, lag: float | None) -> HistoryBucket:
    return HistoryBucket(attempts, attempts, rows, lag)


def test_the_history_shows_nothing_before_there_are_data() -> None:
    buckets = [bucket(0, 0, None)] * 30 + [bucket(1, 0, 31.0)] * 5 + [bucket(1, 540, 31.0)] * 15
    outcomes = [Outcomes(each.attempts, each.ok) for each in buckets]
    history = History(NOON - 3600, NOON, tuple(buckets), 18.0, tuple(outcomes))
    lag, rows, ok, axis = history_text(history, HOUR).plain.split("\n")
    assert lag[9:59] == "·" * 30 + "▃" * 20
    assert rows[9:59] == "·" * 30 + "▁" * 5 + "█" * 15
    assert ok[9:59] == "·" * 30 + "●" * 20
    assert "1080/min" in rows
    assert axis.startswith(" UTC")
    assert axis[9 + 25 :].startswith(f"{MARK}11:30")


@pytest.mark.parametrize(
    ("ok", "attempts", "told"),
    [
        (2880, 2880, "100% of 2880"), (2879, 2880, ">99% of 2880"), (3, 4, "75% of 4"),
        (1, 2880, "<1% of 2880"), (0, 2880, "0% of 2880"),
    ],
)  # fmt: skip
def test_all_and_none_of_the_attempts_are_told_only_where_it_is_so(
    ok: int, attempts: int, told: str
) -> None:
    outcomes = Outcomes(attempts, ok)
    history = History(NOON - 3600, NOON, (bucket(1, 0, None),), None, (outcomes,), outcomes)
    line = history_text(history, HOUR).plain.split("\n")[2]
    assert line.endswith(f"  {told}")


@given(ANY)
def test_one_value_has_a_scale_with_room_around_it(value: float) -> None:
    scale = scale_of([value])
    assert isinstance(scale, Scale)
    assert scale.low <= value <= scale.high


def test_all_of_the_attempts_are_good_only_without_a_failure() -> None:
    bucket = HistoryBucket(2880, 2879, 540, 5.0)
    history = History(0.0, HOUR.seconds, (bucket,) * 50, 18.0, all_outcomes=Outcomes(2880, 2879))
    assert "99% of 2880" in history_text(history, HOUR).plain
