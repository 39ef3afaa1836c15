"""How little is sent to the terminal, and that it is enough."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from tests.tui.driving import add, attempts, beat, channel, set_state
from tests.tui.screen import Screen
from tests.tui.terminal import Terminal, terminal
from tui.frame import Frame

MOST_BYTES = 8000
WIDTH, HEIGHT = 12, 3
QUIET_SEC = 1.5
STYLES = [
    Style.parse(text)
    for text in ("", "bold", "red on blue", "on blue", "underline", "dim red", "reverse green")
]


def fleet(database: Database) -> None:
    for number in range(30):
        name = f"Truck-{number:02}"
        key = add(database, name, f"10.9.0.{number + 1}")
        set_state(database, name, "ok", f"{number} s", f"{number} s")
        attempts(database, key, 60)
        if not number:
            for n in range(1, 19):
                channel(database, key, n, f"channel {n}", "bar")
    beat(database)


def cost(it: Terminal, keys: str) -> int:
    """Return how many bytes follow keys until nothing follows any more."""
    it.type(keys)
    return it.read_for(QUIET_SEC)


def test_opening_and_leaving_pages_sends_less_than_8_kb_each(
    server: Server, database: Database, database_name: str, tmp_path: Path
) -> None:
    fleet(database)
    with terminal(server, database_name, tmp_path) as it:
        it.sees("Truck-05")
        it.read_for(QUIET_SEC)
        costs = {keys: cost(it, keys) for keys in ("\x1b[H", "\r", "4", "2", "\x1b", "l", "q", "?")}
        assert it.program.poll() is None
    print(costs)  # noqa: T201
    assert max(costs.values()) < MOST_BYTES, costs


def layout(lines: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[line] for line in lines], Region(0, 0, WIDTH, HEIGHT))


def chops(lines: list[Strip], y: int, left: int, right: int) -> ChopsUpdate:
    return ChopsUpdate([{0: line} for line in lines], [(y, left, right)], [[WIDTH]] * HEIGHT)


segments = st.lists(
    st.tuples(st.text("ab \u8f66\u2026", max_size=5), st.sampled_from(STYLES)).map(
        lambda parts: Segment(*parts)
    ),
    max_size=5,
)
strips = segments.map(lambda parts: Strip(parts).adjust_cell_length(WIDTH))
pages = st.lists(strips, min_size=HEIGHT, max_size=HEIGHT)
spans = st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, 5), st.integers(6, WIDTH))
changes = st.tuples(pages, st.none() | spans)


@given(st.lists(changes, min_size=1, max_size=5))
def test_what_is_sent_leads_to_the_screen_that_everything_sent_anew_would_lead_to(
    steps: list[tuple[list[Strip], tuple[int, int, int] | None]],
) -> None:
    console = Console(color_system="truecolor", force_terminal=True)
    frame, screen = Frame(), Screen(WIDTH, HEIGHT)
    whole = steps[0][0]
    for lines, span in [(whole, None), *steps]:
        if span is None:
            whole = lines
            screen.feed(frame.render(layout(lines), console))
            continue
        y, left, right = span
        old, new = whole[y], lines[y]
        parts = [old.crop(0, left), new.crop(left, right), old.crop(right, WIDTH)]
        whole = [*whole[:y], Strip.join(parts), *whole[y + 1 :]]
        screen.feed(frame.render(chops(lines, y, left, right), console))
    # A change may cut a wide character in two: the next full update mends its other half.
    screen.feed(frame.render(layout(whole), console))
    expected = Screen(WIDTH, HEIGHT)
    expected.feed(Frame().render(layout(whole), console))
    assert screen.cells == expected.cells
    assert (screen.attributes, screen.fore, screen.back) == (set(), "", "")


def test_an_update_that_changes_nothing_sends_nothing() -> None:
    console = Console(color_system="truecolor", force_terminal=True)
    lines = [Strip([Segment("truck", STYLES[1])]).adjust_cell_length(WIDTH)] * HEIGHT
    frame = Frame()
    assert "truck" in frame.render(layout(lines), console)
    assert frame.render(layout(lines), console) == ""
    assert frame.render(chops(lines, 1, 0, WIDTH), console) == ""
    frame.forget()
    assert "truck" in frame.render(layout(lines), console)
