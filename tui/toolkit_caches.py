"""Caches of Textual that would keep the pages that were left.

Textual 8.2 caches two colours by the widget that asks for them, and so keeps the last thousand
widgets' painted lines: 25 MB. This module replaces a private part of Textual, so Textual's version
is pinned; a test counts what is left of pages.
"""

from functools import lru_cache

from textual._styles_cache import StylesCache
from textual.color import Color
from textual.style import Style


@lru_cache(maxsize=256)
def _inner_and_outer(base_background: Color, background: Color) -> tuple[Style, Style]:
    """Return the styles inside and outside of a border."""
    return Style(background=base_background + background), Style(background=base_background)


def keep_no_widgets() -> None:
    """Cache the colours by colours alone."""
    StylesCache.get_inner_outer = staticmethod(_inner_and_outer)  # type: ignore[assignment,method-assign]  # no public way
