import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.text import NEWLINE, REPLACEMENT, counted, listed, sanitise, size

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    "value", ["", "Truck-01", "Гусеничный кран 5", "85 °C ⌀ μ", "履带式起重机", "🔥 hot", "[/nope]"]
)
def test_readable_text_of_any_script_stays_as_it_is(value: str) -> None:
    assert sanitise(value) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\x1b]52;c;eA==\x07", "�]52;c;eA==�"),
        ("\x9b2J", "�2J"),
        ("a\0b", "a�b"),
        ("a\tb", "a�b"),
        ("a\rb", "a�b"),
        ("a\nb\r\nc", "a⏎b⏎c"),
        ("safe\u202egnp.exe", "safe�gnp.exe"),
        ("zero\u200bwidth\ufeff", "zero�width�"),
        ("\u2028\u2029", "��"),
        ("\ud800 and \udfff", "� and �"),
    ],
)
def test_control_characters_are_replaced(value: str, shown: str) -> None:
    assert sanitise(value) == shown


@pytest.mark.parametrize(("length", "shown"), [(10, "x" * 10), (11, "x" * 9 + "…")])
def test_text_longer_than_the_limit_is_cut_with_a_sign(length: int, shown: str) -> None:
    assert sanitise("x" * length, 10) == shown


@given(st.text(st.characters()), st.integers(1, 100))
def test_any_text_becomes_storable_harmless_and_short(value: str, limit: int) -> None:
    shown = sanitise(value, limit)
    assert len(shown) <= limit
    assert not {unicodedata.category(character) for character in shown} & UNSAFE
    assert shown.encode("utf-8").decode("utf-8") == shown


@given(st.text(st.characters()))
def test_cleaning_twice_changes_nothing_more(value: str) -> None:
    assert sanitise(sanitise(value)) == sanitise(value)


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=500))
def test_safe_text_within_the_limit_is_never_changed(value: str) -> None:
    assert sanitise(value) == value
    assert {NEWLINE, REPLACEMENT} & set(sanitise(value)) <= set(value)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (74_400, "74 kB"),
        (250_000_000, "250 MB"),
        (3_100_000_000, "3.1 GB"),
        (41_000_000_000, "41.0 GB"),
        (1_234_000_000_000, "1,234 GB"),
    ],
)
def test_a_size_is_shown_in_its_largest_fitting_unit(number: int, shown: str) -> None:
    assert size(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 alarms"), (1, "1 alarm"), (2, "2 alarms"), (1500, "1,500 alarms")]
)
def test_a_number_stands_with_its_noun_in_singular_or_plural(number: int, shown: str) -> None:
    assert counted(number, "alarm") == shown
    assert counted(2, "journal entry", "journal entries") == "2 journal entries"


def test_a_list_names_the_first_and_says_how_many_more_there_are() -> None:
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert listed([str(n) for n in range(1500)], 1) == "0 and 1,499 more"
    assert listed([]) == ""
