"""The warning bar has four lines, and leaves nothing out without a word."""

import pytest
from rich.cells import cell_len

from tui.model.state import FleetWarning, WarningKind
from tui.widgets.warning_bar import MOST_LINES, fit

WIDTH = 80
DELETIONS = [
    FleetWarning(
        WarningKind.DELETION,
        f"! in 24h MEASUREMENTS_KEEP_MONTHS={n} deletes 13 months of measurements (about 5,000,000"
        " rows), 12.3 GB, of 2025-10-01 to 2026-11-01 UTC: `fleetsyncd retention`",
        f"! retention deletes {n} months of measurements, 12.3 GB, in 24h",
    )
    for n in range(1, 5)
]
MONTH = " ! retention deletes 1 months of measurements, 12.3 GB, in 24h"


def unstored(count: int, length: int = 60) -> list[FleetWarning]:
    return [
        FleetWarning(WarningKind.UNSTORED, f"✖ daemon {n} ".ljust(length, "x"))
        for n in range(count)
    ]


@pytest.mark.parametrize("others", range(8))
@pytest.mark.parametrize("length", [20, 78, 79, 80, 160, 400])
@pytest.mark.parametrize("deletions", range(5))
def test_the_bar_shows_or_counts_every_warning_within_its_lines(
    others: int, length: int, deletions: int
) -> None:
    warnings = [*unstored(others, length), *DELETIONS[:deletions]]
    lines = fit(warnings, WIDTH)
    assert len(lines) <= MOST_LINES
    assert max(map(cell_len, lines), default=0) <= WIDTH
    told = "\n".join(lines)
    assert told.count("✖") + counted(lines, "…") == others
    assert told.count("! ") + counted(lines, " !") == deletions


def counted(lines: list[str], start: str) -> int:
    """Return how many more than what they show such lines tell of."""
    rests = [line.rpartition("and ")[2] for line in lines if line.strip().startswith(start.strip())]
    return sum(int(rest.removesuffix(" more")) for rest in rests if rest.endswith(" more"))


def test_what_is_deleted_is_told_more_shortly_before_anything_is_left_out() -> None:
    whole = fit(DELETIONS[:1], WIDTH)
    assert " ".join(line.strip() for line in whole) == DELETIONS[0].text
    assert fit(DELETIONS, 200) == [f" {each.text}" for each in DELETIONS]
    short = [f" {each.short}" for each in DELETIONS]
    assert fit(DELETIONS, WIDTH) == short
    assert fit([*unstored(1), *DELETIONS], WIDTH)[1:] == [f"{MONTH}; and 3 more"]
    assert fit([*unstored(1), *DELETIONS[:3]], WIDTH)[1:] == short[:3]


def test_other_warnings_leave_a_line_for_what_is_deleted() -> None:
    assert [line.strip("x") for line in fit([*unstored(5), *DELETIONS], WIDTH)] == [
        " ✖ daemon 0 ",
        " ✖ daemon 1 ",
        " … and 3 more",
        f"{MONTH}; and 3 more",
    ]


def test_a_warning_that_is_too_long_ends_with_an_ellipsis() -> None:
    *lines, last = fit(unstored(1, 400), WIDTH)
    assert len(lines) == MOST_LINES - 1
    assert last.endswith("x…")
    assert fit(unstored(1, 240), WIDTH)[-1].endswith("x")


def test_wide_characters_are_measured_in_cells() -> None:
    lines = fit([FleetWarning(WarningKind.PART_UNREADABLE, "車" * 300)], WIDTH)
    assert [cell_len(line) <= WIDTH for line in lines] == [True] * MOST_LINES
