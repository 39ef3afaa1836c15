"""The two things above every screen: the line of totals, and what must be known first."""

from collections.abc import Iterable
from enum import Enum

from rich.text import Text
from textual.widgets import Static

from fleetsyncd.states import State
from fleetsyncd.text import age
from tui.formatting import STATE_STYLES
from tui.model.state import FleetState

_SHORT = {
    State.ONLINE: "ok", State.CATCHING_UP: "gap", State.TIMEOUT: "timeout", State.ERROR: "err",
    State.LATE: "late", State.NEVER: "", State.PAUSED: "",
}  # fmt: skip


class Form(Enum):
    """How much of the line there is room for."""

    AMPLE = 1
    LITTLE = 2
    LESS = 3
    TIGHT = 4


class WarningBar(Static):
    """A line for each thing that must be known first; takes no room without one."""

    shown: tuple[tuple[str, str], ...] = ()

    def show(self, state: FleetState, now: float, unread: Iterable[str]) -> None:
        """Show the lines anew if they changed; `unread` tells of parts that could not be read."""
        lines = tuple(state.warnings(now))
        if not state.lost:
            lines += tuple(("part", f"✖ not all could be read: {why}") for why in set(unread))
        if lines == self.shown:
            return
        self.shown = lines
        self.display = bool(lines)
        urgent = any(kind != "frozen" for kind, _ in lines)
        self.set_class(urgent, "-urgent")
        self.update(Text("\n").join(Text(f" {text}", no_wrap=True) for _, text in lines))


def totals_line(state: FleetState, now: float, width: int) -> Text:
    """Return the line of totals, in the longest form that fits."""
    if state.snapshot is None:
        return Text(f" fleetsyncd  connecting to {state.where} …")
    lines = (_line(state, now, room) for room in Form)
    return next((line for line in lines if line.cell_len <= width), _line(state, now, Form.TIGHT))


def _line(state: FleetState, now: float, room: Form) -> Text:
    assert state.snapshot is not None  # noqa: S101  told by pulse_line
    alive = state.snapshot.alive
    titled = room in (Form.AMPLE, Form.LITTLE)
    line = Text(" fleetsyncd " if titled else " ", no_wrap=True)
    if state.lost:
        line.append("✖ not read" if state.refused else "✖ no database", "bold red")
    elif alive:
        line.append("● ", "green")
        line.append(f"live {age(state.heartbeat(now))}")
        if len(alive) > 1:
            line.append(f" ×{len(alive)}")
        if room is Form.AMPLE and alive[0].cycle_sec is not None:
            line.append(f" cycle {alive[0].cycle_sec:.1f}s")
    else:
        line.append("✖ no daemon", "bold red")
    gap = "   " if room is Form.AMPLE else "  "
    line.append(f"{gap}{len(state.snapshot.vehicles)} veh")
    counts = state.counts
    for kind, (glyph, word, colour) in STATE_STYLES.items():
        if not counts[kind]:
            continue
        line.append(f"{gap}{glyph} ", colour)
        label = {Form.AMPLE: word, Form.TIGHT: ""}.get(room, _SHORT[kind])
        line.append(f"{counts[kind]} {label}".rstrip())
    if state.read_only:
        line.append(f"{gap}read-only")
    return line
