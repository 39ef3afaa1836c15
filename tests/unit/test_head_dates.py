"""Dates in the heads of answers."""

from datetime import UTC, datetime

import pytest

from fleetsyncd.vehicle import notations
from fleetsyncd.vehicle.notations import parse_http_date


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun, 06 Nov 1994 08:49:37 -0000", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sunday, 06-Nov-94 09:49:37 +0100", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_in_a_head_means_the_same_each_time(
    text: str | None, moment: datetime | None
) -> None:
    assert [parse_http_date(text), parse_http_date(text)] == [moment, moment]


def test_no_head_of_a_vehicle_fills_the_memory_with_dates() -> None:
    before = notations._known_date.cache_info().currsize
    for n in range(200):
        parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT" + " " * (1000 + n))
    assert notations._known_date.cache_info().currsize == before
    assert notations._known_date.cache_info().maxsize == 64
