"""A table of text, as pages and panes offer it for export."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportTable:
    """Rows as text; each row has as many cells as the heading."""

    name: str
    """The part of the proposed file name that describes the table."""
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    notice: str = ""
    """What the operator may not expect of it."""
