"""The plot page: spans, cursor, channels, alarms, and how little it reads."""

import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.plot import PlotData, PlotSpan
from fleetsyncd.errors import DatabaseError
from tests.tui.driving import Driver, add, alarm, channel, drive, execute, set_state
from tui.formatting import number_text
from tui.gateway import Gateway
from tui.model.meaning import joined_of_one_meaning, meant_now
from tui.model.plot_view import MOST_CHANNELS, SPANS
from tui.screens.plot import PlotPage
from tui.widgets.panes.channels import ChannelsPane
from tui.widgets.plot_picture import draw_plot


def truck(database: Database, *names: str) -> UUID:
    vehicle = add(database, "Truck-01", "10.8.0.17")
    set_state(database, "Truck-01", "ok", "4 s", "5 s")
    for number, name in enumerate(names, 1):
        channel(database, vehicle, number, name, "bar" if number % 2 else "°C")
    return vehicle


def page(it: Driver) -> PlotPage:
    assert isinstance(it.app.screen, PlotPage)
    return it.app.screen


def data(it: Driver) -> PlotData:
    shown = page(it).view.data
    assert shown is not None
    return shown


async def channels(it: Driver) -> None:
    await it.press("enter", "4")
    await it.sees("10 MINUTES")
    await it.settled()


async def plot(it: Driver) -> None:
    await channels(it)
    await it.press("enter")
    await it.sees("Truck-01 · 10m · ", "┤")


async def pressed(it: Driver, *keys: str) -> None:
    """Press keys one by one, each after the picture that the last one asked for."""
    for key in keys:
        await it.press(key)
        await it.settled()


def test_the_span_is_zoomed_and_the_axis_is_the_spans_not_the_datas(database: Database) -> None:
    truck(database, "oil")

    async def look(it: Driver) -> None:
        await plot(it)
        for span in SPANS[1:]:
            await pressed(it, "minus")
            await it.sees(f"· {span.name} · ")
            shown = data(it)
            assert shown.slices.end - shown.slices.start == pytest.approx(span.seconds, rel=1e-3)
            assert page(it).view.live
        await pressed(it, "minus")
        await it.sees("· 10y · ", "the oldest row is of")
        for span in reversed(SPANS[:-1]):
            await pressed(it, "equals_sign")
            await it.sees(f"· {span.name} · ")

    drive(database, look)


def test_the_picture_is_panned_between_the_oldest_row_and_the_present(database: Database) -> None:
    truck(database, "oil")

    async def look(it: Driver) -> None:
        await plot(it)
        before = data(it).slices
        await pressed(it, "left")
        await it.sees("· past")
        assert before.start - data(it).slices.start == pytest.approx(150, abs=10)
        await pressed(it, "right", "right", "right")
        await it.sees("· live")
        for _ in range(40):
            await pressed(it, "left")
        await it.sees("the oldest row is of")
        stays = data(it).slices
        assert data(it).oldest is not None
        await pressed(it, "left", "left")
        assert data(it).slices == stays
        await pressed(it, "end")
        await it.sees("· live")

    drive(database, look)


