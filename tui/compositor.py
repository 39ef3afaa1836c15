"""Updates of the terminal that hold what changed and nothing left of it.

Textual 8.2 crops a partial update at its right end only: a changed age would send the whole line
before it as well, three quarters of what an idle screen sends. This reaches into Textual's
compositor, whose version is pinned; the tests count bytes.
"""

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor


class TrimmedUpdate(ChopsUpdate):
    """Spans of lines, cropped at both ends."""

    def render_segments(self, console: Console) -> str:
        """Return what the terminal is to be sent."""
        sequences = []
        for y, left, right in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                start, stop = max(x, left), min(end, right)
                if strip is None or start >= stop:
                    continue
                sequences.append(Control.move_to(start, y).segment.text)
                sequences.append(strip.crop(start - x, stop - x).render(console))
        return "".join(sequences)


class TrimmedCompositor(Compositor):
    """A compositor whose partial updates are trimmed."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """Return what changed; None if nothing did."""
        update = super().render_partial_update()
        if update is None:
            return None
        return TrimmedUpdate(update.chops, update.spans, update.chop_ends)
