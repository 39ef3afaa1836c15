"""A canvas of terminal cells, each of 2 x 4 dots (braille characters) or one character."""

from itertools import groupby

from rich.text import Text

DOTS_ACROSS, DOTS_DOWN = 2, 4
_BRAILLE = 0x2800
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot of a cell, by its column and row."""
BLANK = " "
REVERSE = " reverse"


class Canvas:
    """Dots and characters, each with a style; what is drawn later covers what is below it.

    Dots are counted from the top left one; what lies outside is not drawn.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._dots = [[0] * width for _ in range(height)]
        self._characters = [[""] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]

    def dot(self, x: int, y: int, style: str) -> None:
        """Set a dot."""
        column, row = x // DOTS_ACROSS, y // DOTS_DOWN
        if 0 <= column < self.width and 0 <= row < self.height:
            self._dots[row][column] |= _BITS[x % DOTS_ACROSS][y % DOTS_DOWN]
            self._styles[row][column] = style

    def upright(self, x: int, y: int, other_y: int, style: str) -> None:
        """Set all dots of a column between two rows, both included."""
        for each in range(min(y, other_y), max(y, other_y) + 1):
            self.dot(x, each, style)

    def line(self, x: int, y: int, to_x: int, to_y: int, style: str) -> None:
        """Draw a line to a point that is not to the left."""
        steps = max(to_x - x, abs(to_y - y), 1)
        for step in range(steps + 1):
            across, down = (to_x - x) * step / steps, (to_y - y) * step / steps
            self.dot(x + round(across), y + round(down), style)

    def write(self, column: int, row: int, text: str, style: str) -> None:
        """Put characters over the cells from a cell on; each must be one cell wide."""
        for at, character in enumerate(text, column):
            if 0 <= at < self.width and 0 <= row < self.height:
                self._characters[row][at] = character
                self._styles[row][at] = style

    def is_written(self, column: int, row: int) -> bool:
        """Whether a cell holds a character that was written."""
        return bool(self._characters[row][column])

    def mark_column(self, column: int) -> None:
        """Show a vertical line; what is drawn in the column is reversed."""
        for row in range(self.height):
            if self._cell(column, row) == BLANK:
                self.write(column, row, "│", "bright_black")
            else:
                self._styles[row][column] += REVERSE

    def lines(self) -> list[Text]:
        """Return the rows, the uppermost first."""
        return [self._line(row) for row in range(self.height)]

    def _cell(self, column: int, row: int) -> str:
        dots = self._dots[row][column]
        return self._characters[row][column] or (chr(_BRAILLE + dots) if dots else BLANK)

    def _line(self, row: int) -> Text:
        line, styles = Text(), self._shown_styles(row)
        for style, columns in groupby(range(self.width), key=styles.__getitem__):
            line.append("".join(self._cell(column, row) for column in columns), style)
        return line

    def _shown_styles(self, row: int) -> list[str]:
        """Return the styles; a blank cell has that of the cell before it.

        Each change of style is sent to the terminal: for a dotted line they would be most of it.
        """
        styles = self._styles[row].copy()
        for column in range(1, self.width):
            if self._cell(column, row) == BLANK and REVERSE not in styles[column - 1]:
                styles[column] = styles[column - 1]
        return styles
