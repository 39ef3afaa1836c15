"""An open alarm in words: the cells of its line, its details, its row of a file."""

from rich.text import Text

from fleetsyncd.cells import cut
from fleetsyncd.database.views.alarms import FleetAlarm
from fleetsyncd.text import age, is_ahead
from fleetsyncd.times import iso_ms
from tui.formatting import SEVERITY_STYLES, time_text
from tui.widgets.row_table import Fields

FRESH_SEC = 120.0
"""What a vehicle said less than this ago is taken to be true still."""


def channel_text(alarm: FleetAlarm) -> str:
    """Return the channel's number and name; a dash for an alarm of the whole vehicle."""
    if alarm.channel_id is None:
        return "-"
    return f"{alarm.channel_id} {alarm.channel_name}".rstrip()


def ahead_text(alarm: FleetAlarm) -> str:
    """Return how far the alarm lies ahead of the database's clock; empty if it does not."""
    if not is_ahead(alarm.age):
        return ""
    return f"triggered {age(-alarm.age)} ahead of the database's clock"


def as_of(alarm: FleetAlarm) -> str:
    """Return how old the knowledge is that the alarm is open; empty while it is fresh."""
    if alarm.known_age is None:
        return "?"
    return "" if alarm.known_age < FRESH_SEC else age(alarm.known_age)


def is_doubtful(alarm: FleetAlarm) -> bool:
    """Whether the alarm may be over: its vehicle has not been asked, or has not answered."""
    return alarm.paused or bool(as_of(alarm))


def severity_text(alarm: FleetAlarm) -> str:
    """Return glyph and name; a severity without a name has that of its rank."""
    style = SEVERITY_STYLES[alarm.rank]
    return f"{style.glyph} {alarm.severity or '-'}"


def cells(alarm: FleetAlarm, *, wide: bool, stale: bool) -> list[Text]:
    """Return the cells of an alarm's line; the message is not cut."""
    name, channel = (28, 28) if wide else (16, 14)
    doubt = "dim" if stale or is_doubtful(alarm) else ""
    colour = f"{doubt} {SEVERITY_STYLES[alarm.rank].colour}".strip()
    return [
        Text(cut(severity_text(alarm), 14 if wide else 10), colour),
        Text("ahead" if ahead_text(alarm) else age(alarm.age), doubt, justify="right"),
        Text("paused" if alarm.paused else as_of(alarm), doubt, justify="right"),
        Text(cut(alarm.vehicle_name, name), doubt),
        Text(cut(channel_text(alarm), channel), doubt),
        Text(alarm.message, doubt),
    ]


def fields(alarm: FleetAlarm) -> Fields:
    """Return an alarm in full."""
    known = "not known" if alarm.known_age is None else f"{age(alarm.known_age)} ago"
    doubt = ": the alarm may be over since" if is_doubtful(alarm) else ""
    paused = " (paused)" if alarm.paused else ""
    return [
        ("vehicle", f"{alarm.vehicle_name}{paused}"),
        ("alarm", str(alarm.alarm_id)),
        ("severity", alarm.severity or f"none, ranked as {SEVERITY_STYLES[alarm.rank].word}"),
        ("channel", channel_text(alarm)),
        ("triggered", f"{time_text(alarm.triggered_at)}, {_when(alarm)}"),
        ("as of", f"{known}{doubt}"),
        ("message", alarm.message),
    ]


def _when(alarm: FleetAlarm) -> str:
    return ahead_text(alarm).removeprefix("triggered ") or f"{age(alarm.age)} ago"


def export_row(alarm: FleetAlarm) -> list[str]:
    """Return an alarm's row of a file."""
    return [
        "" if alarm.triggered_at is None else iso_ms(alarm.triggered_at),
        alarm.vehicle_name,
        alarm.severity,
        "" if alarm.channel_id is None else str(alarm.channel_id),
        alarm.channel_name,
        alarm.message,
        str(alarm.alarm_id),
        "" if alarm.known_age is None else f"{alarm.known_age:.0f}",
        str(alarm.vehicle_id),
    ]
