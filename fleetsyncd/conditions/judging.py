"""What is told when a condition begins, lasts, grows or ends.

A condition is told once, reminded of if that is wanted, and told again when it is over. One that
begins again and again is said to flap, once an hour. Pure: the caller writes down what comes out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fleetsyncd.conditions.model import (
    ANSWERING,
    DISK,
    FLAP_TIME,
    Condition,
    Facts,
    Key,
    Known,
    Terms,
    subject_of,
)
from fleetsyncd.conditions.present import (
    DAEMON_DEAD_SEC,
    QUARANTINE_STEP,
    present_conditions,
)
from fleetsyncd.conditions.silence import last_cycle_sec, was_asked
from fleetsyncd.notices import BEFORE_OUTAGE, Notice, NoticeKind, Weight, name_in_title
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.text import age, counted

FLAPS = 3
"""Beginnings within FLAP_TIME from which on a condition flaps."""


@dataclass(slots=True)
class Judgement:
    """What is to be told, and what to remember."""

    notices: list[Notice] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    """Those that changed."""


def judge(facts: Facts, terms: Terms, known: Sequence[Known], *, is_first: bool) -> Judgement:
    """Compare what is the case with what is remembered.

    `is_first`: nothing was ever remembered; what has grown up to now is not told of.
    """
    remembered = {each.key: each for each in known}
    present = {each.key: each for each in present_conditions(facts, terms, remembered)}
    result = Judgement()
    for key, condition in present.items():
        _go_on(condition, remembered.get(key), facts, terms, result, is_first=is_first)
    for key, each in remembered.items():
        if key not in present:
            _end(each, facts, result)
    if any(
        each.kind is NoticeKind.OUTAGE and each.begun[-1:] == (facts.now,) for each in result.known
    ):
        _absorb(remembered, facts.now, result)
    return result


def _absorb(remembered: Mapping[Key, Known], now: datetime, result: Judgement) -> None:
    """Forget that vehicles were told to be down a moment before an outage: they are part of it."""
    for key, each in remembered.items():
        is_told = each.told_at is not None and each.told_at > now - BEFORE_OUTAGE
        if key[0] is NoticeKind.DOWN and each.ended_at is None and is_told:
            result.known.append(replace(each, told_at=None))


def _go_on(
    condition: Condition,
    known: Known | None,
    facts: Facts,
    terms: Terms,
    result: Judgement,
    *,
    is_first: bool,
) -> None:
    """Tell of a condition that has begun, has grown, or lasts."""
    now = facts.now
    is_muted = condition.is_muted(facts.muted)
    if known is None or known.ended_at is not None:
        known = _begun(condition, known, now)
        if is_first and condition.amount:
            known = replace(known, told_at=now, amount=condition.amount)
        elif not is_muted:
            known = _tell_begin(condition, known, now, result)
        result.known.append(known)
    elif is_muted:
        return
    elif known.told_at is None:
        if (told := _tell_begin(condition, known, now, result)) != known:
            result.known.append(told)
    elif condition.amount > known.amount:
        result.known.append(_tell(condition, known, now, result))
    elif condition.amount < known.amount - QUARANTINE_STEP:
        result.known.append(replace(known, amount=condition.amount))
    elif terms.repeat and not condition.amount and now >= known.told_at + terms.repeat:
        reminder = replace(condition, title=f"still: {condition.title}")
        result.known.append(_tell(reminder, known, now, result))


def _begun(condition: Condition, known: Known | None, now: datetime) -> Known:
    """Return what is remembered of a condition that begins, and may have begun before."""
    before = known or Known(condition.kind, condition.subject, condition.since)
    return replace(
        before,
        since=condition.since,
        vehicle_id=condition.vehicle.id if condition.vehicle else None,
        vehicle_name=condition.vehicle.name if condition.vehicle else None,
        ended_at=None,
        told_at=None,
        amount=0,
        begun=(*before.recent(now), now),
    )


def _tell_begin(condition: Condition, known: Known, now: datetime, result: Judgement) -> Known:
    """Tell that a condition has begun; once an hour, if it does so again and again."""
    if len(known.recent(now)) < FLAPS:
        return _tell(condition, known, now, result)
    if known.flap_told_at is not None and known.flap_told_at > now - FLAP_TIME:
        return known
    times = len(known.recent(now))
    flapping = replace(
        condition,
        title=f"{condition.title} (it flaps: {times} times within an hour)",
        detail="It is told of again in an hour, or when it has been over for an hour."
        f" {condition.detail}",
    )
    return replace(_tell(flapping, known, now, result), flap_told_at=now)


def _tell(condition: Condition, known: Known, now: datetime, result: Judgement) -> Known:
    """Tell of a condition; return what is remembered then."""
    title = condition.title
    if condition.amount:
        title = title.format(more=f"{condition.amount - known.amount:,}")
    result.notices.append(
        Notice(condition.kind, condition.severity, title, condition.detail, condition.vehicle)
    )
    return replace(known, told_at=now, amount=condition.amount)


def _end(known: Known, facts: Facts, result: Judgement) -> None:
    """Take in that a condition is over, and tell so if its beginning was told.

    One that flaps has to be over for an hour before.
    """
    now = facts.now
    if known.subject == DISK and not facts.knows_disk:
        return
    if known.kind is NoticeKind.CLOCK and _is_paused(known, facts):
        return  # nothing is known of it, and after the pause it would be told again
    ended = known if known.ended_at else replace(known, ended_at=now)
    was_told = ended.told_at is not None or ended.flap_told_at is not None
    if was_told and len(ended.recent(now)) < FLAPS:
        if (notice := _end_notice(ended, facts)) is not None:
            result.notices.append(notice)
        ended = replace(ended, told_at=None, flap_told_at=None)
    if ended != known:
        result.known.append(ended)


def _is_paused(known: Known, facts: Facts) -> bool:
    vehicle = next((each for each in facts.fleet if each.id == known.vehicle_id), None)
    return vehicle is not None and vehicle.state is State.PAUSED


def _end_notice(known: Known, facts: Facts) -> Notice | None:
    """Return what is told of the end; None if there is nothing good in it, or nobody cares."""
    lasted = age(((known.ended_at or facts.now) - known.since).total_seconds())
    if known.kind is NoticeKind.OUTAGE:
        lasts_sec = (facts.now - known.since).total_seconds() - last_cycle_sec(facts.fleet)
        answering = sum(
            each.state in ANSWERING and was_asked(each, lasts_sec) for each in facts.fleet
        )
        active = [each for each in facts.fleet if each.state is not State.PAUSED]
        if not answering or all(each.id in facts.muted for each in active):
            return None
        title = f"{answering} of {counted(len(active), 'vehicle')} answer again, after {lasted}"
        return Notice(known.kind, Weight.INFO, title, "What they measured meanwhile is caught up.")
    if known.kind is NoticeKind.DAEMON:
        if not _lives_again(known, facts):
            return None  # nothing lists it any more
        title = f"the daemon {name_in_title(known.subject)} is alive again, or was replaced"
        return Notice(known.kind, Weight.INFO, title)
    vehicle = next((each for each in facts.fleet if each.id == known.vehicle_id), None)
    if vehicle is None or vehicle.state is State.PAUSED or vehicle.id in facts.muted:
        return None
    subject = subject_of(vehicle)
    if known.kind is NoticeKind.DOWN:
        title = f"{name_in_title(vehicle.name)} is back, after {lasted}"
        return Notice(known.kind, Weight.INFO, title, _gap_text(vehicle), subject)
    if known.kind is NoticeKind.CLOCK:
        title = f"{name_in_title(vehicle.name)}: its clock is right again"
        return Notice(known.kind, Weight.INFO, title, vehicle=subject)
    return None


def _lives_again(known: Known, facts: Facts) -> bool:
    """Tell whether a daemon that had died is heard of, or one was started in its place since."""
    silent_sec = (facts.now - known.since).total_seconds()
    # Of one without a name of its own this is the host; who has one is replaced by that name only.
    host = known.subject.rpartition(":")[0]
    return any(
        each.name == known.subject or (each.host == host and each.running_sec <= silent_sec)
        for each in facts.daemons
        if each.silent_sec < DAEMON_DEAD_SEC
    )


def _gap_text(vehicle: VehicleOverview) -> str:
    """Say how a vehicle's gap stands."""
    if vehicle.gap is None:
        return "Nothing is missing."
    text = f"{age(vehicle.gap.missing_sec)} of its measurements are still missing"
    left = vehicle.catching_up and vehicle.catching_up.seconds_left
    return f"{text}, caught up in about {age(left)}." if left else f"{text}."
