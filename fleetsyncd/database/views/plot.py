"""Read-only queries of the plot: channels over a span of time, and the vehicle's alarms in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.alarm_knowledge import alarms_known_age
from fleetsyncd.database.views.channel_changes import StoredChange, changes_since
from fleetsyncd.database.views.minute_series import read_channels
from fleetsyncd.database.views.series import Series, Slices
from fleetsyncd.database.views.sql_times import epoch
from fleetsyncd.database.views.vehicle import ALARM_COLUMNS, StoredAlarm, all_alarms, stored_alarm
from fleetsyncd.text import sanitise

MOST_ALARMS = 200
"""Alarms that a plot shows: those of its channels first, then the newest."""
_NOW = f"SELECT {epoch('now()')}"
_CONFIGS = """
SELECT channel_id, name, unit, min_value, max_value FROM public.channel_config
WHERE vehicle_id = %s::uuid AND channel_id = ANY (%s::int[])
"""
_ALARMS = f"""
SELECT {ALARM_COLUMNS} FROM {{stored}}
WHERE vehicle_id = %(id)s::uuid AND triggered_at < to_timestamp(%(end)s)
  AND coalesce(coalesce(resolved_at, replaced_at) >= to_timestamp(%(start)s), true)
ORDER BY channel_id = ANY (%(channels)s::int[]) DESC, triggered_at DESC LIMIT {MOST_ALARMS}
"""  # noqa: S608  made of this file's own text
_BESIDE = """
SELECT channel_id FROM public.channel_config WHERE vehicle_id = %(id)s::uuid {condition}
ORDER BY channel_id {order} LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class PlotSpan:
    """A span of time that ends at `end` (seconds since 1970), at present if it is None or later."""

    end: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class PlottedChannel:
    """A channel's configuration, and its values over the span."""

    channel_id: int
    name: str
    unit: str
    min_value: float | None
    max_value: float | None
    series: Series
    changes: tuple[StoredChange, ...] = ()
    """When it meant something else, up to each of them: those since the span begins, in order."""

    def earlier(self, at: float) -> StoredChange | None:
        """Return what it meant at a time, in seconds since 1970; None: what it means now."""
        return next((each for each in self.changes if at < _moment(each)), None)

    @property
    def meant_since(self) -> float:
        """Since when it means what it does, in seconds since 1970; minus infinity: always."""
        return max(map(_moment, self.changes), default=-inf)


@dataclass(frozen=True, slots=True)
class PlotData:
    """What a plot shows; `now` is the database's clock, in seconds since 1970."""

    now: float
    slices: Slices
    channels: tuple[PlottedChannel, ...]
    alarms: tuple[StoredAlarm, ...]
    alarms_known_age: float | None
    """The age in seconds of what is known of those that are open; None if nothing is."""

    @property
    def oldest(self) -> float | None:
        """The time of the channels' oldest row; None without any row."""
        known = [each.series.oldest for each in self.channels if each.series.oldest is not None]
        return min(known, default=None)


def read_plot(
    cursor: Cursor, vehicle_id: UUID, channels: Sequence[int], span: PlotSpan, count: int
) -> PlotData:
    """Return channels over a span of time in `count` slices; one without configuration as well."""
    cursor.execute(_NOW)
    now = float(cursor.fetchall()[0][0])
    slices = Slices.until(min(now, span.end or now), span.seconds, count)
    series = read_channels(cursor, vehicle_id, channels, slices)
    cursor.execute(_CONFIGS, (str(vehicle_id), list(channels)))
    configs = {row[0]: row[1:] for row in cursor.fetchall()}
    changes = changes_since(cursor, vehicle_id, channels, slices.start)[::-1]
    plotted = tuple(_channel(each, configs.get(each.channel_id), changes) for each in series)
    values = {"id": str(vehicle_id), "channels": list(channels)}
    ends = {"start": slices.start, "end": slices.end}
    cursor.execute(_ALARMS.format(stored=all_alarms(cursor)), {**values, **ends})
    alarms = tuple(stored_alarm(row) for row in cursor.fetchall())
    return PlotData(now, slices, plotted, alarms, alarms_known_age(cursor, vehicle_id))


def _channel(
    series: Series,
    config: tuple[str | None, str | None, float | None, float | None] | None,
    changes: Sequence[StoredChange],
) -> PlottedChannel:
    name, unit, low, high = config or (None, None, None, None)
    text = sanitise(name or f"channel {series.channel_id}", 100)
    own = tuple(each for each in changes if each.channel_id == series.channel_id)
    return PlottedChannel(series.channel_id, text, sanitise(unit or "", 20), low, high, series, own)


def _moment(change: StoredChange) -> float:
    return -inf if change.changed_at is None else change.changed_at.timestamp()


def channel_beside(cursor: Cursor, vehicle_id: UUID, channel_id: int, step: int) -> int | None:
    """Return the vehicle's next channel (1) or its previous one (-1); after the last the first."""
    compare, order = (">", "ASC") if step > 0 else ("<", "DESC")
    values = {"id": str(vehicle_id), "channel": channel_id}
    for condition in (f"AND channel_id {compare} %(channel)s", ""):
        cursor.execute(_BESIDE.format(condition=condition, order=order), values)
        for row in cursor.fetchall():
            return int(row[0])
    return None
