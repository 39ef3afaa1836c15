from datetime import UTC, datetime, timedelta

from fleetsyncd.database.views.coverage import Coverage, CoveredInterval
from tui.model.coverage_strip import CELLS, coverage_strip, has_holes, legend

NOW = datetime(2026, 3, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def part(kind: Coverage, start: float | None, end: float) -> CoveredInterval:
    """Return an interval that began and ended so many days ago."""
    begun = None if start is None else NOW - start * DAY
    return CoveredInterval(begun, NOW - end * DAY, kind)


def test_a_week_is_one_strip_with_the_gravest_kind_of_each_cell() -> None:
    coverage = [
        part(Coverage.COMPLETE, None, 5),
        part(Coverage.GONE, 5, 4),
        part(Coverage.COMPLETE, 4, 3),
        part(Coverage.GAP, 3, 1),
        part(Coverage.LIVE, 1, 0),
    ]
    strip = coverage_strip(coverage, NOW).plain
    assert strip == "▒" * 16 + "×" * 8 + "█" * 8 + "░" * 16 + "▓" * 8
    assert len(strip) == CELLS


def test_a_short_hole_is_seen() -> None:
    coverage = [
        part(Coverage.COMPLETE, None, 2.01),
        part(Coverage.MISSING, 2.01, 2.005),
        part(Coverage.COMPLETE, 2.005, 0),
    ]
    assert coverage_strip(coverage, NOW).plain.count("?") == 1


def test_what_is_not_known_is_blank() -> None:
    assert coverage_strip([part(Coverage.COMPLETE, 1, 0)], NOW).plain == " " * 48 + "█" * 8
    assert not coverage_strip([], NOW).plain.strip()


def test_a_begin_that_is_not_known_has_a_mark_of_its_own_in_strip_and_legend() -> None:
    dated = coverage_strip([part(Coverage.COMPLETE, 9, 0)], NOW)
    assert dated.plain == "█" * CELLS
    assert "not known" not in legend(dated)
    undated = coverage_strip([part(Coverage.COMPLETE, None, 0)], NOW)
    assert undated.plain == "▒" * CELLS
    assert "▒ complete, begin not known" in legend(undated)


def test_only_what_is_within_the_week_is_a_hole() -> None:
    assert not has_holes([part(Coverage.COMPLETE, None, 0)], NOW)
    assert not has_holes([part(Coverage.GONE, 20, 8)], NOW)
    assert not has_holes([part(Coverage.GAP, 0.001, 0)], NOW), "to come with the next cycles"
    assert has_holes([part(Coverage.GONE, 20, 6)], NOW)
