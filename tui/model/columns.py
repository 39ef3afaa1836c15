"""The columns of the fleet table, and which of them fit into a width."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fleetsyncd.cells import padded
from fleetsyncd.database.views.journal import HOUR_BUCKETS, LastHour
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.text import age, known_age
from tui.formatting import STATE_STYLES, percent_text, remaining_text
from tui.model import alarm_totals
from tui.model.day_strips import HOURS, strip_text
from tui.model.sorting import Sort
from tui.model.sparks import lag_scale, lag_scale_text, spark, thinned
from tui.open_alarms import alarms_of

WIDE = 120
"""From this width of the terminal on, the fleet page shows the journal."""
DAY_WIDE = 158
"""From this width of the table on, which is that of a terminal of 160 columns, the day is shown."""
EXTRA_WIDE = 150
"""From this width of the table on, some columns are wider."""
PREFIX_WIDTH = 3
"""Terminal cells at the start of a row: the mark, the state's glyph, a space."""
REASON = "LAST ERROR"
"""The title of the last column, which fills the rest."""
_LEAST_REASON: Final = 10
"""What the columns that the operator wants must leave for the reason."""
_SHORT_REASON: Final = 24
"""Room for a call and a status: `/status: HTTP 401: the v…`."""
_WHOLE_REASON: Final = 39
"""Room for most reasons, beside the last hour on a terminal of 120 columns."""
_LONG_REASON: Final = 60
"""Room for a reason with its remedy, which what is seldom looked for must leave."""
_MILLION: Final = 1_000_000
_LAG_SCALE_WIDTH: Final = 7
"""Cells of the bounds behind a spark of lags."""

CellText = Callable[[VehicleOverview, LastHour | None], str]
Choice = Mapping[str, bool]
"""The columns, by title, that the operator wants (True) or hides (False)."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `width` in terminal cells."""

    title: str
    width: int
    cell_text: CellText
    short_title: str = ""
    """The title where the other one has no room."""
    short_text: CellText | None = None
    """The text where the other one has no room."""
    right: bool = False
    """Whether the text is right-aligned."""
    sort: Sort | None = None
    """The order that sorts by this column, if there is one."""
    state_coloured: bool = False
    """Whether the text has the colour of the vehicle's state."""
    last_hour: bool = False
    """Whether the text needs the vehicle's last hour."""
    last_day: bool = False
    """Whether the text needs the vehicle's last day."""
    turn: int = 0
    """When the column gets its room: those with a smaller number come first."""
    leaves: int = _SHORT_REASON
    """The cells that must be left for the reason, or else the column is not shown."""
    from_width: int = 0
    """The width of the table from which on it is shown without being asked for."""
    where: Callable[[VehicleOverview], bool] | None = None
    """It is shown without being asked for only if this is true of a vehicle."""
    extra: int = 0
    """Cells that it is wider where there is much room."""
    text_colour: Callable[[str], str | None] | None = None
    """What else gives the text a colour: a function of the text, whose None means no colour."""

    def text(self, vehicle: VehicleOverview, hour: LastHour | None) -> str:
        """Return the vehicle's cell, cut or padded to the column's width."""
        text = self.cell_text(vehicle, hour)
        if self.short_text is not None and len(text) > self.width:
            text = self.short_text(vehicle, hour)
        return self.fitted(text)

    def heading(self, sort: Sort, descending: bool) -> str:
        """Return the title, with an arrow if the table is sorted by this column."""
        arrow = ("▼" if descending else "▲") if sort is self.sort else ""
        heading = self.title + arrow
        if len(heading) > self.width and (arrow or self.short_title):
            heading = (self.short_title or self.title)[: self.width - len(arrow)] + arrow
        return self.fitted(heading)

    def fitted(self, text: str) -> str:
        """Return `text`, padded to the column's width, or cut, with an ellipsis."""
        return padded(text, self.width, right=self.right)


def status(vehicle: VehicleOverview) -> str:
    """Return the state's word, with the progress of a gap or of a backfill."""
    word = STATE_STYLES[vehicle.state].word
    if vehicle.state is State.CATCHING_UP and vehicle.catching_up is not None:
        return f"{word} {percent_text(vehicle.catching_up.fraction)}"
    if vehicle.backfill is not None:
        return f"{word} +{percent_text(vehicle.backfill.fraction)}"
    return word


def remark(vehicle: VehicleOverview) -> str:
    """Return why it is late and the last error; else the time left of a gap or of a backfill."""
    text = vehicle.reason or remaining_text(vehicle.catching_up or vehicle.backfill)
    return "; ".join(filter(None, [text, vehicle.muted]))


def _rows(vehicle: VehicleOverview, _hour: LastHour | None) -> str:
    return "-" if vehicle.rows is None else str(vehicle.rows)


def _every(vehicle: VehicleOverview, _hour: LastHour | None) -> str:
    return age(vehicle.interval_sec)


def _few_rows(vehicle: VehicleOverview, _hour: LastHour | None) -> str:
    rows = vehicle.rows or 0
    return f"{rows // 1000}k" if rows < _MILLION else f"{rows // _MILLION}M"


def _lags(width: int) -> CellText:
    """Return a cell's text: a spark of `width` cells, and its scale."""

    def cell_text(vehicle: VehicleOverview, hour: LastHour | None) -> str:
        if hour is None:
            return ""
        scale = lag_scale(hour.lags, vehicle.own_interval_sec)
        return f"{spark(thinned(hour.lags, width), scale)} {lag_scale_text(scale)}"

    return cell_text


