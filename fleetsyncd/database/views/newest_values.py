"""The newest value of each of a vehicle's channels, however many chunks measurements have."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from fleetsyncd.database.cluster import runs_on_cluster
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.spans import Span, all_spans, look_through
from fleetsyncd.database.views.rights import may_call
from fleetsyncd.database.views.sql_times import age, epoch
from fleetsyncd.times import utc_now

MANY_PARTS = 100
"""Of so few, one statement over all of them is planned at once."""
RECENT = timedelta(days=1)
_COUNT_PARTS = """
(SELECT count(*) FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
 JOIN pg_namespace n ON n.oid = p.relnamespace
 WHERE (n.nspname, p.relname) IN (('public', 'measurements'), ('fleetsync', 'samples')))
""".strip()
# Over chunks, compiling would take longer than running. A cluster's plan is short.
_UNCOMPILED = "SELECT set_config('jit', 'off', true); "
_VALUES = f"""
SELECT {{parts}}, c.channel_id, c.name, c.unit, c.min_value, c.max_value, {epoch("now()")}, m.value,
    {age("m.time")}, {epoch("m.time")}
FROM json_to_recordset({{channels}}::json) AS c(
    channel_id integer, name text, unit text, min_value float8, max_value float8)
LEFT JOIN LATERAL (
    SELECT time, value FROM public.measurements
    WHERE vehicle_id = %(id)s::uuid AND channel_id = c.channel_id{{span}}
    ORDER BY time DESC LIMIT 1
) m ON true
ORDER BY c.channel_id
"""  # noqa: S608  made of this file's own text
_OLDER = f"""
SELECT channel, m.value, {age("m.time")}, {epoch("m.time")}
FROM unnest(%(channels)s::int[]) channel, LATERAL (
    SELECT time, value FROM public.measurements
    WHERE vehicle_id = %(id)s::uuid AND channel_id = channel{{span}}
    ORDER BY time DESC LIMIT 1
) m
"""  # noqa: S608  made of this file's own text
_PARTS = ("fleetsync.partition_ranges()", "fleetsync.hidden_ranges()")


@dataclass(frozen=True, slots=True)
class NewestValue:
    """A channel with its newest value and the age of that, in seconds; None if it has none."""

    channel_id: int
    name: str | None
    unit: str | None
    min_value: float | None
    max_value: float | None
    now: float
    """The time of the database."""
    value: float | None
    age: float | None
    measured_at: float | None


def newest_values(cursor: Cursor, channels: str, values: Mapping[str, object]) -> list[NewestValue]:
    """Return the newest values of the channels that an SQL expression lists as JSON, by number.

    One statement; over many chunks it asks for those of the last day first, since its planner then
    knows that no older chunk is needed.
    """
    connection = cursor.connection
    has_many = connection.parts > MANY_PARTS
    span = Span(begins=(utc_now() - RECENT).isoformat()) if has_many else Span()
    # A cluster has no hypertable, and reads no local table together with the workers'.
    before, parts = ("", "0") if runs_on_cluster(cursor) else (_UNCOMPILED, _COUNT_PARTS)
    cursor.execute(
        before + _VALUES.format(channels=channels, span=span.condition(), parts=parts), values
    )
    rows = cursor.fetchall()
    connection.parts = max((count for count, *_ in rows), default=connection.parts)
    found = [NewestValue(*channel) for _, *channel in rows]
    if not has_many:
        return found
    left = {each.channel_id for each in found if each.age is None}
    older = _older(cursor, values, left) if left else {}
    return [
        replace(each, value=known[0], age=known[1], measured_at=known[2])
        if (known := older.get(each.channel_id))
        else each
        for each in found
    ]


def _older(
    cursor: Cursor, values: Mapping[str, object], left: set[int]
) -> dict[int, tuple[float, float, float]]:
    """Return value, age and time of the channels of `left` that have any."""
    spans = [Span()]
    if all(may_call(cursor, function) for function in _PARTS):
        spans = all_spans(cursor)[::-1]
    found: dict[int, tuple[float, float, float]] = {}
    for rows in look_through(cursor, spans, partial(_look, values, left)):
        found |= rows
        left.difference_update(rows)
        if not left:
            break
    return found


def _look(
    values: Mapping[str, object], left: set[int], cursor: Cursor, span: Span
) -> dict[int, tuple[float, float, float]]:
    channels = {"channels": sorted(left)}
    cursor.execute(_OLDER.format(span=span.condition()), {**values, **channels})
    return {channel: (value, seconds, at) for channel, value, seconds, at in cursor.fetchall()}
