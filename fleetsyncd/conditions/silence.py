"""Which vehicles are silent: each by itself, or all of them in an outage of this side."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

from fleetsyncd.conditions.model import ANSWERING, Condition, Facts, Key, Known, Terms, subject_of
from fleetsyncd.notices import NoticeKind, Weight, beginning, name_in_title
from fleetsyncd.states import OUTAGE_FROM, State, VehicleOverview
from fleetsyncd.text import age, counted
from fleetsyncd.times import utc_text

LAST_CYCLE_SEC = 60.0
"""By so much the vehicles of one cycle are pulled one after the other, beside the interval."""
_FAILING = (State.TIMEOUT, State.ERROR)


def silence(facts: Facts, terms: Terms, known: Mapping[Key, Known]) -> Iterator[Condition]:
    """Yield the outage of all, or else the vehicles that are down.

    While nobody answers, and for a while after that, a single vehicle is not told of: all come back
    one after the other.
    """
    active = [each for each in facts.fleet if each.state is not State.PAUSED]
    failing = [each for each in active if each.state in _FAILING]
    outage = known.get((NoticeKind.OUTAGE, ""))
    away = {each.id: _away(each, facts) for each in failing}
    last_cycle = last_cycle_sec(active)
    heard = _asked(active, away, min(away.values(), default=inf) - last_cycle)
    nobody_answers = len(failing) == len(heard) >= OUTAGE_FROM
    is_out = nobody_answers and min(away.values()) >= terms.after.total_seconds()
    if outage is not None and outage.ended_at is None:
        lasts_sec = (facts.now - outage.since).total_seconds()
        asked = _asked(active, away, lasts_sec - last_cycle)
        is_out = is_out or not _most_answer(asked, terms)
    if is_out:
        yield _outage(failing, len(active), away, facts.now)
    ended_at = None if outage is None else outage.ended_at or facts.now
    is_just_over = ended_at is not None and ended_at > facts.now - terms.after
    quiet = nobody_answers or is_out or is_just_over
    for vehicle in failing:
        key = NoticeKind.DOWN, str(vehicle.id)
        was_down = key in known and known[key].ended_at is None
        if was_down and quiet and known[key].told_at is None:
            continue
        if was_down or (not quiet and away[vehicle.id] >= terms.after_sec(vehicle)):
            yield _down(vehicle, away[vehicle.id], facts.now)


def _asked(
    active: Sequence[VehicleOverview], failing: Container[UUID], within_sec: float
) -> list[VehicleOverview]:
    """Return those that fail, and those that answer and were asked within this time."""
    return [each for each in active if each.id in failing or was_asked(each, within_sec)]


def was_asked(vehicle: VehicleOverview, within_sec: float) -> bool:
    """Tell whether a vehicle that answers was asked within this time; its interval may be long."""
    if vehicle.own_interval_sec is None or vehicle.seen_age is None:
        return True
    return vehicle.seen_age < within_sec


def last_cycle_sec(vehicles: Sequence[VehicleOverview]) -> float:
    """Return by how much a vehicle may be seen after others of the last cycle that was good."""
    return LAST_CYCLE_SEC + min(filter(None, (each.interval_sec for each in vehicles)), default=0.0)


def _most_answer(asked: Sequence[VehicleOverview], terms: Terms) -> bool:
    """Tell whether an outage is over: half of those asked answer, or some have for long."""
    answering = [each for each in asked if each.state in ANSWERING]
    if 2 * len(answering) >= len(asked):
        return True
    longest = max((each.state_age or 0.0 for each in answering), default=0.0)
    return longest >= terms.after.total_seconds()


def _away(vehicle: VehicleOverview, facts: Facts) -> float:
    """Return for how many seconds a vehicle that fails has had no good cycle.

    What it has sent is as old, by its clock, unless it was paused meanwhile.
    """
    begun = facts.begun.get(vehicle.id, inf)
    if vehicle.lag is None:
        return begun if begun < inf else vehicle.state_age or 0.0
    lag = vehicle.lag + facts.skews.get(vehicle.id, 0.0)
    return min(begun, max(lag, vehicle.state_age or 0.0))


def _outage(
    failing: Sequence[VehicleOverview], active: int, away: Mapping[UUID, float], now: datetime
) -> Condition:
    since = now - timedelta(seconds=min(away.values(), default=0.0))
    reasons = Counter(each.last_error or each.state.value for each in failing)
    most = reasons.most_common(1)[0][0] if reasons else ""
    return Condition(
        NoticeKind.OUTAGE,
        "",
        Weight.CRITICAL,
        since,
        f"{len(failing)} of {counted(active, 'vehicle')} cannot be pulled since {utc_text(since)}",
        f"Look at this side's network and VPN first. Most often: {most}",
        vehicles=frozenset(away),
    )


def _down(vehicle: VehicleOverview, away: float, now: datetime) -> Condition:
    reason = vehicle.last_error or vehicle.state.value
    name, title_reason = name_in_title(vehicle.name), beginning(reason)
    detail = f"{vehicle.address}; `fleetsyncd vehicle test {vehicle.id}` says more."
    if title_reason != reason:
        detail += f" The whole reason: {reason}"
    return Condition(
        NoticeKind.DOWN,
        str(vehicle.id),
        Weight.CRITICAL,
        now - timedelta(seconds=away),
        f"{name} has not been pulled for {age(away)}: {title_reason}",
        detail,
        subject_of(vehicle),
    )
