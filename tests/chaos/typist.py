"""Keys, clicks and pastes as the bytes of a terminal, drawn by seeded dice."""

from collections.abc import Mapping
from random import Random

ENTER, ESCAPE, TAB = "\r", "\x1b", "\t"
MOVES = ("\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F")
"""Arrows, page up and down, home and end."""
PAGE_KEYS = "jkgGNSLACu#!*12345[]-=+<>yZDl?BQF "
WRITING_KEYS = "spbaetE\x04"
"""They open a dialog, or ask the daemon for something."""
FOCUS = ("\x1b[I", "\x1b[O")
QUITS = ("q", "\x11")
_TEXTS = ("st:timeout", "lag>5m", "truck-0", "-", "127.8.0.7", "[/b]", "\u2603\u05d0")
_CONTROLS = ("\x01", "\x0b", "\x17", "\x0c", "\x1bOP", "\x1b[20~", "\x1b[", "\x1b]52;")
"""Control characters, function keys, and sequences without their ends."""
_WEIGHTS: Mapping[str, int] = {
    "move": 25, "page": 25, "enter": 14, "escape": 14, "text": 5, "writing": 4, "tab": 4,
    "quick": 5, "filter": 2, "click": 4, "wheel": 2, "paste": 1, "focus": 1, "palette": 2,
    "refresh": 1, "control": 1, "quit": 1,
}  # fmt: skip


class Typist:
    """Types at random; without `quits`, nothing that ends the program on its first page.

    Without `palette`, the palette of commands is never opened.
    `size` is the terminal's, columns first; clicks fall inside it.
    """

    def __init__(self, dice: Random, *, quits: bool = True, palette: bool = True) -> None:
        self.size = (80, 24)
        self._dice = dice
        left_out = {"quit": not quits, "palette": not palette}
        weights = {kind: 0 if left_out.get(kind) else share for kind, share in _WEIGHTS.items()}
        self._kinds, self._shares = list(weights), list(weights.values())

    def next(self) -> str:
        """Return what is typed next: mostly one key, sometimes several at once."""
        (kind,) = self._dice.choices(self._kinds, self._shares)
        return str(getattr(self, f"_{kind}")())

    def _move(self) -> str:
        return self._dice.choice(MOVES)

    def _page(self) -> str:
        return self._dice.choice(PAGE_KEYS)

    def _writing(self) -> str:
        return self._dice.choice(WRITING_KEYS)

    def _enter(self) -> str:
        return ENTER

    def _escape(self) -> str:
        return ESCAPE

    def _tab(self) -> str:
        return self._dice.choice((TAB, "\x1b[Z"))

    def _text(self) -> str:
        return self._dice.choice(_TEXTS)

    def _filter(self) -> str:
        return "/" + self._text() + self._dice.choice((ENTER, ESCAPE, ""))

    def _quick(self) -> str:
        """Return keys that arrive in one read, as those of a fast hand on a slow line."""
        return "".join(self._dice.choice((self._page, self._enter, self._move))() for _ in "123")

    def _position(self) -> str:
        columns, lines = self.size
        return f"{self._dice.randint(1, columns)};{self._dice.randint(1, lines)}"

    def _click(self) -> str:
        clicked = self._position()
        return f"\x1b[<0;{clicked}M\x1b[<0;{clicked}m" * self._dice.choice((1, 2))

    def _wheel(self) -> str:
        return f"\x1b[<{self._dice.choice((64, 65))};{self._position()}M"

    def _paste(self) -> str:
        return f"\x1b[200~{self._text()}\n{self._text()}\x1b[201~"

    def _focus(self) -> str:
        return self._dice.choice(FOCUS)

    def _palette(self) -> str:
        return "\x10"

    def _refresh(self) -> str:
        return "\x12"

    def _control(self) -> str:
        return self._dice.choice(_CONTROLS)

    def _quit(self) -> str:
        return self._dice.choice(QUITS)