def test_the_whole_history_is_shown_from_the_oldest_row_to_the_present(database: Database) -> None:
    vehicle = truck(database, "oil")
    month = "date_trunc('month', now() - interval '20 d')::date"
    execute(database, f"SELECT fleetsync.ensure_month({month})")
    execute(
        database,
        "INSERT INTO measurements VALUES (%s::uuid, 1, now() - interval '20 d', 1)",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await plot(it)
        await pressed(it, "w")
        await it.sees("· 20d · ")
        values = data(it).channels[0].series.values
        assert values[0].index in (0, 1)
        assert page(it).view.live

    drive(database, look)


def test_the_cursor_shows_values_with_unit_and_the_time_in_utc(database: Database) -> None:
    truck(database, "oil", "fuel")

    async def look(it: Driver) -> None:
        await channels(it)
        await it.press("space", "space", "enter")
        await it.sees("a oil", "b fuel")
        assert "│" not in it.screen()
        await pressed(it, "left_square_bracket", "left_curly_bracket", "right_square_bracket")
        index = page(it).view.cursor_index
        shown = data(it)
        assert index is not None
        for each in shown.channels:
            assert any(values.index == index for values in each.series.values)
        at = datetime.fromtimestamp(shown.slices.time(index), UTC)
        await it.sees(f"│ {at:%Y-%m-%d %H:%M:%S} UTC", " bar (", " °C (")
        await it.press("escape")
        assert page(it).view.cursor is None
        await it.pilot.click("#plot", offset=(40, 5))
        await it.sees("│ ")
        await it.press("escape", "escape")
        assert it.dialog() == "VehiclePage"

    drive(database, look, size=(120, 40))


def test_zooming_keeps_the_cursor_in_its_place_or_the_middle(database: Database) -> None:
    truck(database, "oil")

    async def look(it: Driver) -> None:
        await plot(it)
        await pressed(it, "minus", "left_square_bracket", *["left_curly_bracket"] * 6)
        view = page(it).view
        cursor, index = view.cursor, view.cursor_index
        assert cursor is not None
        assert index is not None
        await pressed(it, "equals_sign")
        assert view.cursor_index == pytest.approx(index, abs=3)
        await pressed(it, "minus", "escape", "left")
        middle = (data(it).slices.start + data(it).slices.end) / 2
        await pressed(it, "equals_sign")
        again = (data(it).slices.start + data(it).slices.end) / 2
        assert again == pytest.approx(middle, abs=60)

    drive(database, look)


def test_the_next_and_the_previous_channel_are_one_key_away(database: Database) -> None:
    truck(database, "oil", "fuel", "boom")

    async def look(it: Driver) -> None:
        await plot(it)
        for key, name in (("n", "fuel"), ("n", "boom"), ("n", "oil"), ("N", "boom")):
            await it.press(key)
            await it.sees(f"a {name} ")

    drive(database, look)


def test_marked_channels_are_plotted_together_up_to_a_number(database: Database) -> None:
    truck(database, *(f"part {number}" for number in range(8)))

    async def look(it: Driver) -> None:
        await channels(it)
        await it.press(*["space"] * (MOST_CHANNELS + 1))
        await it.notified(f"up to {MOST_CHANNELS} channels")
        pane = it.app.screen.query_one(ChannelsPane)
        assert pane.marked == list(range(1, MOST_CHANNELS + 1))
        await it.press("home", "space", "enter")
        await it.sees("a part 1", "b part 2", "c part 3", "d part 4", "e part 5")
        assert page(it).channels == (2, 3, 4, 5, 6)

    drive(database, look, size=(120, 40))


def test_marks_that_a_search_hides_are_counted_and_not_plotted_unasked(database: Database) -> None:
    truck(database, "engine temp", "temp oil")

    async def look(it: Driver) -> None:
        await channels(it)
        await it.press("down", "space")
        await it.sees("1 marked")
        assert "not shown" not in it.screen()
        await it.press("slash", *"engine", "enter")
        await it.sees("1 marked, 1 not shown")
        await it.press("enter")
        await it.sees("engine temp", "┤")
        assert page(it).channels == (1,)
        await it.press("escape", "space", "enter")
        await it.sees("a temp oil", "b engine temp")
        assert page(it).channels == (2, 1)

    drive(database, look)


def test_a_search_that_finds_no_channel_says_so(database: Database) -> None:
    truck(database, "oil")

    async def look(it: Driver) -> None:
        await channels(it)
        await it.press("slash", *"zzz")
        await it.sees("no channel matches zzz")
        assert "has not told any" not in it.screen()
        await it.press("escape")
        await it.sees("oil")

    drive(database, look)


@pytest.mark.parametrize(
    ("keys", "asked"), [(["minus"], "1h"), (["left"], "10m to "), (["n"], "channel 2")]
)
def test_the_heading_names_the_span_that_is_drawn_until_another_one_is(
    database: Database, keys: list[str], asked: str
) -> None:
    truck(database, "oil", "fuel")
    gateway, answer = Gateway(database, 30), threading.Event()
    real, refuses = gateway.plot, False

    def slow(vehicle_id: UUID, channels: Sequence[int], span: PlotSpan, slices: int) -> PlotData:
        answer.wait(60)
        if refuses:
            raise DatabaseError("out of reach")
        return real(vehicle_id, channels, span, slices)

    async def look(it: Driver) -> None:
        nonlocal refuses
        await plot(it)
        gateway.plot = slow  # type: ignore[method-assign]  # a slow database
        await it.press(*keys)
        await it.sees(f"Truck-01 · 10m · reading {asked}", "· live")
        answer.set()
        await it.sees_no("reading")
        await it.press("end")
        await it.settled()
        refuses = True
        await it.press("minus")
        await it.sees("could not be read · ", "· not live")
        refuses = False
        await it.refresh()
        await it.sees_no("could not be read")

    try:
        drive(gateway, look, size=(120, 40))
    finally:
        answer.set()


def test_the_scales_show_the_expected_range_or_fit_the_values(database: Database) -> None:
    truck(database, "oil")

    async def look(it: Driver) -> None:
        await plot(it)
        await pressed(it, "minus")
        await it.sees("10 bar┤", "expected 0 … 10")
        await it.press("v")
        await it.sees("9 bar┤")
        await it.press("v")
        await it.sees("10 bar┤")

    drive(database, look)


def test_the_plot_opens_at_a_moment_with_the_cursor_on_it(database: Database) -> None:
    vehicle = truck(database, "oil")
    alarm(database, vehicle, 7, "pressure is low", "20 min", "2 min")
    execute(database, "UPDATE alarms_log SET channel_id = 1")
    ((at,),) = execute(database, "SELECT triggered_at FROM alarms_log")

    async def look(it: Driver) -> None:
        await it.app.push_screen(PlotPage(it.app.context, vehicle, [1], at=at))
        await it.sees("· 1h · ", "▲ high of channel 1: pressure is low")
        view = page(it).view
        assert view.cursor_index == data(it).slices.index(at.timestamp())
        assert view.live

    drive(database, look)
    before = at - timedelta(hours=3)

    async def look_back(it: Driver) -> None:
        await it.app.push_screen(PlotPage(it.app.context, vehicle, [1], at=before))
        await it.sees("· past", "no data")
        await it.press("escape")
        await it.sees("all of this is before the oldest row")

    drive(database, look_back)


def test_an_open_alarm_of_a_silent_vehicle_is_not_drawn_up_to_the_present(
    database: Database,
) -> None:
    vehicle = truck(database, "oil")
    set_state(database, "Truck-01", "timeout", "40 min", "40 min")
    alarm(database, vehicle, 7, "pressure is low", "50 min", None)
    execute(database, "UPDATE alarms_log SET channel_id = 1")
    ((seen,),) = execute(database, "SELECT last_seen_at AT TIME ZONE 'UTC' FROM vehicles")

    async def look(it: Driver) -> None:
        await channels(it)
        await it.press("enter")
        await it.sees("┤")
        await pressed(it, "minus", "left_square_bracket")
        await it.sees("▲──", "??", f"as of {seen:%H:%M} UTC: ", "pressure is low")
        set_state(database, "Truck-01", "ok", "4 s", "5 s")
        await pressed(it, "left", "end")
        await it.sees_no("as of")
        assert "??" not in it.screen()

    drive(database, look, size=(120, 30))


def test_values_from_before_a_channel_was_another_one_are_not_shown_as_of_this_one(
    database: Database,
) -> None:
    vehicle = truck(database, "Speed", "Fuel")
    execute(
        database,
        "INSERT INTO fleetsync.channel_change (vehicle_id, channel_id, changed_at, old_name,"
        " old_unit) VALUES (%s::uuid, 1, now() - interval '3 min', 'Oil', 'kPa')",
        str(vehicle),
    )
    ((at,),) = execute(
        database, "SELECT changed_at AT TIME ZONE 'UTC' FROM fleetsync.channel_change"
    )
    moment = at.replace(tzinfo=UTC).timestamp()

    async def look(it: Driver) -> None:
        await channels(it)
        await it.press("space", "space", "enter")
        await it.sees("a Speed ", f" · until {at:%H:%M} UTC Oil [kPa]", "┊", "b Fuel ")
        await it.settled()
        speed, fuel = data(it).channels
        pairs = list(joined_of_one_meaning(speed, data(it).slices.step))
        assert len(pairs) in (len(speed.series.values) - 2, len(speed.series.values) - 3)
        assert not any(before.first < moment <= after.last for before, after in pairs)
        assert len(list(joined_of_one_meaning(fuel, data(it).slices.step))) == (
            len(fuel.series.values) - 1
        )
        lowest = min(each.low for each in meant_now(speed))
        assert f"a Speed {number_text(lowest)} … " in it.screen()
        table = page(it).export_table()
        assert table is not None
        meanings = [tuple(row[1:3]) for row in table.rows if row[0] == "1"]
        assert meanings[0] == ("Oil", "kPa")
        assert meanings[-1] == ("Speed", "bar")
        assert {row[1] for row in table.rows if row[0] == "2"} == {"Fuel"}
        await pressed(it, "left_square_bracket")
        assert "as Oil" not in it.screen()
        page(it).view.cursor = moment - 100
        await pressed(it, "left_square_bracket")
        await it.sees("a Speed as Oil: ", " kPa")
        await pressed(it, "escape", "left", "left")
        await it.sees("nothing of this meaning in this span", "Oil [kPa]")

    drive(database, look, size=(120, 40))


def test_a_channel_without_rows_says_so(database: Database) -> None:
    vehicle = truck(database)
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name) VALUES (%s::uuid, 1, 'mute')",
        str(vehicle),
    )

    async def look(it: Driver) -> None:
        await plot(it)
        await it.sees("a mute nothing stored in this span", "no row is stored")

    drive(database, look)


