"""What a terminal shows after all that a program has sent to it."""

import codecs
import re

from tests.tui.screen import Screen

_PIECE = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, answers and the like
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
)
_SWITCHED = ("?1049", "?47")
"""The private modes that show another, empty screen."""


class Followed:
    """Understands whatever comes; what is not known to change the screen changes nothing.

    A frame's update sends only the cells that differ from those on the screen, so a text that is
    shown need not have been sent in one piece.
    """

    def __init__(self, width: int, height: int) -> None:
        self._screen = Screen(width, height)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = ""
        """The beginning of a sequence whose end has not come."""

    def resize(self, width: int, height: int) -> None:
        self._screen.width, self._screen.height = width, height

    def feed(self, sent: bytes) -> None:
        text, at = self._begun + self._decoder.decode(sent), 0
        while piece := _PIECE.match(text, at):
            at = piece.end()
            if piece["text"]:
                self._screen.feed(piece["text"])
            elif piece["control"]:
                self._control(piece["control"])
            elif piece["final"]:
                self._sequence(piece["parameters"], piece["final"])
        self._begun = text[at:]

    def _control(self, control: str) -> None:
        if control == "\r":
            self._screen.x = 0
        elif control == "\n":
            self._screen.y += 1

    def _sequence(self, parameters: str, final: str) -> None:
        if final == "H":
            line, _, column = parameters.partition(";")
            self._screen.feed(f"\x1b[{line or 1};{column or 1}H")
        elif final == "m" and not parameters.startswith((">", "?")):
            self._screen.feed(f"\x1b[{parameters or 0}m")
        elif (final in "hl" and parameters in _SWITCHED) or (final, parameters) == ("J", "2"):
            self._screen.cells.clear()

    def lines(self) -> list[str]:
        """Return the characters on the screen, line by line."""
        screen, blank = self._screen, (" ",)
        return [
            "".join(screen.cells.get((y, x), blank)[0] for x in range(screen.width))
            for y in range(screen.height)
        ]
