"""From an alarm to the plot of its channel."""

from fleetsyncd.database.views.alarms import FleetAlarm
from fleetsyncd.database.views.vehicle import ChannelValue
from tui.context import ScreenContext
from tui.screens.plot import SPANS, PlotPage

_MARGIN = 1.1
"""The span begins before the alarm, so that what led to it is seen."""


def plot_of_alarm(context: ScreenContext, alarm: FleetAlarm) -> PlotPage | None:
    """Return the plot over the shortest span that reaches back to the alarm.

    None if the alarm names no channel.
    """
    if alarm.channel_id is None:
        return None
    channel = ChannelValue(
        channel_id=alarm.channel_id,
        name=alarm.channel_name or f"channel {alarm.channel_id}",
        unit=alarm.unit,
        min_value=alarm.min_value,
        max_value=alarm.max_value,
        value=None,
        age=None,
        curve=(),
    )
    page = PlotPage(context, alarm.vehicle_id, channel)
    reach = _MARGIN * (alarm.age or 0.0)
    zooms = (zoom for zoom, span in enumerate(SPANS) if span.seconds >= reach)
    page.zoom = next(zooms, len(SPANS) - 1)
    return page