@pytest.mark.parametrize("size", [(20, 5), (80, 5)])
def test_a_plot_without_room_waits_for_it(database: Database, size: tuple[int, int]) -> None:
    truck(database, "oil")

    async def look(it: Driver) -> None:
        await plot(it)
        shown = page(it)
        await it.pilot.resize_terminal(*size)
        await it.until(lambda: it.dialog() == "TooSmall")
        await it.refresh()
        shown.tick()
        shown.action_fit()
        await it.pilot.resize_terminal(80, 24)
        await it.sees("a oil", "┤")
        assert not it.app.faults.count

    drive(database, look)


def test_a_plot_of_any_height_has_as_many_lines(database: Database) -> None:
    truck(database, "oil", "fuel")

    async def look(it: Driver) -> None:
        await channels(it)
        await it.press("space", "space", "enter")
        await it.sees("a oil", "b fuel")
        for height in range(20):
            drawn = draw_plot(page(it).view, 60, height).plain
            assert len(drawn.splitlines()) == height
            assert ("not shown: 2 panels" in drawn) == (1 <= height <= 3)

    drive(database, look)


class Counting(Gateway):
    """Counts the plots that are read."""

    plots = 0

    def plot(
        self, vehicle_id: UUID, channels: Sequence[int], span: PlotSpan, slices: int
    ) -> PlotData:
        """Read a plot."""
        self.plots += 1
        return super().plot(vehicle_id, channels, span, slices)


