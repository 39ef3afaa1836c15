"""The help screen: made from the bindings that work where it was asked for."""

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.formatting import STATE_STYLES

_MEANINGS = {
    "online": "the last cycle went well and the lag is small",
    "catching": "a gap is being pulled; so much of it is committed",
    "timeout": "no complete answer in time",
    "error": "anything else went wrong; the last error says what",
    "late": "it answers, but the lag is over three intervals",
    "never": "it has never answered",
    "paused": "an operator wants it left alone",
}
CLOCKS = (
    ("SEEN", "how long ago the vehicle answered"),
    ("LAG", "everything it measured before that is committed"),
    ("DATA", "age of the newest measurement stored"),
)


class HelpDialog(ModalScreen[None]):
    """Keys, states and the three clocks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Back", id="help.back"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]

    def __init__(self, bindings: list[ActiveBinding]) -> None:
        super().__init__()
        self.bindings = bindings

    def compose(self) -> ComposeResult:
        """Lay everything out."""
        with VerticalScroll(id="box"):
            yield Static(Text("Keys", "bold"))
            yield Static(self._keys())
            yield Static(Text("\nStates", "bold"))
            yield Static(_states())
            yield Static(Text("\nClocks", "bold"))
            yield Static(_clocks())

    def _keys(self) -> Table:
        keys: dict[tuple[str, str], list[str]] = {}
        for active in self.bindings:
            binding = active.binding
            if binding.description and binding.id and active.enabled:
                shown = self.app.get_key_display(binding)
                place = keys.setdefault((binding.description, binding.tooltip), [])
                if shown not in place:
                    place.append(shown)
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
    for glyph, word, colour in STATE_STYLES.values():
        table.add_row(Text(glyph, colour), Text(word), Text(_MEANINGS[word]))
    return table


def _clocks() -> Table:
    table = _grid()
    for name, meaning in CLOCKS:
        table.add_row(Text(name, "bold"), Text(""), Text(meaning))
    return table
