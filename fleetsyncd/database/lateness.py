"""Columns of `vehicle_state` that tell how late a vehicle commits: their SQL and their values."""

from datetime import datetime, timedelta

from fleetsyncd.lateness import LONGEST_OVERLAP, Lateness, LatenessUpdate, overlap_for

MILLISECOND = timedelta(milliseconds=1)
SELECTED = """
s.late_ms, s.overlap_ms, s.overlap_since, coalesce(s.newest_row_at, s.newest_measurement_at)
"""
COLUMNS = "late_ms, overlap_ms, overlap_since, suspect_from, newest_row_at"
VALUES = "%(late_ms)s, %(overlap_ms)s, %(overlap_since)s, %(suspect_from)s, %(newest_row)s"
# What others have learned since the cycle read it must not be forgotten.
_KEPT = "(s.late_ms, s.overlap_ms) IS NOT DISTINCT FROM (%(known_late_ms)s, %(known_overlap_ms)s)"
UPDATED = f"""
    late_ms = CASE WHEN {_KEPT} THEN excluded.late_ms
                   ELSE greatest(s.late_ms, excluded.late_ms) END,
    overlap_ms = CASE WHEN {_KEPT} THEN excluded.overlap_ms
                      ELSE greatest(s.overlap_ms, excluded.overlap_ms) END,
    overlap_since = coalesce(excluded.overlap_since, s.overlap_since),
    suspect_from = least(s.suspect_from, excluded.suspect_from),
    newest_row_at = greatest(s.newest_row_at, excluded.newest_row_at)
"""
"""Sets columns of `s`, a row of vehicle_state, where one was inserted in vain."""
LEARN = """
UPDATE fleetsync.vehicle_state SET late_ms = greatest(late_ms, %(late_ms)s),
    overlap_ms = greatest(overlap_ms, %(overlap_ms)s)
WHERE vehicle_id = %(id)s::uuid
"""


def update_values(update: LatenessUpdate) -> dict[str, int | datetime | None]:
    """Return what a window changes as arguments of a statement."""
    return {
        "known_late_ms": _milliseconds(update.known.late),
        "known_overlap_ms": _milliseconds(update.known.overlap),
        "late_ms": _milliseconds(update.now.late),
        "overlap_ms": _milliseconds(update.now.overlap),
        "overlap_since": update.now.since,
        "suspect_from": update.suspect_from,
        "newest_row": update.now.newest,
    }


def learned_values(late: timedelta) -> dict[str, int | None]:
    """Return a lateness that was found and its overlap as arguments of a statement."""
    return {
        "late_ms": _milliseconds(min(late, LONGEST_OVERLAP)),
        "overlap_ms": _milliseconds(overlap_for(late)),
    }


def from_row(
    late_ms: int | None, overlap_ms: int | None, since: datetime | None, newest: datetime | None
) -> Lateness:
    """Return what the columns hold."""
    return Lateness(_length(late_ms), _length(overlap_ms), since, newest)


def _milliseconds(length: timedelta | None) -> int | None:
    """Return whole milliseconds, rounded down: what decays must come to an end."""
    return None if length is None else length // MILLISECOND


def _length(milliseconds: int | None) -> timedelta | None:
    return None if milliseconds is None else milliseconds * MILLISECOND
