"""All of time in spans that touch few parts of measurements each.

To plan a statement over thousands of chunks of a hypertable takes longer than it runs: whoever
looks for a row without knowing its time looks through one span after the other.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from fleetsyncd.database.minutes import PARTS
from fleetsyncd.database.pool import Cursor

T = TypeVar("T")
PARTS_OF_A_SPAN = 20
"""Months or chunks. A table with fewer is one span, and is looked through by one statement."""
# A default partition with rows may have some of each span, and would be read whole for each.
_CUTS = f"""
SELECT cut::text FROM (
    SELECT cut, row_number() OVER (ORDER BY cut) AS number FROM (
        SELECT DISTINCT unnest(ARRAY[begins, ends]) FROM ({PARTS}) part
    ) cuts(cut) WHERE isfinite(cut)
) numbered
WHERE number %% %s = 0 AND NOT EXISTS (
    SELECT FROM fleetsync.partition_ranges() r
    WHERE r.is_default AND pg_relation_size(r.partition) > 0)
ORDER BY cut
"""  # noqa: S608  made of this project's own text


@dataclass(frozen=True, slots=True)
class Span:
    """A time, half-open, as PostgreSQL writes it; None: without a begin, or an end."""

    begins: str | None = None
    ends: str | None = None

    def condition(self, column: str = "time") -> str:
        """Return SQL for the rows of this span, with its values in it: ` AND ...`, or nothing.

        They are in the text, since a planner must know them to leave out all other parts.
        """
        begin = "" if self.begins is None else f" AND {column} >= '{self.begins}'::timestamptz"
        return begin if self.ends is None else f"{begin} AND {column} < '{self.ends}'::timestamptz"


def all_spans(cursor: Cursor) -> list[Span]:
    """Return the spans, the oldest first: together they are all of time, whatever the table is."""
    cursor.execute(_CUTS, (PARTS_OF_A_SPAN,))
    cuts = [cut for (cut,) in cursor.fetchall()]
    return [Span(*ends) for ends in zip([None, *cuts], [*cuts, None], strict=True)]


def look_through(
    cursor: Cursor, spans: Iterable[Span], look: Callable[[Cursor, Span], T | None]
) -> Iterable[T]:
    """Yield what is found in each span where anything is.

    A statement's locks would stay until the transaction ends: those of a span are given back.
    """
    for span in spans:
        is_all = span == Span()
        if not is_all:
            cursor.execute("SAVEPOINT span")
        found = look(cursor, span)
        if not is_all:
            cursor.execute("ROLLBACK TO SAVEPOINT span; RELEASE SAVEPOINT span")
        if found is not None:
            yield found
