"""Columns stay straight whatever the width of the characters in them."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from rich.cells import cell_len

from fleetsyncd.database.pool import Database
from fleetsyncd.reports import JournalEntry
from tests.tui.driving import Driver, add, attempts, drive, execute, small_fleet
from tui.model.columns import Column, columns
from tui.widgets.journal_tail import tail_line

TEXTS = [
    "Truck-01",
    "\u5c65\u5e26\u5f0f\u8d77\u91cd\u673a-05",
    "\u8eca" * 120,
    "Cra\u0301ne",
    "x" * 200,
    "\U0001f69c 5",
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:20])
@pytest.mark.parametrize("right", [False, True])
def test_a_cell_of_the_fleet_table_has_exactly_its_width(text: str, right: bool) -> None:
    column = Column("TITLE", 12, lambda _vehicle, _hour: text, right=right)
    assert cell_len(column.fitted(text)) == 12
    assert all(cell_len(each.fitted(text)) == each.width for each in columns(160))


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:20])
def test_a_line_of_the_journals_tail_begins_its_columns_at_the_same_cells(text: str) -> None:
    def line(name: str, status: str) -> str:
        at = datetime(2026, 2, 22, 12, tzinfo=UTC)
        entry = JournalEntry(UUID(int=1), at, at, status, 4711, "why", 1, name)
        return tail_line(entry).plain

    plain, odd = line("Truck-01", "ok"), line(text, text)
    for word in ("4711", "why"):
        assert cell_len(odd[: odd.index(word)]) == cell_len(plain[: plain.index(word)])


def test_a_version_of_200_characters_leaves_the_state_on_the_vehicles_page(
    database: Database,
) -> None:
    add(database, "Truck-01", "10.8.0.1")
    execute(database, "UPDATE vehicles SET software_version = repeat('\u7248', 200)")

    async def look(it: Driver) -> None:
        await it.press("enter")
        await it.sees("1 History", "NEVER")

    drive(database, look)


REASON = "/data: HTTP 503: the vehicle's own database is down, and has been for a while"


@pytest.mark.parametrize("page", ["l", "enter"])
@pytest.mark.parametrize("more", [0, 40], ids=["no scroll bar", "scroll bar"])
def test_a_row_that_goes_on_beyond_the_table_ends_with_an_ellipsis(
    database: Database, page: str, more: int
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Crane-02"], more, every="90 s")
    attempts(database, ids["Crane-02"], 1, status="error", error=REASON)
    attempts(database, ids["Crane-02"], 1, every="60 s", status="error", error="short")

    async def look(it: Driver) -> None:
        await it.press(page)
        await it.sees("/data: HTTP 503", "short")
        whole, cut_off = (
            next(line for line in it.lines() if text in line) for text in ("short", "/data:")
        )
        assert "…" not in whole
        assert cut_off.rstrip("▁▂▃▄▅▆▇█ ").endswith("…")
        await it.pilot.resize_terminal(160, 30)
        await it.sees("for a while" if page == "l" else "…")

    drive(database, look)
