"""Which conditions are the case, by the facts of one moment."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

from fleetsyncd.conditions.model import (
    ANSWERING,
    DISK,
    Condition,
    Daemon,
    Facts,
    Key,
    Known,
    Terms,
    subject_of,
)
from fleetsyncd.notices import NoticeKind, Weight, beginning, name_in_title
from fleetsyncd.states import OUTAGE_FROM, State, VehicleOverview
from fleetsyncd.text import age, counted
from fleetsyncd.times import utc_day, utc_text

CLOCK_OFF_SEC, CLOCK_RIGHT_SEC = 120.0, 60.0
"""From which on a clock is told to be wrong, and up to which it is right again."""
QUARANTINE_STEP = 1_000
"""Rows by which the quarantine has to grow before it is told of."""
DAEMON_DEAD_SEC = 60.0
LAST_CYCLE_SEC = 60.0
"""By so much the vehicles of one cycle are pulled one after the other, beside the interval."""
FULL_WITHIN = timedelta(days=14)
_FAILING = (State.TIMEOUT, State.ERROR)


def present_conditions(
    facts: Facts, terms: Terms, known: Mapping[Key, Known]
) -> Iterator[Condition]:
    """Yield everything that is the case; who has had no time to be heard of is not silent."""
    for condition in (*_silence(facts, terms, known), *_of_daemons(facts)):
        before = known.get(condition.key)
        if facts.is_settled or (before is not None and before.ended_at is None):
            yield condition
    yield from _of_vehicles(facts, known)
    yield from _of_storage(facts)


def _silence(facts: Facts, terms: Terms, known: Mapping[Key, Known]) -> Iterator[Condition]:
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


def _of_vehicles(facts: Facts, known: Mapping[Key, Known]) -> Iterator[Condition]:
    """Yield what is wrong with single vehicles that answer."""
    for vehicle in facts.fleet:
        if vehicle.state is State.PAUSED:
            continue
        subject, name = subject_of(vehicle), name_in_title(vehicle.name)
        if vehicle.gap is not None and vehicle.gap.loses_from is not None:
            yield Condition(
                NoticeKind.LOSS,
                str(vehicle.id),
                Weight.CRITICAL,
                facts.now,
                f"{name} loses data from {utc_text(vehicle.gap.loses_from)} on",
                "It drops its oldest measurements before they are pulled: give it a better link, or"
                " raise CATCH_UP_CONCURRENCY.",
                subject,
            )
        if found := facts.found.get(vehicle.id, 0):
            yield Condition(
                NoticeKind.AUDIT,
                str(vehicle.id),
                Weight.WARNING,
                facts.now,
                f"{_escaped(name)}: {{more}} rows were missing, or differ from what is stored",
                "Missing ones were stored; `fleetsyncd audit` compares a whole interval.",
                subject,
                found,
            )
        yield from _clock(vehicle, facts, known)


def _clock(
    vehicle: VehicleOverview, facts: Facts, known: Mapping[Key, Known]
) -> Iterator[Condition]:
    skew = facts.skews.get(vehicle.id, 0.0)
    before = known.get((NoticeKind.CLOCK, str(vehicle.id)))
    is_off = before is not None and before.ended_at is None
    if abs(skew) >= (CLOCK_RIGHT_SEC if is_off else CLOCK_OFF_SEC):
        where = "ahead" if skew > 0 else "behind"
        yield Condition(
            NoticeKind.CLOCK,
            str(vehicle.id),
            Weight.WARNING,
            facts.now,
            f"{name_in_title(vehicle.name)}: its clock is {age(abs(skew))} {where}",
            "Its measurements are stored with the times that it gives them.",
            subject_of(vehicle),
        )


def _of_storage(facts: Facts) -> Iterator[Condition]:
    if facts.quarantined >= QUARANTINE_STEP:
        yield Condition(
            NoticeKind.STORAGE,
            "quarantine",
            Weight.WARNING,
            facts.now,
            "{more} more rows were refused by the database and are in the quarantine",
            "`fleetsyncd quarantine list` says why.",
            amount=facts.quarantined // QUARANTINE_STEP * QUARANTINE_STEP,
        )
    if facts.full_at is not None and facts.full_at <= facts.now + FULL_WITHIN:
        yield Condition(
            NoticeKind.STORAGE,
            DISK,
            Weight.CRITICAL,
            facts.now,
            f"the database's disk is full on {utc_day(facts.full_at)} at this pace",
            "`fleetsyncd storage` shows what takes how much.",
        )


def _of_daemons(facts: Facts) -> Iterator[Condition]:
    """Yield the daemons that have died, each name once."""
    dead: dict[str, Daemon] = {}
    for daemon in sorted(_dead(facts.daemons), key=lambda each: each.silent_sec):
        # Of its predecessors' heartbeats, which are listed too, none says when it has died.
        dead.setdefault(daemon.name, daemon)
    for daemon in dead.values():
        yield Condition(
            NoticeKind.DAEMON,
            daemon.name,
            Weight.CRITICAL,
            facts.now - timedelta(seconds=daemon.silent_sec),
            f"the daemon {name_in_title(daemon.name)} has been silent for {age(daemon.silent_sec)}",
            f"Read its log on {daemon.host}. Others pull its vehicles.",
        )


def _dead(daemons: Sequence[Daemon]) -> Iterator[Daemon]:
    """Yield the daemons that are silent: one that another one has replaced is none of them."""
    for daemon in daemons:
        if daemon.silent_sec >= DAEMON_DEAD_SEC and not any(
            replaces(other, daemon)
            for other in daemons
            if other.silent_sec < DAEMON_DEAD_SEC and other.running_sec <= daemon.silent_sec
        ):
            yield daemon


def replaces(other: Daemon, daemon: Daemon) -> bool:
    """Tell whether another daemon has the place of one: its name, or its host if it had no name."""
    return other.name == daemon.name or (not daemon.is_named and other.host == daemon.host)


def _escaped(text: str) -> str:
    """Return text for a title into which an amount is put."""
    return text.replace("{", "{{").replace("}", "}}")
