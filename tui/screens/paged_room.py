"""The base class of rooms that are read page by page, the newest lines first."""

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input

from tui.context import ScreenContext
from tui.screens.room import Room
from tui.widgets.in_full import InFull


class Numbered(Protocol):
    """A row of the database that has a number."""

    @property
    def id(self) -> Hashable:
        """Its number."""


L = TypeVar("L")
N = TypeVar("N", bound=Numbered)


class PagedRoom(Room, Generic[L, N]):
    """Lines `L` of rows `N`, of which `PAGE_ROWS` are a page; the one under the cursor in full."""

    PAGE_ROWS: int

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.lines: list[L] = []
        self.newer_pages: list[N] = []
        """The last row of each page that is newer than the shown one."""

    def below_table(self) -> ComposeResult:
        """Lay out the line under the cursor."""
        yield InFull()

    @property
    def before(self) -> N | None:
        """The row that those of the shown page are older than; None: it is the newest page."""
        return self.newer_pages[-1] if self.newer_pages else None

    def question(self) -> tuple[Hashable, ...]:
        """Return what decides which lines are read."""
        return (*super().question(), *(each.id for each in self.newer_pages[-1:]))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing, from the newest line on."""
        self.newer_pages.clear()
        super().on_input_changed(event)

    def page_text(self) -> str:
        """Say which page is shown."""
        if not self.newer_pages:
            return "newest page"
        oldest = ", the oldest" if self.is_read and len(self.lines) < self.PAGE_ROWS else ""
        return f"page {len(self.newer_pages) + 1}{oldest}"

    # Not by abc: the toolkit's classes have a metaclass of their own.
    def in_full(self, line: L) -> str:
        """Return the whole text of a line; subclasses override it."""
        raise NotImplementedError

    def last_row(self) -> N | None:
        """Return the last row of a full page; None if no older page can follow."""
        raise NotImplementedError

    def show_state(self) -> None:
        """Show what is under the cursor in full as well."""
        super().show_state()
        line = self.under_cursor
        self.query_one(InFull).show_whole(Text("" if line is None else self.in_full(line)))

    def on_data_table_row_highlighted(self) -> None:
        """Show in full what the operator moved the cursor to."""
        self.show_state()

    def on_resize(self) -> None:
        """Fit the line under the cursor into the new width."""
        self.show_state()

    @property
    def under_cursor(self) -> L | None:
        """The line under the cursor; None if there is none."""
        at = self.table.picked_row
        is_there = self.is_read and at is not None and at < len(self.lines)
        return self.lines[at] if is_there and at is not None else None

    def action_older(self) -> None:
        """Show the next older page."""
        if self.is_read and (last := self.last_row()) is not None:
            self.newer_pages.append(last)
            self.ask_anew()

    def action_newer(self) -> None:
        """Show the next newer page."""
        if self.newer_pages:
            self.newer_pages.pop()
            self.ask_anew()
