from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.states import State, derive_state

AGES = st.none() | st.floats(0, 1e9)
STATUSES = st.sampled_from(["ok", "timeout", "error", "unknown", "what a later version writes"])


def state(**changed: Any) -> State:
    facts: dict[str, Any] = {
        "paused": False,
        "status": "ok",
        "seen_age": 5.0,
        "lag": 12.0,
        "catching_up": False,
        "interval": 30.0,
    }
    return derive_state(**facts | changed)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, State.ONLINE),
        ({"lag": 90.0}, State.ONLINE),
        ({"lag": 90.1}, State.LATE),
        ({"lag": 90.1, "interval": 60.0}, State.ONLINE),
        ({"lag": None}, State.LATE),
        ({"status": "unknown", "seen_age": None, "lag": None}, State.NEVER),
        ({"status": "unknown", "lag": None}, State.LATE),
        ({"status": "unknown"}, State.ONLINE),
        ({"catching_up": True, "lag": 86_400.0}, State.CATCHING_UP),
        ({"seen_age": -5.0}, State.ONLINE),
        ({"lag": -600.0}, State.ONLINE),
        ({"seen_age": -5.1}, State.LATE),
        ({"seen_age": -3_600.0, "lag": -3_600.0}, State.LATE),
        ({"seen_age": -3_600.0, "catching_up": True}, State.LATE),
        ({"seen_age": -3_600.0, "status": "timeout"}, State.TIMEOUT),
        ({"status": "timeout"}, State.TIMEOUT),
        ({"status": "error"}, State.ERROR),
        ({"status": "what a later version writes"}, State.ERROR),
    ],
)
def test_a_vehicle_has_the_most_significant_state(facts: dict[str, Any], expected: State) -> None:
    assert state(**facts) is expected


@pytest.mark.parametrize(
    ("status", "expected"), [("timeout", State.TIMEOUT), ("error", State.ERROR)]
)
def test_a_failure_outranks_lateness_and_catching_up(status: str, expected: State) -> None:
    assert state(status=status, lag=1e6, catching_up=True) is expected
    assert state(status=status, lag=None, seen_age=None) is expected


@given(STATUSES, AGES, AGES, st.booleans())
def test_a_pause_outranks_everything(
    status: str, seen_age: float | None, lag: float | None, catching_up: bool
) -> None:
    paused = state(paused=True, status=status, seen_age=seen_age, lag=lag, catching_up=catching_up)
    assert paused is State.PAUSED


@given(STATUSES, AGES, AGES, st.booleans())
def test_a_vehicle_that_is_online_answered_and_has_no_lag_to_speak_of(
    status: str, seen_age: float | None, lag: float | None, catching_up: bool
) -> None:
    derived = state(status=status, seen_age=seen_age, lag=lag, catching_up=catching_up)
    assert derived is not State.PAUSED
    if derived is State.ONLINE:
        assert status in ("ok", "unknown")
        assert not catching_up
        assert lag is not None
        assert lag <= 90
