"""What is repainted of a text that changed: every changed cell, and little more."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.text import Text
from textual.app import App, ComposeResult

from tui.widgets.canvas import Canvas
from tui.widgets.changes import changed_regions
from tui.widgets.fixed_text import FixedText

PIECES = st.lists(
    st.tuples(st.sampled_from(["a", "bc", "\u8eca", "e\u0301", " "]), st.sampled_from(["", "red"])),
    max_size=12,
)
LINES = st.lists(PIECES, min_size=3, max_size=3)


def text(lines: list[list[tuple[str, str]]]) -> Text:
    return Text("\n").join([Text.assemble(*line) for line in lines])


def cells(line: Text) -> list[tuple[str, str]]:
    """Return a character or a half of one, and its style, for each cell."""
    found: list[tuple[str, str]] = []
    for segment in line.render(Console(), end=""):
        for character in segment.text:
            width = Segment(character).cell_length
            if width:
                found += [(character, str(segment.style or ""))] * width
            else:
                found[-1] = (found[-1][0] + character, found[-1][1])
    return found


def same(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> bool:
    """Whether two cells look alike: a blank one has no colour of its own."""
    return old == new or (bool(old and new) and old[0][0] == new[0][0] == " ")


@given(LINES, LINES)
def test_every_changed_cell_is_repainted(
    before: list[list[tuple[str, str]]], after: list[list[tuple[str, str]]]
) -> None:
    regions = changed_regions(text(before), text(after))
    assert regions is not None
    for y, (old, new) in enumerate(zip(before, after, strict=True)):
        old_cells, new_cells = cells(Text.assemble(*old)), cells(Text.assemble(*new))
        for x in range(max(len(old_cells), len(new_cells))):
            if not same(old_cells[x : x + 1], new_cells[x : x + 1]):
                assert any(region.contains(x, y) for region in regions)


def test_only_what_changed_is_repainted() -> None:
    canvas, other = Canvas(40, 5), Canvas(40, 5)
    for each in (canvas, other):
        each.line(0, 3, 79, 15, "cyan")
    other.dot(20, 0, "red")
    before, after = (Text("\n").join(each.lines()) for each in (canvas, other))
    assert changed_regions(before, before) == []
    assert changed_regions(before, after) == [(10, 0, 1, 1)]


def test_another_number_of_lines_is_painted_as_a_whole() -> None:
    assert changed_regions(Text("a"), Text("a\nb")) is None


@pytest.mark.parametrize("align", ["left top", "center middle", "right bottom"])
def test_a_text_that_is_replaced_is_repainted_wherever_its_place_puts_it(align: str) -> None:
    class Page(App[None]):
        CSS = f"FixedText {{ height: 1fr; content-align: {align}; }}"

        def compose(self) -> ComposeResult:
            yield FixedText()

    async def look() -> None:
        app = Page()
        async with app.run_test(size=(40, 5)) as pilot:
            for text in ("reading \u2026", "No vehicle has an open alarm", "none"):
                app.query_one(FixedText).show(Text(text))
                await pilot.pause()
                strips = app.screen._compositor.render_strips()
                assert " ".join(strip.text.strip() for strip in strips).strip() == text

    asyncio.run(look())
