"""The text of a cycle's log lines; pure functions."""

import logging
from collections.abc import Iterable

from fleetsyncd.reports import CycleReport, Outcome, Progress
from fleetsyncd.times import utc_text

NAMED = 5
"""Vehicles that a summary names before it counts the rest."""


def report_line(report: CycleReport) -> tuple[int, str]:
    """Return the level and text of a report's log line; changes of a vehicle's status stand out."""
    name = f"[{report.vehicle.name}]"
    if report.outcome is not Outcome.OK:
        return _failure_line(report, f"{name} {_reason(report)}")
    wrote = f"wrote {report.rows_written} measurements  window={_window_seconds(report)}"
    notes = f"  {report.error_msg}" if report.error_msg else ""
    level = logging.WARNING if notes else logging.INFO
    if report.vehicle.status == Outcome.OK or report.status is None:
        return level, f"{name} {wrote}{notes}"
    again = f" again after {report.vehicle.failures} failed cycle(s)"
    online = f"online{again if report.vehicle.failures else ''}"
    facts = f"sw={report.status.software_version or '?'}  db_ok={report.status.db_ok}"
    return level, f"{name} {online}  {facts}  {wrote}{notes}"


def _failure_line(report: CycleReport, text: str) -> tuple[int, str]:
    if report.stopped:
        return logging.INFO, text
    if report.vehicle.status == report.outcome and report.failures > 1:
        return logging.INFO, f"{text} ({report.failures} in a row)"
    return logging.WARNING, text


def _reason(report: CycleReport) -> str:
    text = report.error_msg or "no reason known"
    if report.outcome is Outcome.TIMEOUT:
        call, _, detail = text.partition(": ")
        return f"timeout on {call}: {detail}"
    return text if report.stopped else f"error on {text}"


def _window_seconds(report: CycleReport) -> str:
    return "0s" if report.interval is None else f"{report.interval.length.total_seconds():.0f}s"


def busy_vehicles(runs: Iterable[tuple[str, Progress | None]]) -> str:
    """Name the vehicles that are still busy when a cycle ends, with their gaps' progress."""
    named = [
        name if gap is None else f"{name} {int(100 * gap.fraction)}% to {utc_text(gap.at)}"
        for name, gap in sorted(runs, key=lambda run: run[0])
    ]
    rest = len(named) - NAMED
    return ", ".join(named[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