def test_a_long_span_is_not_read_again_with_every_reading_of_the_fleet(database: Database) -> None:
    truck(database, "oil")
    gateway = Counting(database, 30)
    now = [0.0]

    async def look(it: Driver) -> None:
        await plot(it)
        await pressed(it, "minus", "minus", "minus")
        read = gateway.plots
        for seconds, again in ((1, 0), (20, 0), (31, 1)):
            now[0] += seconds
            await it.refresh()
            await it.settled()
            assert gateway.plots == read + again

    drive(gateway, look, now=lambda: now[0] + time.monotonic() / 1000)


def test_a_channel_of_absurd_numbers_is_shown_and_hides_no_other(database: Database) -> None:
    vehicle = truck(database, "oil", "absurd")
    execute(
        database,
        "INSERT INTO measurements SELECT %s::uuid, 2, now() - n * interval '1 s 1 ms',"
        " CASE WHEN n %% 2 = 0 THEN %s ELSE %s END FROM generate_series(1, 60) n",
        str(vehicle), sys.float_info.max, -sys.float_info.max,
    )  # fmt: skip

    async def look(it: Driver) -> None:
        await channels(it)
        await it.sees("oil", "absurd")
        await it.press("enter")
        await it.sees("a oil")
        await pressed(it, "n")
        await it.sees("a absurd", "e+308")
        await it.sees_no("could not be read")

    drive(database, look)


class OneUnreadable(Gateway):
    """Cannot read channel 2 while `failing`."""

    failing = True

    def plot(
        self, vehicle_id: UUID, channels: Sequence[int], span: PlotSpan, count: int
    ) -> PlotData:
        if self.failing and 2 in channels:
            raise DatabaseError("value out of range: overflow")
        return super().plot(vehicle_id, channels, span, count)


def test_the_picture_of_a_channel_does_not_stand_for_one_that_cannot_be_read(
    database: Database,
) -> None:
    truck(database, "oil", "water")
    gateway = OneUnreadable(database, 30)

    async def look(it: Driver) -> None:
        await plot(it)
        await it.sees("a oil")
        await pressed(it, "n")
        await it.sees(" channel 2 could not be read", "value out of range: overflow")
        await it.sees_no("a oil")
        assert page(it).export_table() is None
        await pressed(it, "right_square_bracket", "v")
        await it.sees(" channel 2 could not be read")
        gateway.failing = False
        await it.refresh()
        await it.sees("a water")
        gateway.failing = True
        await pressed(it, "minus")
        await it.sees("a water", "could not be read: value out of range")

    drive(gateway, look)
