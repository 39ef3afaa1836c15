"""The line of totals at the top of every page."""

from enum import IntEnum

from rich.cells import set_cell_size
from rich.style import Style
from rich.text import Text

from fleetsyncd.severities import OpenAlarms
from fleetsyncd.states import State
from fleetsyncd.text import age
from tui.formatting import STATE_STYLES
from tui.gateway import Snapshot
from tui.model.alarm_totals import Form, totals_text
from tui.model.state import FleetState

_SHORT_LABELS = {
    State.ONLINE: "ok", State.CATCHING_UP: "gap", State.TIMEOUT: "timeout", State.ERROR: "err",
    State.LATE: "late", State.NEVER: "", State.PAUSED: "",
}  # fmt: skip

DEAD_DAEMONS, OPEN_ALARMS = "dead daemons", "open alarms"
_COUNTED = "counted"
OLD_SEC = 10.0
"""From this age on, what is shown has its age beside it: it was read rarely, or not at all."""


_WORST_FIRST = (
    State.ERROR, State.TIMEOUT, State.LATE, State.NEVER, State.CATCHING_UP, State.PAUSED,
    State.ONLINE,
)  # fmt: skip
"""The order of the states where there is room for some of them only."""


class Detail(IntEnum):
    """How detailed the line of totals is, the most detailed form first."""

    FULL = 1
    SHORT_LABELS = 2
    NO_TITLE = 3
    NO_LABELS = 4


_ALARM_FORMS = {
    Detail.FULL: Form.FULL, Detail.SHORT_LABELS: Form.SHORT, Detail.NO_TITLE: Form.SHORT,
    Detail.NO_LABELS: Form.SHORTEST,
}  # fmt: skip


def totals_line(state: FleetState, now: float, width: int) -> Text:
    """Return the line of totals in the most detailed form that fits into `width` cells."""
    snapshot = state.snapshot
    if snapshot is None:
        return _unread_line(state)
    lines = (_line(state, snapshot, now, detail) for detail in Detail)
    whole = (line for line in lines if line.cell_len <= width)
    return next(whole, None) or _worst_line(state, snapshot, now, width)


def counted_at(line: Text, cell: int) -> State | str | None:
    """Return what is counted at a terminal cell of the line: a state, a name above, or nothing."""
    at = len(set_cell_size(line.plain, cell))
    for span in line.spans:
        if isinstance(span.style, Style) and span.start <= at < span.end:
            return span.style.meta.get(_COUNTED)
    return None


def _count(counted: State | str, *parts: tuple[str, str]) -> Text:
    """Return a count, made of parts with their styles, that tells what it is a count of."""
    styled = [(text, Style.parse(style) + Style(meta={_COUNTED: counted})) for text, style in parts]
    return Text.assemble(*styled)


def _alarms(alarms: OpenAlarms, form: Form) -> Text:
    """Return the count of open alarms, which tells what it is a count of."""
    text = totals_text(alarms, form)
    text.stylize(Style(meta={_COUNTED: OPEN_ALARMS}))
    return text


def _line(state: FleetState, snapshot: Snapshot, now: float, detail: Detail) -> Text:
    title = " fleetsyncd " if detail < Detail.NO_TITLE else " "
    line = Text(title, no_wrap=True)
    line.append_text(freshness(state, now, cycle=detail is Detail.FULL))
    gap = "   " if detail is Detail.FULL else "  "
    # Before the states: what does not fit is cut off at the end of the line.
    if snapshot.open_alarms is not None:
        line.append(gap).append_text(_alarms(snapshot.open_alarms, _ALARM_FORMS[detail]))
    line.append(f"{gap}{len(snapshot.vehicles)} veh")
    for vehicle_state, style in STATE_STYLES.items():
        count = state.counts[vehicle_state]
        if count:
            text = f"{count} {_label(vehicle_state, detail)}".rstrip()
            part = _count(vehicle_state, (f"{style.glyph} ", style.colour), (text, ""))
            line.append(gap, style.colour).append_text(part)
    if state.tags:
        line.append(f"{gap}tag {' '.join(state.tags)}")
    if state.read_only:
        line.append(f"{gap}read-only")
    return line


def _worst_line(state: FleetState, snapshot: Snapshot, now: float, width: int) -> Text:
    """Return the parts of the shortest line that fit, the worst first; none is cut."""
    line = Text(" ", no_wrap=True).append_text(freshness(state, now))
    parts = []
    if snapshot.open_alarms is not None:
        parts.append(_alarms(snapshot.open_alarms, Form.SHORTEST))
    for each in _WORST_FIRST:
        if count := state.counts[each]:
            style = STATE_STYLES[each]
            parts.append(_count(each, (f"{style.glyph} ", style.colour), (str(count), "")))
    parts += [Text(f"tag {' '.join(state.tags)}")] * bool(state.tags)
    parts += [Text("read-only")] * state.read_only
    parts.append(Text(f"{len(snapshot.vehicles)} veh"))
    for part in parts:
        if line.cell_len + 2 + part.cell_len > width:
            break
        line.append("  ").append_text(part)
    return line


def _unread_line(state: FleetState) -> Text:
    """Return the line before the first snapshot."""
    if not state.lost:
        return Text(f" fleetsyncd  connecting to {state.where} …")
    return Text.assemble(" fleetsyncd  ", (_trouble(state), "bold red"), f"  {state.where}")


def _trouble(state: FleetState) -> str:
    return "✖ unreadable" if state.refused else "✖ no database"


def freshness(state: FleetState, now: float, *, cycle: bool = False) -> Text:
    """Return the state of database and daemons, and the age of what is shown if it is not new.

    `cycle` adds how long the last cycle took.
    """
    old = state.since_read(now)
    line = Text()
    if state.frozen_at is not None:
        line.append(f"❄ frozen {age(old)} ", "bold")
    elif state.snapshot is not None and (state.lost or old >= OLD_SEC):
        line.append(f"{age(old)} old ")
    if state.lost:
        return line.append(_trouble(state), "bold red")
    daemons = state.daemons(now)
    running, missing, late = daemons.running, daemons.missing, daemons.late_age
    if not running and daemons.ahead:
        return line.append("◔ heartbeat ahead", "bold yellow")
    if not running:
        return line.append("✖ no daemon", "bold red")
    if late is None:
        line.append("● ", "green").append(f"live {age(daemons.newest_age)}")
    else:
        line.append(f"◔ late {age(late)}", "bold yellow")
    if len(running) > 1 or missing:
        line.append(f" ×{len(running)}")
    if missing:
        line.append(" ").append_text(_count(DEAD_DAEMONS, (f"✖ {len(missing)} dead", "bold red")))
    if cycle and running[0].cycle_sec is not None:
        line.append(f" cycle {running[0].cycle_sec:.1f}s")
    return line


def _label(state: State, detail: Detail) -> str:
    if detail is Detail.FULL:
        return STATE_STYLES[state].word
    return "" if detail is Detail.NO_LABELS else _SHORT_LABELS[state]
