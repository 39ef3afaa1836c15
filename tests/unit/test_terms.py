from dataclasses import replace
from math import isclose
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd import bootstrap
from fleetsyncd.errors import CommandError
from fleetsyncd.models import Vehicle
from fleetsyncd.settings import load
from fleetsyncd.terms import (
    LONGEST_INTERVAL_SEC,
    LONGEST_TIMEOUT_SEC,
    NO_TERMS,
    PARSERS,
    Given,
    Terms,
    TermsChange,
    length_text,
    parse_change,
    parse_gap_kbit,
    parse_interval,
    parse_terms,
    parse_timeout,
    parse_window,
)

seconds = st.floats(10, 3600).map(lambda value: round(value, 3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30", 30), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 1d ", 86_400), ("default", None)],
)
def test_an_interval_is_read_in_seconds_or_with_its_unit(text: str, expected: float | None) -> None:
    assert parse_interval(text) == expected


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "text",
    ["0", "-5", "nan", "NaN", "inf", "1e9", "1000000000", "999999999", "10x", "", "m", "1,5", "٣"],
)
def test_what_is_no_term_is_refused_in_words_that_say_what_to_write(name: str, text: str) -> None:
    with pytest.raises(CommandError, match=r"is no .*(write|it is|: )"):
        PARSERS[name](text)


def test_what_is_written_is_repeated_without_control_characters() -> None:
    with pytest.raises(CommandError) as error:
        parse_interval("10m\x1b[2J" + "x" * 10_000)
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 200


def test_a_window_is_no_longer_than_that_of_a_gap_and_no_shorter_than_it_can_end() -> None:
    assert parse_window("1h") == 3600
    assert parse_window("10") == 10
    for text in ("61m", "9s"):
        with pytest.raises(CommandError, match="is no window: it is 10s to 1h"):
            parse_window(text)


def test_a_gap_has_a_whole_number_of_kilobits() -> None:
    assert parse_gap_kbit("256") == 256
    assert parse_gap_kbit("default") is None
    with pytest.raises(CommandError, match="kilobits in a second"):
        parse_gap_kbit("2.5")


def test_an_interval_shorter_than_the_fleets_is_refused_with_the_reason() -> None:
    Terms(interval_sec=30).check(30)
    with pytest.raises(CommandError, match=r"10s is shorter than SYNC_INTERVAL_SEC, which is 30"):
        Terms(interval_sec=10).check(30)


def test_a_timeout_longer_than_the_interval_is_refused_with_both() -> None:
    Terms(interval_sec=60, timeout_sec=60).check(30)
    with pytest.raises(CommandError, match=r"timeout of 40s is longer than the interval of 30s"):
        Terms(timeout_sec=40).check(30)


def test_a_timeout_is_no_longer_than_a_stop_may_wait_for_a_request() -> None:
    assert parse_timeout("2m") == LONGEST_TIMEOUT_SEC
    with pytest.raises(CommandError, match="3m is no timeout: it is more than 0 and at most 2m"):
        parse_timeout("3m")


def test_a_longer_timeout_that_was_stored_is_told_and_cut_down() -> None:
    stored = Terms(interval_sec=86_400, timeout_sec=86_400)
    with pytest.raises(CommandError, match="timeout of 1d is longer than 2m"):
        stored.check(30)
    assert stored.timeout(10) == LONGEST_TIMEOUT_SEC
    assert Terms(timeout_sec=30).timeout(10) == 30
    assert NO_TERMS.timeout(10) == 10
    assert NO_TERMS.timeout(300) == 300


@pytest.mark.parametrize(("stored", "waits"), [(86_400, LONGEST_TIMEOUT_SEC), (30, 30), (None, 10)])
def test_a_client_waits_as_long_as_the_terms_say_and_no_longer_than_a_stop_may(
    stored: float | None, waits: float
) -> None:
    vehicle = Vehicle(uuid4(), "Truck-01", "10.8.0.1", 8001, "key", None, "ok", None)
    vehicle = replace(vehicle, terms=Terms(86_400, stored))
    client = bootstrap.vehicle_client(load(dotenv=False), vehicle)
    assert client.pull_timeout_sec == waits
    client.close()


