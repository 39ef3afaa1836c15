"""Caches of Textual and Rich that would hold more than the dashboard can use.

Textual 8.2 caches two colours by the widget that asks for them, and so keeps the last thousand
widgets' painted lines: 25 MB. It caches styles of cells by their table, and so keeps some tables.
It keeps thousands of regions, and Rich thousands of texts and styles, that were on the screen once:
7 MB after 2,000 keys, and more for hours. The entries lie scattered over memory that could be used
again otherwise. This module uses private parts of both, so their versions are pinned; tests count
what is left of pages, and what is in the caches.
"""

from functools import lru_cache
from typing import Any

from rich.cells import cached_cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual._segment_tools import make_blank
from textual._styles_cache import StylesCache
from textual._xterm_parser import XTermParser
from textual.color import Color
from textual.css.scalar import Scalar
from textual.filter import ANSIToTruecolor, dim_style
from textual.geometry import Region
from textual.strip import Strip
from textual.style import Style
from textual.widgets import DataTable

LARGEST = 512
"""Entries of a cache: more than a page needs to be painted."""
GROWING: tuple[Any, ...] = (
    cached_cell_len,
    get_character_cell_size,
    dim_style,
    make_blank,
    Segment._split_cells,
    RichStyle._add,
    Style.__add__,
    Scalar.resolve,
    Strip.render_ansi,
    ANSIToTruecolor.truecolor_style,
    XTermParser._parse_extended_key,
    Region.__contains__,
    Region.contains_region,
    Region.grow,
    Region.intersection,
    Region.overlaps,
    Region.shrink,
    Region.split,
    Region.split_horizontal,
    Region.split_vertical,
    Region.translate,
    Region.union,
)
"""Caches whose keys are what was shown, typed or laid out.

They are emptied and not replaced by smaller ones: other modules hold them under their own names.
"""

KEEPING_WIDGETS: tuple[Any, ...] = (DataTable._get_styles_to_render_cell,)
"""Caches whose keys are widgets."""


@lru_cache(maxsize=256)
def _inner_and_outer(base_background: Color, background: Color) -> tuple[Style, Style]:
    """Return the styles inside and outside of a border."""
    return Style(background=base_background + background), Style(background=base_background)


def keep_no_widgets() -> None:
    """Cache the colours by colours alone."""
    StylesCache.get_inner_outer = staticmethod(_inner_and_outer)  # type: ignore[assignment,method-assign]  # no public way


def empty_caches() -> None:
    """Empty the caches that keep widgets, or more than LARGEST entries; call it repeatedly."""
    for cache in GROWING:
        if cache.cache_info().currsize > LARGEST:
            cache.cache_clear()
    for cache in KEEPING_WIDGETS:
        cache.cache_clear()
