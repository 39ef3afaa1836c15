"""From an alarm to the plot of its channel."""

from fleetsyncd.database.views.alarms import FleetAlarm
from tui.context import ScreenContext
from tui.screens.plot import PlotPage


def plot_of_alarm(context: ScreenContext, alarm: FleetAlarm) -> PlotPage | None:
    """Return the plot with the cursor at the alarm; None if it names no channel."""
    if alarm.channel_id is None:
        return None
    return PlotPage(context, alarm.vehicle_id, [alarm.channel_id], at=alarm.triggered_at)
