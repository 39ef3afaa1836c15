"""See to it that measurements have a partition; leave out those of which others keep none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from fleetsyncd.database.partitions import Hole
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import PartitionMissing
from fleetsyncd.models import Window
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.telemetry import BadRow, Measurements
from fleetsyncd.text import sanitise
from fleetsyncd.times import iso_ms, utc_span

T = TypeVar("T")

REASON_LIMIT = 500


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Measurements that are not stored because no partition holds their time."""

    rows: int
    window: Window
    """From the first to the last time without a partition."""
    remedies: tuple[str, ...]

    def after(self, before: "LeftOut | None") -> "LeftOut":
        """Return these rows and those of `before` as one."""
        if before is None:
            return self
        start = min(before.window.start, self.window.start)
        window = Window(start, max(before.window.end, self.window.end))
        remedies = dict.fromkeys((*before.remedies, *self.remedies))
        return LeftOut(before.rows + self.rows, window, tuple(remedies))

    def within(self, whole: Window) -> Window:
        """Return the part of `whole` in which they are."""
        return Window(max(whole.start, self.window.start), min(whole.end, self.window.end))

    @property
    def bad_row(self) -> BadRow:
        """The entry in quarantine that stands for them; it holds none of them."""
        start, end = iso_ms(self.window.start), iso_ms(self.window.end)
        raw = f'{{"from":"{start}","to":"{end}","rows_left_out":{self.rows}}}'
        return BadRow("/data", raw, sanitise(str(self), REASON_LIMIT))

    def __str__(self) -> str:
        """Say what is missing, and what brings it."""
        window = utc_span(self.window.start, self.window.end)
        return (
            f"{self.rows} row(s) of {window} are not stored, no partition of measurements holds"
            f" them; {'; '.join(self.remedies)}; then `fleetsyncd backfill`"
        )


@dataclass(frozen=True, slots=True)
class Placing(Generic[T]):
    """The result of storing rows, and those that were left out."""

    result: T
    left_out: LeftOut | None = None


def place(
    context: SyncContext,
    rows: Measurements,
    save: Callable[[Measurements, LeftOut | None, Cursor], T],
) -> Placing[T]:
    """Run `save` with the rows in a transaction, their months made before.

    Rows of a time that others keep without a partition are left out, so that they do not stand in
    the way of newer ones; `save` is told of them, to keep it even if the cycle's own entry is never
    written. Raises PartitionMissing if any other row has no place; DatabaseError.
    """
    database, partitions = context.database, context.partitions
    _ensure_months(context, rows)
    try:
        return Placing(database.run(partial(save, rows, None)))
    except PartitionMissing:
        partitions.forget()
        _ensure_months(context, rows)
    try:
        return Placing(database.run(partial(save, rows, None)))
    except PartitionMissing as missing:
        first, last = rows.times[0], rows.times[-1]
        holes = partitions.holes(first, last, context.now())
        placed = rows.outside(hole.window for hole in holes)
        if len(placed) == len(rows):
            why = partitions.why_missing(first, last)
            raise PartitionMissing(missing.reason, why or missing.hint) from missing
    left_out = _left_out(holes, len(rows) - len(placed))
    return Placing(database.run(partial(save, placed, left_out)), left_out)


def _ensure_months(context: SyncContext, rows: Measurements) -> None:
    if times := rows.times:
        context.partitions.ensure(times[0], times[-1])


def _left_out(holes: Sequence[Hole], rows: int) -> LeftOut:
    window = Window(holes[0].window.start, holes[-1].window.end)
    return LeftOut(rows, window, tuple(dict.fromkeys(hole.remedy for hole in holes)))
