"""What a plotted channel meant when: its values from before a change are of something else."""

from collections.abc import Iterator

from fleetsyncd.database.views.channel_changes import StoredChange
from fleetsyncd.database.views.plot import PlottedChannel
from fleetsyncd.database.views.series import SliceValues
from fleetsyncd.times import utc_minute
from tui.model.curve import Pair, joined
from tui.model.time_axis import utc


def meant_now(channel: PlottedChannel) -> list[SliceValues]:
    """Return the values of slices in which the channel meant all the time what it means now."""
    return [each for each in channel.series.values if each.first >= channel.meant_since]


def joined_of_one_meaning(channel: PlottedChannel, step: float) -> Iterator[Pair]:
    """Yield the neighbours that a line joins: data are not missing, and all mean the same."""
    for before, after in joined(channel.series, step):
        if channel.earlier(before.first) == channel.earlier(after.last):
            yield before, after


def name_and_unit(channel: PlottedChannel, values: SliceValues) -> tuple[str, str]:
    """Return what a slice's values are of; both meanings if the channel changed within it."""
    names, units = [], []
    for at in (values.first, values.last):
        earlier = channel.earlier(at)
        names.append(channel.name if earlier is None else earlier.old_name)
        units.append(channel.unit if earlier is None else earlier.old_unit)
    return _then(names), _then(units)


def earlier_text(channel: PlottedChannel, now: float) -> str:
    """Return what it meant before, up to when, the last change first; empty without any."""
    texts = [
        f"until {utc_minute(each.changed_at, utc(now))} {each.old_name} {_unit(each)}".rstrip()
        for each in reversed(channel.changes)
        if each.changed_at is not None
    ]
    others = f", {len(texts) - 1} more before" if len(texts) > 1 else ""
    return texts[0] + others if texts else ""


def _unit(change: StoredChange) -> str:
    return f"[{change.old_unit}]" if change.old_unit else ""


def _then(texts: list[str]) -> str:
    before, after = texts
    return before if before == after else f"{before}, then {after}"
