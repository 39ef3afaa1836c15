"""A terminal's screen that follows what is sent to it: cells, colours, the cursor."""

import re
from dataclasses import dataclass, field

from rich.cells import cell_len

_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([Hm])")
ENDED = {"22": {"1", "2"}, "23": {"3"}, "24": {"4"}, "27": {"7"}}


@dataclass
class Screen:
    """Understands what the dashboard's updates consist of, and nothing else."""

    width: int
    height: int
    x: int = 0
    y: int = 0
    attributes: set[str] = field(default_factory=set)
    fore: str = ""
    back: str = ""
    cells: dict[tuple[int, int], tuple[str, frozenset[str], str, str]] = field(default_factory=dict)

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            sequence = _SEQUENCE.match(text, at)
            if sequence is None:
                assert text[at] >= " ", f"unexpected {text[at : at + 10]!r}"
                self._put(text[at])
                at += 1
                continue
            at = sequence.end()
            if sequence[2] == "H":
                self.y, self.x = (int(each) - 1 for each in sequence[1].split(";"))
            else:
                self._style(sequence[1].split(";"))

    def _style(self, parameters: list[str]) -> None:
        while parameters:
            first = parameters.pop(0)
            if first in ("38", "48"):
                count = 2 if parameters[0] == "5" else 4
                first = ";".join([first, *parameters[:count]])
                del parameters[:count]
            number = int(first.split(";")[0])
            if number == 0:
                self.attributes, self.fore, self.back = set(), "", ""
            elif 30 <= number <= 39 or 90 <= number <= 97:
                self.fore = "" if first == "39" else first
            elif 40 <= number <= 49 or 100 <= number <= 107:
                self.back = "" if first == "49" else first
            elif first in ENDED:
                self.attributes -= ENDED[first]
            else:
                self.attributes.add(first)

    def _put(self, character: str) -> None:
        width = cell_len(character)
        if not width:
            return
        look = (frozenset(self.attributes), self.fore, self.back)
        if not self.attributes & {"4", "7"} and character == " ":
            look = (frozenset(), "", self.back)
        for x in (self.x, self.x + width - 1):
            self._break(x)
        self.cells[self.y, self.x] = (character, *look)
        if width > 1:
            self.cells[self.y, self.x + 1] = ("", *look)
        self.x += width

    def _break(self, x: int) -> None:
        """Blank the other half of a wide character that is overwritten."""
        character, *look = self.cells.get((self.y, x), (" ", frozenset(), "", ""))
        other = x - 1 if character == "" else x + 1
        if character == "" or cell_len(character) > 1:
            self.cells[self.y, other] = (" ", *look)  # type: ignore[assignment]  # a starred list has no types