def test_a_timeout_is_not_measured_by_an_interval_that_is_not_known() -> None:
    Terms(timeout_sec=40).check(0)
    with pytest.raises(CommandError):
        Terms(interval_sec=30, timeout_sec=40).check(0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("gap=64 window=1m", None),
        ("timeout=60", None),
        ("interval=default", None),
        ("interval=20m", None),
        ("interval=11m", "11m is shorter than SYNC_INTERVAL_SEC, .* what default stands for"),
    ],
)
def test_a_change_is_not_refused_for_what_it_leaves_as_it_was(words: str, told: str | None) -> None:
    old = Terms(interval_sec=600, timeout_sec=90)
    change = parse_terms(words)
    if told is None:
        change.check(change.applied_to(old), 900)
        return
    with pytest.raises(CommandError, match=told):
        change.check(change.applied_to(old), 900)


def test_a_change_of_the_interval_alone_is_refused_for_the_timeout() -> None:
    change = parse_terms("interval=1m")
    with pytest.raises(CommandError, match="timeout of 90s is longer"):
        change.check(change.applied_to(Terms(600, 90)), 30)
    with pytest.raises(CommandError, match="timeout of 1m is longer"):
        parse_terms("timeout=60").check(Terms(timeout_sec=60), 30)


def test_a_fleet_that_is_asked_less_often_asks_each_vehicle_less_often() -> None:
    assert Terms(interval_sec=60).interval(30) == 60
    assert Terms(interval_sec=60).interval(90) == 90
    assert NO_TERMS.interval(30) == 30


def test_a_change_leaves_alone_what_it_does_not_name() -> None:
    known = Terms(600, 30, 120, 256)
    assert parse_change(timeout_sec="default").applied_to(known) == Terms(600, None, 120, 256)
    assert TermsChange().applied_to(known) == known
    assert parse_change(gap_kbit="64", window_sec=None) == TermsChange(gap_kbit=Given(64))
    assert TermsChange.to(NO_TERMS).applied_to(known) == NO_TERMS


@given(seconds)
def test_a_length_that_is_shown_is_read_as_the_same(value: float) -> None:
    parsed = parse_interval(length_text(value))
    assert parsed is not None
    assert isclose(parsed, value, rel_tol=1e-6)


@given(st.text(max_size=20))
def test_whatever_is_written_is_read_as_a_usable_length_or_refused(text: str) -> None:
    try:
        value = parse_interval(text)
    except CommandError:
        return
    assert value is None or 0 < value <= LONGEST_INTERVAL_SEC


@given(
    st.builds(Terms, *[st.none() | seconds] * 3, st.none() | st.integers(1, 1000)),
    st.builds(Terms, *[st.none() | seconds] * 3, st.none() | st.integers(1, 1000)),
)
def test_a_change_to_terms_gives_these_whatever_there_was(before: Terms, after: Terms) -> None:
    assert TermsChange.to(after).applied_to(before) == after


def test_a_change_from_seen_terms_leaves_what_others_set_meanwhile() -> None:
    seen, wanted = Terms(600, 30, None, 256), Terms(1200, 30, None, None)
    change = TermsChange.between(seen, wanted)
    assert change == TermsChange(interval_sec=Given(1200), gap_kbit=Given(None))
    assert change.applied_to(Terms(600, 20, 60, 256)) == Terms(1200, 20, 60, None)
    assert TermsChange.between(seen, seen) == TermsChange()


def test_what_was_set_is_named_in_one_line() -> None:
    assert Terms(600, 30, 120, 256).text == "interval=10m timeout=30s window=2m gap=256"
    assert NO_TERMS.text == ""


@given(
    st.builds(
        Terms,
        st.none() | st.integers(10, 3600),
        st.none() | st.integers(1, LONGEST_TIMEOUT_SEC),
        st.none() | st.integers(10, 3600),
        st.none() | st.integers(1, 1000),
    )
)
def test_terms_that_are_shown_are_read_as_the_same(terms: Terms) -> None:
    assert parse_terms(terms.text).applied_to(NO_TERMS) == terms


@pytest.mark.parametrize("text", ["10m", "interval", "speed=3", "interval=10m interval=5m"])
def test_words_that_are_no_terms_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"is no term|is there twice"):
        parse_terms(text)
