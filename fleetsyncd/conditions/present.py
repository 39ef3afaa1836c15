"""Which conditions are the case, by the facts of one moment."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from fleetsyncd.conditions.model import (
    DISK,
    Condition,
    Daemon,
    Facts,
    Key,
    Known,
    Terms,
    subject_of,
)
from fleetsyncd.conditions.silence import silence
from fleetsyncd.loss_forecast import NEAR_SEC
from fleetsyncd.notices import NoticeKind, Weight, name_in_title
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.text import age, is_ahead
from fleetsyncd.times import utc_day, utc_text

CLOCK_OFF_SEC, CLOCK_RIGHT_SEC = 120.0, 60.0
"""From which on a clock is told to be wrong, and up to which it is right again."""
LOSS_GONE_SEC = 2 * NEAR_SEC
"""A loss that was told is over when it is no longer nearer."""
QUARANTINE_STEP = 1_000
"""Rows by which the quarantine has to grow before it is told of."""
DAEMON_DEAD_SEC = 60.0
FULL_WITHIN = timedelta(days=14)


def present_conditions(
    facts: Facts, terms: Terms, known: Mapping[Key, Known]
) -> Iterator[Condition]:
    """Yield everything that is the case; who has had no time to be heard of is not silent."""
    for condition in (*silence(facts, terms, known), *_of_daemons(facts)):
        if facts.is_settled or _lasts(known.get(condition.key)):
            yield condition
    yield from _of_vehicles(facts, known)
    yield from _of_storage(facts)


def _of_vehicles(facts: Facts, known: Mapping[Key, Known]) -> Iterator[Condition]:
    """Yield what is wrong with single vehicles that answer."""
    for vehicle in facts.fleet:
        if vehicle.state is State.PAUSED:
            continue
        yield from _loss(vehicle, facts, known)
        yield from _clock(vehicle, facts, known)


def _loss(
    vehicle: VehicleOverview, facts: Facts, known: Mapping[Key, Known]
) -> Iterator[Condition]:
    gap = vehicle.gap
    if gap is None or gap.loses_from is None or gap.loses_in_sec is None:
        return
    near = LOSS_GONE_SEC if _lasts(known.get((NoticeKind.LOSS, str(vehicle.id)))) else NEAR_SEC
    if gap.loses_in_sec >= near:
        return
    name = name_in_title(vehicle.name)
    when = f"in {age(gap.loses_in_sec)}" if gap.loses_in_sec else "now"
    yield Condition(
        NoticeKind.LOSS,
        str(vehicle.id),
        Weight.CRITICAL,
        facts.now,
        f"{name} loses data {when}: what it measured from {utc_text(gap.loses_from)} on",
        "It drops its oldest measurements before they are pulled: give it a better link, or raise"
        " CATCH_UP_CONCURRENCY.",
        subject_of(vehicle),
    )


def _lasts(known: Known | None) -> bool:
    return known is not None and known.ended_at is None


def _clock(
    vehicle: VehicleOverview, facts: Facts, known: Mapping[Key, Known]
) -> Iterator[Condition]:
    skew = facts.skews.get(vehicle.id, 0.0)
    is_off = _lasts(known.get((NoticeKind.CLOCK, str(vehicle.id))))
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
    fresh = [
        each
        for each in daemons
        if each.silent_sec < DAEMON_DEAD_SEC and not is_ahead(each.silent_sec)
    ]
    for daemon in daemons:
        if daemon.silent_sec >= DAEMON_DEAD_SEC and not any(
            replaces(other, daemon) for other in fresh if other.running_sec <= daemon.silent_sec
        ):
            yield daemon


def replaces(other: Daemon, daemon: Daemon) -> bool:
    """Tell whether another daemon has the place of one: its name, or its host if it had no name."""
    return other.name == daemon.name or (not daemon.is_named and other.host == daemon.host)
