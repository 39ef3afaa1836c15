from datetime import UTC, datetime, timedelta

import pytest

from fleetsyncd import settings
from fleetsyncd.database.retention_kinds import Extent, Kind, RetentionPolicy

FROM, TO = datetime(2025, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("extent", "told"),
    [
        (
            Extent(Kind.MEASUREMENTS, 13, 561_234_567, 41_000_000_000, FROM, TO),
            "13 months of measurements (about 561,000,000 rows), 41.0 GB,"
            " of 2025-10-01 to 2026-11-01 UTC",
        ),
        (
            Extent(Kind.MEASUREMENTS, 1, 0, 8192, None, TO),
            "1 month of measurements (about 0 rows), 8 kB",
        ),
        (
            Extent(Kind.JOURNAL, 0, 9_999, 1_000_000, FROM, TO),
            "9,999 journal entries, 1 MB, of 2025-10-01 to 2026-11-01 UTC",
        ),
        (Extent(Kind.ALARMS, 0, 162_669, 30_000_000, None, TO), "about 163,000 alarms, 30 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_extent_tells_months_rows_size_and_time_and_what_is_an_estimate(
    extent: Extent, told: str
) -> None:
    assert str(extent) == told


def test_every_kind_has_its_setting_and_its_place_in_the_policy() -> None:
    policy = RetentionPolicy(timedelta(days=1), timedelta(days=2), 3, timedelta(days=4), 5)
    assert {kind.setting for kind in Kind} <= set(settings.VARIABLES)
    assert {kind: policy.keep(kind) for kind in Kind} == {
        Kind.MEASUREMENTS: 3,
        Kind.MINUTES: 5,
        Kind.JOURNAL: 1,
        Kind.QUARANTINE: 2,
        Kind.ALARMS: 4,
    }


def test_minutes_that_nobody_keeps_are_not_deleted_either() -> None:
    off, for_ever = RetentionPolicy(None, None, 3), RetentionPolicy(None, None, 3, None, 0)
    assert Kind.MINUTES not in off.kinds
    assert Kind.MINUTES in for_ever.kinds
    assert for_ever.keep(Kind.MINUTES) is None
