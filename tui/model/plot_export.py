"""A plot as a table of text."""

from collections.abc import Sequence
from datetime import UTC, datetime

from fleetsyncd.database.views.plot import PlotData
from fleetsyncd.times import iso_ms
from tui.model.export_table import ExportTable
from tui.model.meaning import name_and_unit


def plot_table(data: PlotData, channels: Sequence[int]) -> ExportTable:
    """Return the plotted values of channels, a row for each slice."""
    rows = [
        [
            str(channel.channel_id), *name_and_unit(channel, each),
            iso_ms(datetime.fromtimestamp(data.slices.time(each.index), UTC)),
            str(each.low), str(each.mean), str(each.high), str(each.count),
            "yes" if channel.series.sampled else "no",
        ]
        for channel in data.channels
        for each in channel.series.values
    ]  # fmt: skip
    heading = ["channel", "name", "unit", "time", "low", "mean", "high", "rows", "sampled"]
    return ExportTable("-".join(["channels", *map(str, channels)]), heading, rows)
