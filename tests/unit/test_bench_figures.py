import pytest

from tests.bench import dashboard
from tests.bench.figures import Figure, as_object, paired, quantile, show
from tests.bench.stalls import longest, wait_exceeded


def test_one_long_stall_counts_by_its_moments_and_not_as_one_beat() -> None:
    # In 100 s, one wait of 1 s: a moment in a hundred falls into it, one in a thousand into the
    # part that has more than 0.9 s to go.
    assert wait_exceeded([1.0], 100.0, 0.001) == pytest.approx(0.9, abs=1e-4)
    assert longest([0.1, 1.0, 0.2]) == 1.0


def test_without_stalls_no_wait_is_measured() -> None:
    assert wait_exceeded([], 100.0, 0.001) == longest([]) == 0.0


def test_ratios_are_of_values_measured_one_after_the_other() -> None:
    assert paired([1, 10, 100], [1, 5, 200]) == 1


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert quantile([5.0], 0.99) == 5.0


@pytest.mark.parametrize(
    ("figure", "good", "bound"),
    [
        (Figure("wall", "a", 4.0, "s", most=5.0), True, "≤ 5"),
        (Figure("wall", "a", 6.0, "s", most=5.0), False, "≤ 5"),
        (Figure("wall", "a", 0.8, least=0.75), True, "≥ 0.75"),
        (Figure("wall", "a", 0.7, least=0.75), False, "≥ 0.75"),
        (Figure("wall", "a", 0.7), None, ""),
    ],
)
def test_a_figure_knows_whether_its_bound_is_kept(
    figure: Figure, good: bool | None, bound: str
) -> None:
    assert (figure.good, figure.bound) == (good, bound)
    assert as_object([figure])["wall: a"]["reached"] is good
    assert ("NO" in show([figure])) is (good is False)


def test_the_bare_select_has_every_column_that_the_fleets_query_reads() -> None:
    bare = dashboard.bare_select()
    for column in ("v.id", "v.vpn_ip", "s.last_error", "s.status_since", "s.tags", "b.busy_sec"):
        assert column in bare
    assert "LEFT JOIN fleetsync.backfill b" in bare
    assert not any(word in bare for word in ("json", "date_part", "CASE", "ORDER"))
