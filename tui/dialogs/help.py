"""The help: the keys of the screen it was opened from; states, severities, ages, the filter."""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from fleetsyncd.severities import KNOWN_NAMES, UNKNOWN
from fleetsyncd.states import State
from tui.formatting import SEVERITY_STYLES, STATE_STYLES
from tui.model.filters import EXPLANATIONS

MEANINGS = {
    State.ONLINE: "the last cycle succeeded and the lag is small",
    State.CATCHING_UP: "a gap is being pulled; the percentage is committed",
    State.TIMEOUT: "no complete answer within the timeout",
    State.ERROR: "the last cycle failed; LAST ERROR gives the reason",
    State.LATE: "the vehicle answers, but the lag exceeds three of its intervals",
    State.NEVER: "the vehicle has never answered",
    State.PAUSED: "an operator paused it: the daemon does not pull it",
}
CLOCKS = (
    ("SEEN", "time since the vehicle answered"),
    ("LAG", "age of what is live; a gap before that stands in STATUS"),
    ("DATA", "age of the newest measurement stored"),
    ("SINCE", "how long the vehicle has been in its state"),
    ("EVERY", "how often it is asked, by an interval of its own; - by SYNC_INTERVAL_SEC"),
    ("FAILS", "cycles in a row that failed; not a time"),
)


class HelpDialog(ModalScreen[None]):
    """Shows keys, states, severities, ages and the filter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Back", id="help.back"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, bindings: list[ActiveBinding]) -> None:
        super().__init__()
        self.bindings = bindings

    def compose(self) -> ComposeResult:
        """Lay out the tables."""
        with VerticalScroll(id="box") as box:
            box.border_subtitle = "Esc or q goes back"
            yield Static(Text("Keys", "bold"))
            yield Static(self._keys())
            yield Static(Text("\nStates", "bold"))
            yield Static(_states())
            yield Static(Text("\nAlarms, the worst first", "bold"))
            yield Static(_severities())
            yield Static(Text("\nClocks", "bold"))
            yield Static(_clocks())
            yield Static(Text("\nThe filter of the fleet", "bold"))
            yield Static(_filters())

    def _keys(self) -> Table:
        keys: dict[tuple[str, str], list[str]] = {}
        for active in self.bindings:
            binding = active.binding
            if binding.description and binding.id and active.enabled:
                key = self.app.get_key_display(binding)
                keys_of_action = keys.setdefault((binding.description, binding.tooltip), [])
                if key not in keys_of_action:
                    keys_of_action.append(key)
        table = _grid()
        for (description, tooltip), names in keys.items():
            table.add_row(Text(" ".join(names), "bold"), Text(description), Text(tooltip))
        return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=8, no_wrap=True)
    table.add_column(min_width=10)
    table.add_column()
    return table


def _states() -> Table:
    table = _grid()
    for state, style in STATE_STYLES.items():
        table.add_row(Text(style.glyph, style.colour), Text(style.word), Text(MEANINGS[state]))
    return table


def _filters() -> Table:
    table = _grid()
    for form, meaning in EXPLANATIONS:
        table.add_row(Text(form, "bold"), Text(""), Text(meaning))
    return table


def _severities() -> Table:
    table = _grid()
    for severity, style in SEVERITY_STYLES.items():
        names = [name for name, rank in KNOWN_NAMES.items() if rank is severity]
        others = ["any other name, or none"] if severity is UNKNOWN else []
        table.add_row(
            Text(style.glyph, style.colour), Text(style.word), Text(", ".join([*names, *others]))
        )
    return table


def _clocks() -> Table:
    table = _grid()
    for name, meaning in CLOCKS:
        table.add_row(Text(name, "bold"), Text(""), Text(meaning))
    return table
