"""What of a gap will be lost, because the vehicle drops its oldest rows while the gap is pulled.

Pure functions. A vehicle that lies about its history changes its own forecast only.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.models import HistoryLook, Window

USUAL_PACE = 1.0
"""A vehicle with full storage drops a second of its history in each second."""
MOST_PACE = 10.0
"""History that is dropped a day at a time does not go on at the pace of that moment."""
NEW_SHARE = 0.5
"""The share of the newest two looks in the paces that are kept."""
NEAR_SEC = 86_400.0
"""A loss that is nearer is told; `alerts.yaml` has the same number."""
LEAST_PACE = 1e-6
"""A second in eleven days: what is slower stands still. A pace that is halved again and again would
else become so small that what is divided by it is infinite."""
LEAST_BETWEEN = timedelta(seconds=1)
"""Two looks within less tell no pace."""


@dataclass(frozen=True, slots=True)
class LossForecast:
    """From where on a vehicle will have dropped what it is asked for, and in how many seconds."""

    loses_from: datetime
    in_sec: float
    """0 if that has begun."""


def next_look(
    known: HistoryLook | None, begins: datetime, watermark: datetime, at: datetime
) -> HistoryLook:
    """Return a new look at where a vehicle's history begins, with the paces since the known one.

    A gap that stood still since the very first look tells no pace: perhaps it was not pulled. One
    that stands still from then on has the pace 0.
    """
    if known is None:
        return HistoryLook(begins, at, watermark)
    elapsed = at - known.at
    if elapsed < LEAST_BETWEEN:
        return HistoryLook(begins, at, watermark, known.history_pace, known.gap_pace)
    history_pace = _smoothed(known.history_pace, min((begins - known.begins) / elapsed, MOST_PACE))
    if known.history_pace is None and watermark <= known.watermark:
        return HistoryLook(begins, at, watermark, history_pace)
    gap_pace = _smoothed(known.gap_pace, (watermark - known.watermark) / elapsed)
    return HistoryLook(begins, at, watermark, history_pace, gap_pace)


def forecast_loss(look: HistoryLook | None, gap: Window, now: datetime) -> LossForecast | None:
    """Return what of a gap will be lost at the present pace; None if nothing will, as far as known.

    `gap` is all that is missing: from the watermark to the end of its last part.
    """
    if look is None:
        return None
    dropping = USUAL_PACE if look.history_pace is None else _settled(look.history_pace)
    begins = look.begins + max(timedelta(0), now - look.at) * dropping
    if begins >= gap.start:
        return LossForecast(gap.start, 0.0)
    pulling = None if look.gap_pace is None else _settled(look.gap_pace)
    if pulling is None or pulling >= dropping:
        return None
    meets_in = (gap.start - begins).total_seconds() / (dropping - pulling)
    pulled_before = meets_in * pulling
    if pulled_before >= gap.length.total_seconds():
        return None
    return LossForecast(gap.start + timedelta(seconds=pulled_before), meets_in)


def _smoothed(known: float | None, new: float) -> float:
    new = max(0.0, new)
    return _settled(new if known is None else known + NEW_SHARE * (new - known))


def _settled(pace: float) -> float:
    return pace if pace >= LEAST_PACE else 0.0
