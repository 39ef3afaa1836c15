"""Partial updates of the terminal without the unchanged cells to the left of a change.

Textual 8.2 crops a partial update at its right end only: for a changed age it sends the whole line
before it too, which is three quarters of the traffic of an idle screen. This module overrides
private parts of Textual's compositor, so Textual's version is pinned; a test counts the bytes.
"""

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor


class TrimmedUpdate(ChopsUpdate):
    """Spans of lines, cropped at both ends."""

    def render_segments(self, console: Console) -> str:
        """Return the text and control sequences to be sent to the terminal."""
        sequences = []
        for y, left, right in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                start, stop = max(x, left), min(end, right)
                if strip is None or start >= stop:
                    continue
                sequences.append(Control.move_to(start, y).segment.text)
                # A border has a segment for each of its cells.
                sequences.append(strip.crop(start - x, stop - x).simplify().render(console))
        return "".join(sequences)


class TrimmedCompositor(Compositor):
    """A compositor whose partial updates are trimmed."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """Return the changed parts of the screen; None if nothing changed."""
        update = super().render_partial_update()
        if update is None:
            return None
        return TrimmedUpdate(update.chops, update.spans, update.chop_ends)
