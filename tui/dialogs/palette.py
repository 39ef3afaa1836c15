"""The palette: everything that can be done here, found by typing.

Matches are computed while a key is handled, not in the background: Enter runs what the text names,
however fast it is typed.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.screen import ModalScreen
from textual.widgets import Input

from fleetsyncd.cells import cut, padded
from tui.model.palette import Catalogue, Choice, Matches
from tui.widgets.fixed_text import FixedText

BOX = "palette-box"
LINES = 10
"""Choices on the screen."""
TITLE_WIDTH, HELP_WIDTH, KEY_WIDTH = 24, 38, 8


class ChoiceList(FixedText):
    """The matches around the one under the cursor; a click chooses."""

    def __init__(self) -> None:
        super().__init__(id="choices")
        self.choices: Sequence[Choice] = ()
        self.cursor: int | None = None
        """None while nothing is chosen."""
        self._top = 0

    def offer(self, choices: Sequence[Choice], cursor: int | None) -> None:
        """Show other choices, with the cursor on one of them."""
        self.choices, self.cursor, self._top = choices, cursor, 0
        self.show_lines()

    def move(self, step: int) -> None:
        """Move the cursor; from nowhere down to the first choice."""
        if self.choices:
            at = -1 if self.cursor is None else self.cursor
            self.cursor = max(0, min(at + step, len(self.choices) - 1))
            self._top = max(self.cursor - LINES + 1, min(self._top, self.cursor))
            self.show_lines()

    def show_lines(self) -> None:
        """Paint what is offered, or that there is nothing."""
        shown = self.choices[self._top : self._top + LINES]
        if not shown:
            self.show(Text("  nothing matches", "italic"))
            return
        lines = [_line(each, self._top + n == self.cursor) for n, each in enumerate(shown)]
        self.show(Text("\n").join(lines))

    def on_click(self, event: Click) -> None:
        """Run the choice that was clicked."""
        index = self._top + event.y
        palette = self.screen
        if index < len(self.choices) and isinstance(palette, Palette):
            palette.dismiss(self.choices[index])

    def on_mouse_scroll_down(self, _event: MouseScrollDown) -> None:
        """Move down."""
        self.move(1)

    def on_mouse_scroll_up(self, _event: MouseScrollUp) -> None:
        """Move up."""
        self.move(-1)


def _line(choice: Choice, under_cursor: bool) -> Text:
    cells = (padded(choice.title, TITLE_WIDTH), padded(choice.help, HELP_WIDTH))
    key = cut(choice.key, KEY_WIDTH)
    line = f" {' '.join(cells)} {key:>{KEY_WIDTH}}"
    return Text(line, "reverse" if under_cursor else "", no_wrap=True, overflow="crop")


class Palette(ModalScreen[Choice]):
    """Offers choices while a text is typed; its result is the one that was chosen, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # A field that has the focus takes q as text.
        Binding("escape,ctrl+p,q", "dismiss", "Back", id="palette.back", tooltip="Do nothing"),
        Binding("down", "move(1)", "Next", id="palette.next", tooltip="The next match"),
        Binding("up", "move(-1)", "Previous", id="palette.previous", tooltip="The match before"),
        Binding("pagedown", f"move({LINES})", "Page down", id="palette.page-down",
                tooltip="Ten matches on"),
        Binding("pageup", f"move(-{LINES})", "Page up", id="palette.page-up",
                tooltip="Ten matches back"),
        Binding("ctrl+q", "app.quit", "Quit", show=False),
    ]  # fmt: skip

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__()
        self.catalogue = catalogue
        self.matches = Matches((), 0)

    def compose(self) -> ComposeResult:
        """Lay out field, matches and their number."""
        with Vertical(id=BOX):
            yield Input(placeholder="an action, a vehicle, a theme", id="wanted", compact=True)
            yield ChoiceList()
            yield FixedText(id="palette-count")

    def on_mount(self) -> None:
        """Show what can be done without a text."""
        # A cursor that blinks costs traffic for as long as the palette is open.
        self.query_one(Input).cursor_blink = False
        self._find("")

    @property
    def list(self) -> ChoiceList:
        """The list of matches."""
        return self.query_one(ChoiceList)

    def _find(self, text: str) -> None:
        """Offer what the text names; nothing is chosen before a text or a move has named it."""
        self.matches = self.catalogue.find(text)
        named = text.strip() and self.matches.shown
        self.list.offer(self.matches.shown, 0 if named else None)
        shown, total = len(self.matches.shown), self.matches.total
        count = f"{shown} of {total}" if shown < total else f"{total}"
        line = f" {count}  ↑↓ choose  ⏎ run  Esc back"
        self.query_one("#palette-count", FixedText).show(Text(line, "dim", no_wrap=True))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer what the text names."""
        event.stop()
        self._find(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Run the choice under the cursor; on nothing do nothing."""
        event.stop()
        choices = self.list
        if choices.cursor is not None and choices.choices:
            self.dismiss(choices.choices[choices.cursor])

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self.list.move(step)