def _alarms(vehicle: VehicleOverview, _hour: LastHour | None) -> str:
    return alarm_totals.cell(alarms_of(vehicle), alarm_totals.WIDE_WIDTH)


def _few_alarms(vehicle: VehicleOverview, _hour: LastHour | None) -> str:
    return alarm_totals.cell(alarms_of(vehicle), alarm_totals.NARROW_WIDTH)


def _day(_vehicle: VehicleOverview, hour: LastHour | None) -> str:
    return "" if hour is None else strip_text(hour.day)


COLUMNS = (
    Column("VEHICLE", 17, lambda v, _: v.name, sort=Sort.NAME, extra=4),
    # A critical alarm must be seen on the smallest screen; its message is on the page of alarms.
    Column("ALARM", alarm_totals.NARROW_WIDTH, _alarms, short_title="AL", sort=Sort.ALARMS,
           short_text=_few_alarms, text_colour=alarm_totals.cell_colour, turn=1,
           leaves=_LEAST_REASON,
           extra=alarm_totals.WIDE_WIDTH - alarm_totals.NARROW_WIDTH),
    Column("ADDRESS", 17, lambda v, _: v.address, sort=Sort.ADDRESS, turn=12,
           leaves=_WHOLE_REASON, extra=3),
    Column("STATUS", 13, lambda v, _: status(v), sort=Sort.STATE, state_coloured=True, turn=1),
    Column("SINCE", 5, lambda v, _: age(v.state_age), right=True, sort=Sort.CHANGE,
           turn=6),
    Column("SEEN", 5, lambda v, _: known_age(v.seen_age), right=True, sort=Sort.SEEN, turn=3),
    Column("LAG", 4, lambda v, _: age(v.lag), right=True, sort=Sort.LAG, turn=2),
    Column("EVERY", 5, _every, right=True, sort=Sort.EVERY, turn=10,
           where=lambda v: v.own_interval_sec is not None),
    Column("DATA", 5, lambda v, _: age(v.data_age), right=True, sort=Sort.DATA, turn=14,
           leaves=_LONG_REASON),
    Column("ROWS", 4, _rows, short_text=_few_rows, right=True, sort=Sort.ROWS, turn=4),
    Column("LAG 1H", HOUR_BUCKETS // 2 + _LAG_SCALE_WIDTH, _lags(HOUR_BUCKETS),
           short_text=_lags(HOUR_BUCKETS // 2), last_hour=True, turn=7, leaves=_WHOLE_REASON,
           extra=HOUR_BUCKETS // 2),
    Column("24H", HOURS, _day, last_hour=True, last_day=True, turn=8, leaves=_WHOLE_REASON,
           from_width=DAY_WIDE),
    Column("FAILS", 5, lambda v, _: str(v.failures), right=True, sort=Sort.FAILS, turn=5),
    Column("VERSION", 8, lambda v, _: v.software_version or "-", sort=Sort.VERSION, turn=13,
           leaves=_LONG_REASON, extra=2),
    Column("TAGS", 12, lambda v, _: " ".join(v.tags), sort=Sort.TAGS, turn=11,
           from_width=DAY_WIDE, where=lambda v: bool(v.tags)),
)  # fmt: skip
"""Every column but the last one, from left to right."""
CHOOSABLE = tuple(column.title for column in COLUMNS if column.turn)
"""The titles of the columns that may be hidden."""


def idle_columns(vehicles: Collection[VehicleOverview]) -> frozenset[str]:
    """Return the titles of the columns that say nothing of these vehicles."""
    return frozenset(
        column.title for column in COLUMNS if column.where and not any(map(column.where, vehicles))
    )


def columns(width: int, choice: Choice | None = None, idle: Collection[str] = ()) -> list[Column]:
    """Return the columns of a table that is `width` cells wide; the last one fills the rest.

    A column that the operator wants comes before those that the width would allow; those that are
    `idle` are shown only if they are wanted.
    """
    wanted = {} if choice is None else choice
    room = width - PREFIX_WIDTH
    taken: set[str] = set()
    for column in sorted(COLUMNS, key=lambda it: _precedence(it, wanted)):
        needed = _width(column, width) + 1
        leaves = _LEAST_REASON if wanted.get(column.title) else column.leaves
        is_useful = width >= column.from_width and column.title not in idle
        is_wanted = wanted.get(column.title, is_useful)
        if not column.turn or (is_wanted and needed + leaves <= room):
            taken.add(column.title)
            room -= needed
    fitting = [
        replace(column, width=_width(column, width)) for column in COLUMNS if column.title in taken
    ]
    return [
        *fitting,
        Column(REASON, max(_LEAST_REASON, room), lambda v, _: remark(v), sort=Sort.REASON),
    ]


def column_sort(shown: Sequence[Column], cell: int) -> Sort | None:
    """Return the order of the column at a terminal cell of the table; None if there is none."""
    end = PREFIX_WIDTH
    for column in shown:
        end += column.width + 1
        if cell < end:
            return column.sort
    return None


def _precedence(column: Column, wanted: Choice) -> tuple[bool, bool, int]:
    return column.turn > 0, not wanted.get(column.title), column.turn


def _width(column: Column, table_width: int) -> int:
    return column.width + (column.extra if table_width >= EXTRA_WIDE else 0)
