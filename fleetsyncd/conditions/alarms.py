"""What operators are told of a vehicle's alarms: a notice for all that an answer brought. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from fleetsyncd.notices import Notice, NoticeKind, Subject, Weight, beginning, name_in_title
from fleetsyncd.severities import KNOWN_NAMES, UNKNOWN, Severity
from fleetsyncd.telemetry import Alarm
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


def are_fresh(alarms: Sequence[Alarm], now: datetime) -> list[Alarm]:
    """Return those of the alarms that are open, or were a short while ago."""
    return [each for each in alarms if each.resolved_at is None or each.resolved_at > now - OLD]


def chatter_notice(vehicle: Subject, withheld: Sequence[Alarm], within_hour: int) -> Notice:
    """Return what is told, once an hour, of alarms that come and go."""
    worst = _by_gravity(withheld)[0]
    return Notice(
        NoticeKind.ALARM,
        _weight(worst),
        f"{name_in_title(vehicle.name)}: its alarms come and go ({within_hour:,} within an hour),"
        f" {_said(worst)}",
        "Alarms that were told within the last hour are not told again before they have been open"
        " for an hour; others are.",
        vehicle,
    )


def alarm_notices(
    vehicle: Subject, begun: Sequence[Alarm], resolved: Sequence[Alarm]
) -> Iterator[Notice]:
    """Yield what is told of alarms that are new, and of those that are resolved now."""
    for alarms, what in ((begun, "alarm"), (resolved, "resolved alarm")):
        if alarms:
            yield _notice(vehicle, alarms, what, is_over=alarms is resolved)


def _notice(vehicle: Subject, alarms: Sequence[Alarm], what: str, *, is_over: bool) -> Notice:
    ordered = _by_gravity(alarms)
    worst = ordered[0]
    said, name = _said(worst), name_in_title(vehicle.name)
    over = " (resolved)" if is_over else ""
    if len(ordered) == 1:
        title = f"{name}, {said}{over}"
        is_whole = len(_message(worst)) <= MESSAGE_IN_TITLE
        detail = _when(worst) if is_whole else f"{_when(worst)}: {_message(worst)}"
    else:
        title = f"{name}: {counted(len(ordered), what)}, the worst {said}"
        detail = "; ".join(
            f"{beginning(_message(each), MESSAGE_LIMIT)}, {_when(each)}"
            for each in ordered[:MOST_NAMED]
        )
        if (others := len(ordered) - MOST_NAMED) > 0:
            detail += f"; and {others:,} more"
    weight = Weight.INFO if is_over else _weight(worst)
    return Notice(NoticeKind.ALARM, weight, title, detail, vehicle)


def _by_gravity(alarms: Sequence[Alarm]) -> list[Alarm]:
    return sorted(alarms, key=lambda each: (-_severity(each), each.triggered_at))


def _weight(alarm: Alarm) -> Weight:
    return Weight.CRITICAL if _severity(alarm) >= Severity.ALARM else Weight.WARNING


def _said(alarm: Alarm) -> str:
    severity = beginning(alarm.severity or "alarm", SEVERITY_IN_TITLE)
    return f"{severity}: {beginning(_message(alarm), MESSAGE_IN_TITLE)}"


def _severity(alarm: Alarm) -> Severity:
    return KNOWN_NAMES.get((alarm.severity or "").lower(), UNKNOWN)


def _message(alarm: Alarm) -> str:
    return alarm.message or f"alarm {alarm.alarm_id}"


def _when(alarm: Alarm) -> str:
    if alarm.resolved_at is None:
        return f"since {utc_text(alarm.triggered_at)}"
    return f"{utc_text(alarm.triggered_at)} to {utc_text(alarm.resolved_at)}"
