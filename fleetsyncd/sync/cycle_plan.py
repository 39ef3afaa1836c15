"""What a cycle is to pull: which interval, by both clocks, and what operators are told of it.

Nothing is asked of the vehicle here: the answer to `/status` is all that is needed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.errors import BadAnswer
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.remarks import LEAVES_GAP
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.lateness import LatenessMeter
from fleetsyncd.sync.window import (
    LivePull,
    live_pull,
    pull_end,
    pull_interval,
    skipped_before,
    step_back,
)
from fleetsyncd.telemetry import Status
from fleetsyncd.text import age
from fleetsyncd.time_limits import CLOCK_TOLERANCE, LATEST_CLOCK, MAX_AHEAD
from fleetsyncd.times import utc_day, utc_span, utc_text


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the daemon's clock and the vehicle's say at the beginning of a cycle."""

    now: datetime
    """The daemon's."""
    oldest: datetime
    """Nothing is kept of the time before it."""
    skew: timedelta | None
    """The vehicle's clock minus the daemon's; None if it is not known."""


@dataclass(frozen=True, slots=True)
class CyclePlan:
    """What the answer to `/status` allows to be pulled."""

    live: LivePull
    meter: LatenessMeter
    gap_start: datetime
    """Where all that is missing begins: the start of `live` unless that leaves a gap."""
    stepped_back: bool
    """The vehicle's clock was set back since the last pull."""
    status: Status
    skew: timedelta | None
    skipped: Window | None
    """Before `live`, what was not pulled and cannot be any more."""
    notes: tuple[str, ...]
    """What operators are to be told of the clocks, and of what is not pulled."""

    @property
    def window(self) -> Window:
        """What this cycle asks for."""
        return self.live.window


def compare_clocks(vehicle: Vehicle, told: datetime | None, context: SyncContext) -> Clocks:
    """Return what the clocks say; `told` is the vehicle's, None if it does not tell.

    Raises BadAnswer if the vehicle's clock is out of all bounds.
    """
    now, oldest = context.now(), context.accepted_interval().start
    if told is not None and not oldest < told < LATEST_CLOCK:
        raise _unset_clock(told)
    # Without a `Date` header the skew of the last good pull is taken to be still true.
    return Clocks(now, oldest, told - now if told else vehicle.clock_skew)


def plan_pull(
    vehicle: Vehicle, status: Status, clocks: Clocks, context: SyncContext, *, awaits_proof: bool
) -> CyclePlan:
    """Return what a cycle is to pull. Raises BadAnswer if the vehicle's clock allows nothing.

    `awaits_proof`: another vehicle's machine may answer, which the history before what is live
    will show.
    """
    skew = clocks.skew or timedelta(0)
    end = pull_end(clocks.now, clocks.now + skew)
    if end <= clocks.oldest:  # by a skew that was true once, without a `Date` header to correct it
        raise _unset_clock(end)
    whole = pull_interval(
        vehicle,
        end,
        skew,
        pull_window=context.own_pull_window(vehicle),
        pull_overlap=context.pull_overlap,
        oldest=clocks.oldest,
    )
    live_window = None if awaits_proof else context.own_live_window(vehicle)
    live = live_pull(
        vehicle, whole, skew, pull_overlap=context.pull_overlap, live_window=live_window
    )
    stepped_back = step_back(vehicle, skew) < timedelta(0)
    meter = LatenessMeter(vehicle, live, context.pull_overlap)
    is_renamed = status.id_hint not in (None, vehicle.id_hint, vehicle.other_hint)
    if awaits_proof or is_renamed or stepped_back:
        meter.stop()
    skipped = None if live.leaves_gap else skipped_before(vehicle, whole)
    return CyclePlan(
        live=live,
        meter=meter,
        gap_start=whole.start,
        stepped_back=stepped_back,
        status=status,
        skew=clocks.skew,
        skipped=skipped,
        notes=(
            *_clock_notes(vehicle, clocks),
            *_gap_notes(vehicle, live),
            *_skipped_notes(skipped, clocks.oldest),
        ),
    )


def _unset_clock(clock: datetime) -> BadAnswer:
    return BadAnswer("/status", f"the vehicle's clock says {utc_text(clock)}: set it")


def _clock_notes(vehicle: Vehicle, clocks: Clocks) -> list[str]:
    """Note clocks that are ahead."""
    notes = []
    if clocks.skew is not None and clocks.skew > MAX_AHEAD:
        ahead = age(clocks.skew.total_seconds())
        notes.append(f"the vehicle's clock is {ahead} ahead: set it")
    if vehicle.watermark is not None and vehicle.watermark > clocks.now + CLOCK_TOLERANCE:
        moment = utc_text(vehicle.watermark)
        notes.append(f"last_sync_at {moment} is ahead of this host's clock: check both")
    return notes


def _gap_notes(vehicle: Vehicle, live: LivePull) -> list[str]:
    """Note that a gap begins, once."""
    known = vehicle.live_to
    if not live.leaves_gap or known is None or live.window.start <= known:
        return []
    span = utc_span(known, live.window.start)
    return [f"gap of {span}: {LEAVES_GAP}"]


def _skipped_notes(skipped: Window | None, oldest: datetime) -> list[str]:
    """Note what is older than all that is kept."""
    if skipped is None:
        return []
    span = utc_span(skipped.start, skipped.end)
    return [f"not pulled: {span}, before {utc_day(oldest)} nothing is kept"]
