"""Text in terminal cells: a CJK character takes two, a combining mark none."""

from rich.cells import cell_len, set_cell_size


def cut(text: str, cells: int) -> str:
    """Return `text` in at most `cells` terminal cells; an ellipsis replaces what is cut off."""
    return text if cell_len(text) <= cells else f"{set_cell_size(text, cells - 1)}…"


def padded(text: str, cells: int, *, right: bool = False) -> str:
    """Return `text` in exactly `cells` terminal cells, cut or padded; `right` aligns it there."""
    text = cut(text, cells)
    blanks = " " * (cells - cell_len(text))
    return blanks + text if right else text + blanks
