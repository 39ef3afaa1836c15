from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fleetsyncd
from fleetsyncd.loss_forecast import NEAR_SEC, LossForecast, forecast_loss, next_look
from fleetsyncd.models import HistoryLook, Window
from fleetsyncd.sync.history import is_true_still

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GAP = Window(NOW - 72 * HOUR, NOW)


def look(
    margin: timedelta, history_pace: float | None = 1.0, gap_pace: float | None = None
) -> HistoryLook:
    """Return a look of this moment at a history that begins `margin` before the gap."""
    return HistoryLook(GAP.start - margin, NOW, GAP.start, history_pace, gap_pace)


def test_a_vehicle_that_was_never_asked_has_no_forecast() -> None:
    assert forecast_loss(None, GAP, NOW) is None


def test_a_gap_that_is_pulled_faster_than_the_history_moves_loses_nothing() -> None:
    assert forecast_loss(look(HOUR, 1.0, 1.5), GAP, NOW) is None


def test_a_gap_that_is_pulled_slower_loses_what_the_history_reaches_first() -> None:
    # The history comes nearer by half an hour each hour: it meets the pull after two hours.
    expected = LossForecast(GAP.start + HOUR, 2 * 3600.0)
    assert forecast_loss(look(HOUR, 1.0, 0.5), GAP, NOW) == expected


def test_a_slow_pull_that_ends_before_the_history_comes_loses_nothing() -> None:
    assert forecast_loss(look(80 * HOUR, 1.0, 0.5), GAP, NOW) is None
    assert forecast_loss(look(70 * HOUR, 1.0, 0.5), GAP, NOW) is not None


def test_a_gap_that_makes_no_progress_loses_its_beginning() -> None:
    assert forecast_loss(look(HOUR, 1.0, 0.0), GAP, NOW) == LossForecast(GAP.start, 3600.0)


@pytest.mark.parametrize("margin", [timedelta(0), -HOUR])
def test_what_the_vehicle_has_dropped_already_is_being_lost_now(margin: timedelta) -> None:
    assert forecast_loss(look(margin, 1.0, 5.0), GAP, NOW) == LossForecast(GAP.start, 0.0)


def test_the_history_is_taken_to_move_on_after_the_look() -> None:
    known = look(HOUR, None, None)
    assert forecast_loss(known, GAP, NOW + HOUR / 2) is None
    assert forecast_loss(known, GAP, NOW + 2 * HOUR) == LossForecast(GAP.start, 0.0)


def test_a_vehicle_that_drops_nothing_loses_nothing() -> None:
    assert forecast_loss(look(HOUR, 0.0, 0.0), GAP, NOW + 1000 * HOUR) is None


def test_a_history_that_has_stood_still_for_weeks_has_a_forecast_at_each_look() -> None:
    """Its pace is halved again and again; what is divided by it must not become infinite."""
    known = next_look(None, GAP.start - HOUR, GAP.start, NOW)
    for minutes in range(1, 3_000):
        at = NOW + timedelta(minutes=minutes)
        known = next_look(known, GAP.start - HOUR + timedelta(seconds=1), GAP.start, at)
        forecast_loss(known, GAP, at)
    assert known.history_pace == 0
    assert forecast_loss(known, GAP, NOW) is None


PACES = st.floats(0, 10) | st.sampled_from([5e-324, 1.2e-305, 1e-300, 1e-17])


@given(PACES, PACES, st.timedeltas(-HOUR, 9_999 * HOUR))
def test_no_pace_that_is_stored_ends_the_forecast(
    history_pace: float, gap_pace: float, margin: timedelta
) -> None:
    found = forecast_loss(look(margin, history_pace, gap_pace), GAP, NOW)
    assert found is None or GAP.start <= found.loses_from < GAP.end


def test_two_looks_tell_both_paces() -> None:
    first = next_look(None, NOW - 90 * HOUR, NOW - 72 * HOUR, NOW)
    assert (first.history_pace, first.gap_pace) == (None, None)
    second = next_look(first, NOW - 89 * HOUR, NOW - 68 * HOUR, NOW + HOUR)
    assert (second.history_pace, second.gap_pace) == (1.0, 4.0)
    third = next_look(second, NOW - 89 * HOUR, NOW - 68 * HOUR, NOW + 2 * HOUR)
    assert (third.history_pace, third.gap_pace) == (0.5, 2.0)


def test_a_history_that_jumps_or_goes_back_has_a_pace_within_bounds() -> None:
    first = next_look(None, NOW - 90 * HOUR, NOW - 72 * HOUR, NOW)
    jumped = next_look(first, NOW, NOW - 72 * HOUR, NOW + timedelta(minutes=10))
    assert jumped.history_pace == 10.0
    back = next_look(first, NOW - 900 * HOUR, NOW - 80 * HOUR, NOW + timedelta(minutes=10))
    assert (back.history_pace, back.gap_pace) == (0.0, None)


def test_a_gap_that_stood_still_once_has_no_pace_and_one_that_still_does_has_pace_zero() -> None:
    first = next_look(None, NOW - 90 * HOUR, NOW - 72 * HOUR, NOW)
    second = next_look(first, NOW - 89 * HOUR, NOW - 72 * HOUR, NOW + HOUR)
    assert second.gap_pace is None
    assert forecast_loss(second, GAP, NOW + HOUR) is None
    third = next_look(second, NOW - 88 * HOUR, NOW - 72 * HOUR, NOW + 2 * HOUR)
    assert forecast_loss(third, GAP, NOW + 2 * HOUR) == LossForecast(GAP.start, 16 * 3600.0)
    moved = next_look(second, NOW - 88 * HOUR, NOW - 66 * HOUR, NOW + 2 * HOUR)
    assert moved.gap_pace == 6.0


def test_the_alert_of_a_loss_fires_when_a_notice_tells_it() -> None:
    rules = (Path(fleetsyncd.__file__).parent / "ops" / "alerts.yaml").read_text()
    rule = rules[rules.index("FleetsyncVehicleLosesData") :].split("for:")[0]
    assert rule.rstrip().endswith(f"< {NEAR_SEC:.0f}")


def test_two_looks_at_the_same_moment_tell_no_pace() -> None:
    first = next_look(None, NOW - 90 * HOUR, NOW - 72 * HOUR, NOW)
    again = next_look(first, NOW - 80 * HOUR, NOW - 70 * HOUR, NOW)
    assert (again.begins, again.history_pace, again.gap_pace) == (NOW - 80 * HOUR, None, None)


@pytest.mark.parametrize(
    ("pulled_sec", "pace", "holds_sec"),
    [(30, 1.0, 30), (30, None, 30), (30, 0.0, 30), (30, 3.0, 10), (-30, 1.0, 60), (7200, 1.0, 600)],
    ids=["just ahead", "pace not known", "it stood still", "fast", "behind", "far ahead"],
)
def test_a_look_holds_until_the_history_may_have_overtaken_what_is_pulled(
    pulled_sec: float, pace: float | None, holds_sec: float
) -> None:
    known = HistoryLook(NOW, NOW, NOW - HOUR, pace)
    watermark = NOW + timedelta(seconds=pulled_sec)
    ends = NOW + timedelta(seconds=holds_sec)
    assert is_true_still(known, watermark, ends - timedelta(seconds=0.1))
    assert not is_true_still(known, watermark, ends)
