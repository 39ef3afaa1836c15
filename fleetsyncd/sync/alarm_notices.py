"""What operators are told of a vehicle's alarms: a notice for all that an answer brought. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from fleetsyncd.models import Alarm, Vehicle
from fleetsyncd.notices import (
    Notice,
    NoticeKind,
    Subject,
    Weight,
    beginning,
    name_in_title,
)
from fleetsyncd.severities import KNOWN_NAMES, UNKNOWN, Severity
from fleetsyncd.text import counted
from fleetsyncd.times import utc_text

MOST_NAMED = 5
"""Alarms that one notice names."""
MESSAGE_LIMIT = 120
"""Characters of an alarm's text where several are listed."""
MESSAGE_IN_TITLE, SEVERITY_IN_TITLE = 80, 20
OLD = timedelta(hours=1)
"""An alarm that was over so long before it was met is none that anybody must hear of."""


def is_told(alarm: Alarm, least: Severity) -> bool:
    """Tell whether an alarm is grave enough to be told of."""
    return _severity(alarm) >= least


def alarm_notices(
    vehicle: Vehicle, begun: Sequence[Alarm], resolved: Sequence[Alarm], now: datetime
) -> Iterator[Notice]:
    """Yield what is told of alarms that are new, and of those that are resolved now."""
    fresh = [each for each in begun if each.resolved_at is None or each.resolved_at > now - OLD]
    for alarms, what in ((fresh, "alarm"), (resolved, "resolved alarm")):
        if alarms:
            yield _notice(vehicle, alarms, what, is_over=alarms is resolved)


def _notice(vehicle: Vehicle, alarms: Sequence[Alarm], what: str, *, is_over: bool) -> Notice:
    ordered = sorted(alarms, key=lambda each: (-_severity(each), each.triggered_at))
    worst = ordered[0]
    grave = Weight.CRITICAL if _severity(worst) >= Severity.ALARM else Weight.WARNING
    name = name_in_title(vehicle.name)
    message = beginning(_message(worst), MESSAGE_IN_TITLE)
    said = f"{beginning(worst.severity or 'alarm', SEVERITY_IN_TITLE)}: {message}"
    over = " (resolved)" if is_over else ""
    if len(ordered) == 1:
        title = f"{name}, {said}{over}"
        whole = "" if message == _message(worst) else f": {_message(worst)}"
        detail = f"{_when(worst)}{whole}"
    else:
        title = f"{name}: {counted(len(ordered), what)}, the worst {said}"
        detail = "; ".join(
            f"{beginning(_message(each), MESSAGE_LIMIT)}, {_when(each)}"
            for each in ordered[:MOST_NAMED]
        )
        if (others := len(ordered) - MOST_NAMED) > 0:
            detail += f"; and {others:,} more"
    subject = Subject(vehicle.id, vehicle.name)
    return Notice(NoticeKind.ALARM, Weight.INFO if is_over else grave, title, detail, subject)


def _severity(alarm: Alarm) -> Severity:
    return KNOWN_NAMES.get((alarm.severity or "").lower(), UNKNOWN)


def _message(alarm: Alarm) -> str:
    return alarm.message or f"alarm {alarm.alarm_id}"


def _when(alarm: Alarm) -> str:
    if alarm.resolved_at is None:
        return f"since {utc_text(alarm.triggered_at)}"
    return f"{utc_text(alarm.triggered_at)} to {utc_text(alarm.resolved_at)}"
