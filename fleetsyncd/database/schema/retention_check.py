"""Doctor's check of what retention is going to delete."""

from collections.abc import Iterator
from datetime import datetime

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.views.retention import Announcement, Forecast, forecast
from fleetsyncd.findings import Finding, ok, warning
from fleetsyncd.times import utc_text

CHECK = "retention"


def check_retention(policy: RetentionPolicy, now: datetime, cursor: Cursor) -> Iterator[Finding]:
    """Yield a warning for all that is deleted beyond what expires in its turn."""
    forecasts = forecast(cursor, policy, now)
    findings = [_unusual(each) for each in forecasts if each.is_unusual]
    findings += [_elsewhere(each, each.elsewhere) for each in forecasts if each.elsewhere]
    yield from findings or [ok(CHECK, "nothing is deleted but what expires in its turn")]


def _unusual(each: Forecast) -> Finding:
    return warning(
        CHECK,
        f"{each.setting} deletes {each.extent}, {each.when}",
        f"raise {each.kind.setting} to keep them; if they are to go, wait, or run"
        " `fleetsyncd retention --apply`",
    )


def _elsewhere(each: Forecast, announced: Announcement) -> Finding:
    return warning(
        CHECK,
        f"a daemon with {announced.setting} deletes {announced.extent}, after"
        f" {utc_text(announced.due_at)}; here it is {each.keep or 0}",
        f"set {each.kind.setting} alike here and for every daemon",
    )
