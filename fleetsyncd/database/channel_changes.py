"""Channels that change their meaning: what they meant before is kept, so that old rows can be read.

A channel means something else if both its name and its unit are others, and measurements of it are
stored. A name or a unit alone is corrected by operators of vehicles.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.spans import Span, all_spans, look_through
from fleetsyncd.telemetry import Channel

KEPT_PER_VEHICLE = 1_000
"""The oldest changes beyond these are dropped: a vehicle decides how many it makes."""
MOST_SPANS = 10
"""So many of the newest spans are looked through for a channel's measurements. One that has none in
these may have older ones: a meaning too many is kept rather than one too few."""
_MEASURED = """
SELECT c FROM unnest(%(channels)s::int[]) c
WHERE EXISTS (SELECT FROM public.measurements m
              WHERE m.vehicle_id = %(id)s::uuid AND m.channel_id = c{span})
"""
_ADD = """
INSERT INTO fleetsync.channel_change (vehicle_id, channel_id, old_name, old_unit, old_min, old_max,
    new_name, new_unit, new_min, new_max)
SELECT %(id)s::uuid, r.* FROM unnest(%(channels)s::int[],
    %(old_names)s::text[], %(old_units)s::text[], %(old_mins)s::float8[], %(old_maxs)s::float8[],
    %(new_names)s::text[], %(new_units)s::text[], %(new_mins)s::float8[], %(new_maxs)s::float8[]) r
ON CONFLICT (vehicle_id, channel_id, changed_at) DO NOTHING
"""
_DROP_OLDEST = """
DELETE FROM fleetsync.channel_change
WHERE vehicle_id = %(id)s::uuid AND (channel_id, changed_at) IN (
    SELECT channel_id, changed_at FROM fleetsync.channel_change WHERE vehicle_id = %(id)s::uuid
    ORDER BY changed_at DESC, channel_id OFFSET %(kept)s)
"""


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """A channel before and after it changed its meaning."""

    old: Channel
    new: Channel

    def __str__(self) -> str:
        """Say it to operators."""
        return f"channel {self.new.channel_id} is {_meaning(self.new)}, was {_meaning(self.old)}"


def _meaning(channel: Channel) -> str:
    return f"{channel.name} [{channel.unit or ''}]"


def record_changes(
    cursor: Cursor, vehicle_id: UUID, known: Mapping[int, Channel], written: Sequence[Channel]
) -> list[ChannelChange]:
    """Record which of the `written` channels mean something else than the `known` ones.

    Costs no query if none does. Returns what is recorded.
    """
    others = [
        ChannelChange(old, new)
        for new in written
        if (old := known.get(new.channel_id)) is not None
        and old.name != new.name
        and old.unit != new.unit
    ]
    if not others:
        return []
    values: dict[str, Any] = {"id": str(vehicle_id), "kept": KEPT_PER_VEHICLE}
    measured = _measured(cursor, vehicle_id, {each.new.channel_id for each in others})
    changes = [each for each in others if each.new.channel_id in measured]
    if changes:
        cursor.execute(_ADD, values | _columns(changes))
        cursor.execute(_DROP_OLDEST, values)
    return changes


def _measured(cursor: Cursor, vehicle_id: UUID, channels: Set[int]) -> Set[int]:
    """Return which of these channels have measurements, or may have old ones."""
    left = set(channels)
    newest_first = all_spans(cursor)[::-1]

    def look(cursor: Cursor, span: Span) -> Set[int]:
        values = {"id": str(vehicle_id), "channels": sorted(left)}
        cursor.execute(_MEASURED.format(span=span.condition("m.time")), values)
        return {channel for (channel,) in cursor.fetchall()}

    for found in look_through(cursor, newest_first[:MOST_SPANS], look):
        left -= found
        if not left:
            break
    return channels if len(newest_first) > MOST_SPANS else channels - left


def _columns(changes: Sequence[ChannelChange]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"channels": [each.new.channel_id for each in changes]}
    for age in ("old", "new"):
        channels = [getattr(each, age) for each in changes]
        columns[f"{age}_names"] = [channel.name for channel in channels]
        columns[f"{age}_units"] = [channel.unit for channel in channels]
        columns[f"{age}_mins"] = [channel.min_value for channel in channels]
        columns[f"{age}_maxs"] = [channel.max_value for channel in channels]
    return columns
