"""The dashboards, and the queries that Grafana makes of them."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.acceptance.command_lines import ROOT

OPS = ROOT / "fleetsyncd" / "ops"
Panel = dict[str, Any]
_MINUTE, _HOUR = 60, 3_600
_STEPS_SEC = (
    *(1, 2, 5, 10, 15, 20, 30, 60),
    *(2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 20 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, 24 * _HOUR),
)
"""Grafana rounds the time between two points to the nearest of these."""
_WIDTH = 800
"""Points of a panel that sets no number: its width on a usual screen."""
_SCRAPE_SEC = 15
"""What Grafana takes for the scrape interval of a panel that sets none."""


def board(name: str) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads((OPS / f"grafana-{name}.json").read_text())
    return dashboard


def panels(name: str) -> list[Panel]:
    found: list[Panel] = board(name)["panels"]
    return found


@dataclass(frozen=True, slots=True)
class TimeRange:
    """What a dashboard shows."""

    start: datetime
    end: datetime

    @classmethod
    def last(cls, length: timedelta) -> "TimeRange":
        now = datetime.now(UTC)
        return cls(now - length, now)

    def step_sec(self, panel: Panel) -> int:
        """Return the time between two points of a panel."""
        ideal = (self.end - self.start).total_seconds() / panel.get("maxDataPoints", _WIDTH)
        step = min(_STEPS_SEC, key=lambda each: abs(each - ideal))
        return max(step, _seconds(panel.get("interval", "1s")))


def sql(panel: Panel, shown: TimeRange, vehicle: str = "", channel: str = "") -> str:
    """Return the query of a panel of PostgreSQL."""
    start, end = (f"'{time.isoformat()}'" for time in (shown.start, shown.end))
    step_sec = shown.step_sec(panel)
    query = re.sub(
        r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN {start} AND {end}", _target(panel)["rawSql"]
    )
    for macro, value in (
        ("$__unixEpochFrom()", int(shown.start.timestamp())),
        ("$__unixEpochTo()", int(shown.end.timestamp())),
        ("$__interval_ms", step_sec * 1_000),
        ("$vehicle", vehicle),
        ("$channel", channel),
    ):
        query = query.replace(macro, str(value))
    assert "$" not in query
    return query


def promql(panel: Panel, shown: TimeRange, vehicle: str = ".*") -> str:
    """Return the query of a panel of Prometheus."""
    scrape_sec = _seconds(panel["interval"]) if "interval" in panel else _SCRAPE_SEC
    rate_sec = max(shown.step_sec(panel) + scrape_sec, 4 * scrape_sec)
    query: str = _target(panel)["expr"].replace("$vehicle", vehicle)
    query = query.replace("$__rate_interval", f"{rate_sec}s")
    assert "$" not in query
    return query


def _target(panel: Panel) -> dict[str, Any]:
    (target,) = panel["targets"]
    assert isinstance(target, dict)
    return target


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": _MINUTE, "h": _HOUR}[text[-1]]
