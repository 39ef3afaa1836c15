"""The pages that lie on one another: one of each kind, so that their number has a limit.

Going back always leads to the page that was left last, of those that are still open.
"""

from typing import Any
from weakref import WeakValueDictionary

from textual.screen import Screen

from tui.containment import ContainedApp
from tui.context import ScreenContext
from tui.screens.page import Page


class _Below(list[Screen[Any]]):
    """Screens below the topmost one, of which the app keeps no more than a weak reference."""


class PageStack(ContainedApp):
    """The part of the app that opens pages, and closes those that would be open twice."""

    context: ScreenContext

    def __init__(self) -> None:
        super().__init__()
        self._lists_below: WeakValueDictionary[int, _Below] = WeakValueDictionary()

    @property
    def _background_screens(self) -> list[Screen[Any]]:
        """The screens below the topmost one.

        Textual 8.2 puts this list into the context of whoever paints, and so of all tasks that are
        started there later: those of a page that is opened next keep a page alive that was left.
        """
        below = _Below(super()._background_screens)
        self._lists_below[id(below)] = below
        return below

    def forget_left_pages(self) -> None:
        """Take the pages that were left out of what contexts of tasks still hold."""
        for below in list(self._lists_below.values()):
            below[:] = [screen for screen in below if screen not in self.left_pages]

    def limit_pages(self) -> None:
        """Keep no more than one page of each kind open, from now on."""
        self.screen_change_signal.subscribe(self, self._close_older, immediate=True)

    def go_to(self, kind: type[Page]) -> None:
        """Go back to the page of a kind, as it was left; open one if none is open."""
        if not any(type(screen) is kind for screen in self.screen_stack):
            self.push_screen(kind(self.context))
        while type(self.screen) is not kind:
            self.pop_screen()

    def _close_older(self, newest: Screen[Any]) -> None:
        """Close the page that a page of its kind was opened above, wherever it lies."""
        for screen in self.screen_stack[:-1]:
            if isinstance(screen, Page) and type(screen) is type(newest):
                # Textual takes only the topmost screen from its stack.
                self._screen_stack.remove(screen)
                screen._pop_result_callback()
                self.left_pages.add(screen)
                self.call_next(self._replace_screen, screen)
