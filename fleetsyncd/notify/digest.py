"""What one message says: a single notice as it is, several as a list with the gravest first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fleetsyncd.notices import BEFORE_OUTAGE, NoticeKind, StoredNotice, Weight
from fleetsyncd.text import counted
from fleetsyncd.times import utc_text

MOST_LINES = 10
"""Notices in one message; of the others it says how many they are."""
_ORDER = {Weight.CRITICAL: 0, Weight.WARNING: 1, Weight.INFO: 2}
_KINDS = {
    NoticeKind.DOWN: ("vehicle down", "vehicles down"),
    NoticeKind.OUTAGE: ("outage", "outages"),
    NoticeKind.ALARM: ("vehicle with alarms", "vehicles with alarms"),
    NoticeKind.LOSS: ("vehicle that loses data", "vehicles that lose data"),
    NoticeKind.AUDIT: ("audit with findings", "audits with findings"),
    NoticeKind.CLOCK: ("wrong clock", "wrong clocks"),
    NoticeKind.STORAGE: ("matter of storage", "matters of storage"),
    NoticeKind.DAEMON: ("matter of daemons", "matters of daemons"),
}
_ZERO_WIDTH = "\N{ZERO WIDTH SPACE}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to a target."""

    title: str
    body: str
    severity: Weight


def digest(pending: Sequence[StoredNotice]) -> Message:
    """Return one message of notices, of which there is at least one."""
    ordered = sorted(_of_their_own(pending), key=_place)
    worst = ordered[0].notice.severity
    if len(ordered) == 1:
        only = ordered[0].notice
        return Message(_harmless(only.title), _harmless(_single(ordered[0])), worst)
    lines = [f"- {each.notice.title}" for each in ordered[:MOST_LINES]]
    if (others := len(ordered) - MOST_LINES) > 0:
        lines.append(f"- and {others:,} more: `fleetsyncd notify list`")
    return Message(_harmless(_counts(ordered)), _harmless("\n".join(lines)), worst)


def _of_their_own(pending: Sequence[StoredNotice]) -> Sequence[StoredNotice]:
    """Leave out the vehicles that were down a moment before an outage: they are part of it."""
    outages = [
        each.at
        for each in pending
        if each.notice.kind is NoticeKind.OUTAGE and each.notice.severity is Weight.CRITICAL
    ]

    def is_part(each: StoredNotice) -> bool:
        is_down = each.notice.kind is NoticeKind.DOWN and each.notice.severity is Weight.CRITICAL
        return is_down and any(each.at <= at <= each.at + BEFORE_OUTAGE for at in outages)

    return [each for each in pending if not is_part(each)]


def _place(stored: StoredNotice) -> tuple[int, int, datetime, int]:
    """Return where a notice is in a message: the gravest first, what is of more vehicles first."""
    notice = stored.notice
    return _ORDER[notice.severity], notice.vehicle is not None, stored.at, stored.id


def _single(stored: StoredNotice) -> str:
    lines = [stored.notice.detail] if stored.notice.detail else []
    return "\n".join([*lines, f"at {utc_text(stored.at)}"])


def _counts(ordered: Sequence[StoredNotice]) -> str:
    """Say how many of which kind there are; what is over comes last."""
    begun = Counter(each.notice.kind for each in ordered if each.notice.severity is not Weight.INFO)
    parts = [counted(number, *_KINDS[kind]) for kind, number in begun.most_common()]
    if over := len(ordered) - begun.total():
        parts.append(f"{over} over")
    return ", ".join(parts)


def _harmless(text: str) -> str:
    """Return text that mentions nobody: chat services would call @everyone."""
    return text.replace("@", f"@{_ZERO_WIDTH}")
