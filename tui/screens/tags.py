"""The tags page: groups of vehicles by tag, with how many of each are in which state."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from fleetsyncd.cells import cut
from fleetsyncd.states import State
from fleetsyncd.text import counted
from tui.context import ScreenContext
from tui.formatting import STATE_STYLES
from tui.gateway import Snapshot
from tui.model.export_table import ExportTable
from tui.model.filters import Filter
from tui.model.tag_groups import TagGroup, group_filter, groups
from tui.model.targets import Targets
from tui.model.view_text import no_such_tag
from tui.screens.page import Page
from tui.widgets.fixed_text import FixedText
from tui.widgets.keyed_table import KeyedTable
from tui.widgets.row_table import GONE, READING

NARROW_TAG, WIDE_TAG = 14, 32
"""Terminal cells of a tag, with a column for every state beside it."""
MOST_TAGS = 200
"""Rows of tags: the table has a key press wait for as long as it takes to fill it."""
STATES = (
    State.ERROR, State.TIMEOUT, State.LATE, State.NEVER, State.CATCHING_UP, State.PAUSED,
    State.ONLINE,
)  # fmt: skip
"""The columns, the worst state first."""
NO_TAGS = "No vehicle has a tag: fleetsyncd vehicle set NAME --tag TAG"
HEADING: Sequence[str | Text] = (
    "TAG",
    "VEH",
    *(Text(STATE_STYLES[it].word.upper(), STATE_STYLES[it].colour) for it in STATES),
)


class TagsPage(Page):
    """A row for each tag, and one for the vehicles without a tag; actions are for whole groups."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Show", priority=True, id="tags.show",
                tooltip="Show the vehicles of the group"),
        Binding("escape,q", "leave", "Back", id="tags.back", tooltip="Go back"),
    ]  # fmt: skip

    class Chosen(Message):
        """The operator wants to see the vehicles of a group."""

        def __init__(self, wanted: Filter) -> None:
            super().__init__()
            self.wanted = wanted

    def __init__(self, context: ScreenContext) -> None:
        super().__init__(context)
        self.groups: list[TagGroup] = []
        self.shown: list[TagGroup] = []
        """Those of the groups that have a row."""

    def body(self) -> ComposeResult:
        """Lay out the table, a hint, what is not shown and a status line."""
        yield KeyedTable(HEADING)
        yield FixedText(id="hint")
        yield FixedText(id="left-out")
        yield FixedText(id="status-line")

    def on_mount(self) -> None:
        """Lay out the table with its rows, which the next key may be for, and focus it."""
        self.query_one(KeyedTable).focus()
        self.update_body()

    def update_body(self) -> None:
        """Show the groups; the cursor stays on its group."""
        snapshot, table = self.context.state.snapshot, self.query_one(KeyedTable)
        if snapshot is None:
            unread = "could not be read: see above"
            table.show_notice(unread if self.context.state.lost else READING)
            return
        self.groups = groups(snapshot.vehicles, self.context.state.tags)
        tagged = [group for group in self.groups if group.tag is not None]
        self.shown = [*tagged[:MOST_TAGS], *self.groups[len(tagged) :]]
        tag_width = WIDE_TAG if self.wide else NARROW_TAG
        table.show_rows(
            [group.label for group in self.shown],
            [_cells(group, tag_width) for group in self.shown],
        )
        # Without a row the table would say that it reads; it is not hidden, for its keys' sake.
        table.set_class(not self.groups, "-empty")
        self._show_text("hint", "" if tagged else self._why_none(snapshot))
        self._show_text("left-out", _left_out(len(tagged)))
        self._update_status_line()

    def _show_text(self, name: str, text: str) -> None:
        """Show a text that has no line while it is empty."""
        line = self.query_one(f"#{name}", FixedText)
        line.show(Text(text))
        line.display = bool(text)

    def _why_none(self, snapshot: Snapshot) -> str:
        """Return why there is no tag, and what sets one."""
        state = self.context.state
        if state.tags:
            return no_such_tag(state.tags, snapshot.known_tags, "q goes back")
        return NO_TAGS if state.read_only else f"{NO_TAGS}, or e on the fleet"

    @property
    def _chosen(self) -> TagGroup | None:
        """The group under the cursor."""
        row = self.query_one(KeyedTable).picked_row
        return self.shown[row] if row is not None and row < len(self.shown) else None

    @property
    def _is_lost(self) -> bool:
        """Whether the group that was under the cursor is gone."""
        return self.query_one(KeyedTable).is_lost

    def on_data_table_row_highlighted(self, _event: "DataTable.RowHighlighted") -> None:
        """Say what actions apply to."""
        self._update_status_line()

    def on_row_table_pointed(self) -> None:
        """Say no longer that what was chosen is gone."""
        self._update_status_line()

    def _update_status_line(self) -> None:
        group = self._chosen
        number = sum(each.tag is not None for each in self.groups)
        line = f" {counted(number, 'tag')}"
        if self._is_lost:
            line += f" · {GONE}"
        if group is not None:
            count = len(group.vehicles)
            vehicles = "1 vehicle" if count == 1 else f"all {count} vehicles"
            line += f" · s, p, P, b and x are for {vehicles} of {group.label}"
        if self.context.state.read_only:
            line = line.partition(" ·")[0]
        text = Text(line, no_wrap=True, overflow="ellipsis")
        self.query_one("#status-line", FixedText).show(text)

    def action_choose(self) -> None:
        """Show the vehicles of the group under the cursor on the fleet page."""
        group = self._chosen
        if group is not None:
            self.post_message(self.Chosen(group_filter(group, self.groups)))

    def action_leave(self) -> None:
        """Go back."""
        self.app.pop_screen()

    def targets(self) -> Targets:
        """Return the vehicles of the group under the cursor."""
        group = self._chosen
        if group is None:
            return Targets(lost=GONE if self._is_lost else "")
        what = "without a tag" if group.tag is None else f"with the tag {group.tag}"
        return Targets(group.vehicles, group=what)

    def copy_text(self) -> str:
        """Return the row under the cursor, its cells separated by tabs."""
        group = self._chosen
        return "" if group is None else "\t".join(_row(group))

    def export_table(self) -> ExportTable:
        """Return the groups."""
        heading = ["tag", "vehicles", *(state.value for state in STATES)]
        return ExportTable("tags", heading, [_row(group) for group in self.groups])


def _left_out(tags: int) -> str:
    """Return that not all tags are shown, and what finds another one; empty if all are."""
    if tags <= MOST_TAGS:
        return ""
    return f" the {MOST_TAGS} tags with the most trouble of {tags:,}; / on the fleet finds tag:NAME"


def _cells(group: TagGroup, tag_width: int) -> list[Text]:
    counts = group.counts
    numbers = [
        Text(str(counts[state] or ""), STATE_STYLES[state].colour, justify="right")
        for state in STATES
    ]
    label = Text(cut(group.label, tag_width), "" if group.tag is None else "bold")
    return [label, Text(str(len(group.vehicles)), justify="right"), *numbers]


def _row(group: TagGroup) -> list[str]:
    counts = group.counts
    return [group.label, str(len(group.vehicles)), *(str(counts[state]) for state in STATES)]
