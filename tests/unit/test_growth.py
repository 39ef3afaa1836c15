"""When a disk is full to which several things are added, of which some stop growing."""

from datetime import timedelta

import pytest

from fleetsyncd.database.views.growth import Growth, kept, used_up_in

DAY = timedelta(days=1)


def test_what_grows_for_ever_uses_up_any_room() -> None:
    assert used_up_in(1000, [Growth(10, 7)]) == 100 * DAY
    assert used_up_in(-1, [Growth(10, 7)]) == timedelta(0)


def test_what_does_not_grow_uses_up_nothing() -> None:
    assert used_up_in(0, [Growth(0, 7)]) is None
    assert used_up_in(1000, [Growth(10, 900, 1900)]) is None


def test_what_has_reached_its_end_does_not_shorten_the_time_of_the_others() -> None:
    minutes = Growth(1, 50)
    assert used_up_in(1000, [Growth(100, 5000, 5000), minutes]) == 1000 * DAY
    # Five days of both use 505, then 495 are left for the minutes.
    assert used_up_in(1000, [minutes, Growth(100, 4500, 5000)]) == 500 * DAY
    assert used_up_in(101, [Growth(100, 4500, 5000), minutes]) == DAY


def test_months_are_kept_beside_the_present_one() -> None:
    growth = kept(10, 5, 2, passing_bytes=30)
    assert growth.most_bytes == pytest.approx(10 * 3 * 365.25 / 12 + 30)
    assert kept(0, 5, 2).left_bytes == -5
    assert kept(0, 5, 2).days_left == 0
