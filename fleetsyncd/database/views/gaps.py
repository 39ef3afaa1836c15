"""What is missing of each vehicle, and how far its gap or backfill is: the SQL and its values."""

from datetime import UTC, datetime

from msgspec import Struct

from fleetsyncd.database.views.sql_times import elapsed, epoch, from_epoch, seconds_between
from fleetsyncd.loss_forecast import forecast_loss
from fleetsyncd.models import HistoryLook, Window
from fleetsyncd.states import GapOverview, GapProgress
from fleetsyncd.text import sanitise

_ERROR_LIMIT = 300


def gap_array(start: str, end: str, reached: str, seconds: str, rows: str) -> str:
    """Return SQL for a Gap, or null where there is none."""
    parts = f"{seconds_between(start, end)}, {seconds_between(start, reached)}, {seconds}, {rows}"
    return f"CASE WHEN {start} IS NOT NULL THEN json_build_array({parts}) END"


HOLES = f"""CASE WHEN s.islands <> '{{}}' AND isfinite(v.last_sync_at)
        AND upper(s.islands) > v.last_sync_at THEN
    json_build_array({epoch("v.last_sync_at")},
        (SELECT {epoch("max(lower(r))")} FROM unnest(s.islands) r),
        {elapsed("v.last_sync_at")} - {elapsed("upper(s.islands)")} - (
            SELECT sum({elapsed("greatest(lower(r), v.last_sync_at)")} - {elapsed("upper(r)")})
            FROM unnest(s.islands) r WHERE upper(r) > v.last_sync_at),
        left(s.gap_error, {_ERROR_LIMIT}), {epoch("s.history_from")}, {epoch("s.history_at")},
        s.history_pace, s.gap_pace, {epoch("now()")}) END"""  # noqa: S608  made of this project's own text
"""SQL for a Holes, or null where nothing is missing."""


class Gap(Struct, array_like=True, gc=False):
    """A gap or backfill: its length, the part that is done and the time taken, in seconds."""

    length_sec: float | None
    done_sec: float | None
    busy_sec: float | None
    rows: int | None


class Holes(Struct, array_like=True, gc=False):
    """What is missing before what is live; times in seconds since 1970."""

    start: float | None
    end: float | None
    missing: float | None
    error: str | None
    history_from: float | None
    history_at: float | None
    history_pace: float | None
    gap_pace: float | None
    now: float


def gap_overview(holes: Holes) -> GapOverview | None:
    """Return what is missing; None if another service wrote times that nothing can be said of."""
    start, end = from_epoch(holes.start), from_epoch(holes.end)
    if start is None or end is None or holes.missing is None:
        return None
    loss = forecast_loss(_look(holes, start), Window(start, max(start, end)), _time(holes.now))
    return GapOverview(
        from_at=start,
        to_at=end,
        missing_sec=max(0.0, holes.missing),
        error=None if holes.error is None else sanitise(holes.error, _ERROR_LIMIT),
        loses_from=None if loss is None else loss.loses_from,
        loses_in_sec=None if loss is None else loss.in_sec,
    )


def _look(holes: Holes, watermark: datetime) -> HistoryLook | None:
    begins, at = from_epoch(holes.history_from), from_epoch(holes.history_at)
    if begins is None or at is None:
        return None
    return HistoryLook(begins, at, watermark, holes.history_pace, holes.gap_pace)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def progress(gap: Gap, holes: Holes | None = None) -> GapProgress | None:
    """Return how far it is; what is missing is the length of all its parts together."""
    if not gap.length_sec or gap.done_sec is None:
        return None
    done = max(0.0, gap.done_sec)
    missing = None if holes is None else holes.missing
    length = gap.length_sec if missing is None else done + max(0.0, missing)
    fraction = min(1.0, done / length) if length else 1.0
    if not gap.busy_sec or fraction == 0:
        return GapProgress(fraction, None, None)
    return GapProgress(
        fraction, (gap.rows or 0) / gap.busy_sec, gap.busy_sec * (1 - fraction) / fraction
    )
