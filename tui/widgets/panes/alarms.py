"""The pane of a vehicle's alarms."""

from collections.abc import Hashable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from fleetsyncd.cells import cut
from fleetsyncd.database.views.vehicle import StoredAlarm
from tui.background import query
from tui.formatting import moment_text, time_text, took_text
from tui.model.export_table import ExportTable
from tui.widgets.keyed_table import KeyedTable
from tui.widgets.panes.pane import Pane
from tui.widgets.row_table import Fields, RowTable

HEADING = ("", "SINCE UTC", "LASTED", "SEVERITY", "CH", "MESSAGE")


class AlarmsPane(Pane):
    """The vehicle's alarms, open ones first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "details", "Details", priority=True, id="alarms.details"),
    ]
    alarms: tuple[StoredAlarm, ...] | None = None
    """None before the first read."""

    def compose(self) -> ComposeResult:
        """Lay out the table."""
        yield KeyedTable(HEADING)

    async def load(self) -> None:
        """Read the alarms and show them."""
        alarms = tuple(await query(lambda: self.context.gateway.alarms(self.vehicle_id)))
        table = self.query_one(KeyedTable)
        table.show_notice("no alarm of this vehicle is stored")
        if alarms != self.alarms:
            self.alarms = alarms
            table.show_rows(list(map(_key, alarms)), list(map(_cells, alarms)))

    def export_table(self) -> ExportTable:
        """Return the alarms."""
        header = ["alarm", "triggered", "resolved", "replaced", "severity", "channel", "message"]
        return ExportTable("alarms", header, [_exported(alarm) for alarm in self.alarms or ()])

    def action_details(self) -> None:
        """Show the alarm under the cursor in full."""
        row = self.cursor_row
        if self.alarms and row is not None:
            self.post_message(RowTable.Opened(_fields(self.alarms[row])))


def _exported(alarm: StoredAlarm) -> list[str]:
    times = (alarm.triggered_at, alarm.resolved_at, alarm.replaced_at)
    channel = "" if alarm.channel_id is None else str(alarm.channel_id)
    texts = (str(at or "") for at in times)
    return [str(alarm.alarm_id), *texts, alarm.severity, channel, alarm.message]


def _key(alarm: StoredAlarm) -> Hashable:
    """Return what tells an alarm from the others; a number that was used again is of several."""
    return alarm.alarm_id, alarm.replaced_at, alarm.triggered_at


def _cells(alarm: StoredAlarm) -> list[Text]:
    if alarm.replaced_at is not None:
        state = Text("↺ before", "dim")
    elif alarm.resolved_at is None:
        state = Text("▲ open", "bold red")
    else:
        state = Text("✔ over", "green")
    lasted = None
    if alarm.triggered_at is not None and alarm.resolved_at is not None:
        lasted = (alarm.resolved_at - alarm.triggered_at).total_seconds()
    return [
        state,
        Text(time_text(alarm.triggered_at)),
        Text(took_text(lasted), justify="right"),
        Text(cut(alarm.severity, 10)),
        Text("-" if alarm.channel_id is None else str(alarm.channel_id), justify="right"),
        Text(alarm.message),
    ]


def _fields(alarm: StoredAlarm) -> Fields:
    replaced = "" if alarm.replaced_at is None else moment_text(alarm.replaced_at)
    unresolved = "not known" if replaced else "still open"
    resolved = unresolved if alarm.resolved_at is None else moment_text(alarm.resolved_at)
    earlier = [("number used again", replaced)] if replaced else []
    return [
        ("alarm", str(alarm.alarm_id)),
        ("channel", "-" if alarm.channel_id is None else str(alarm.channel_id)),
        ("severity", alarm.severity or "-"),
        ("triggered", moment_text(alarm.triggered_at)),
        ("resolved", resolved),
        *earlier,
        ("message", alarm.message),
    ]
