"""What one message says: a single notice as it is, several as a list with the gravest first."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.notices import OF_A_VEHICLE, NoticeKind, StoredNotice, Weight, beginning
from fleetsyncd.text import age, counted
from fleetsyncd.times import utc_minute, utc_text

BRIEF = 80
"""Characters of a title that every service takes."""
MOST_LINES = 10
"""Notices in one message; of the others it says how many they are."""
FRESH = timedelta(minutes=2)
"""From this age of a notice on, the lines of a message say when each of them became true."""
_ORDER = {Weight.CRITICAL: 0, Weight.WARNING: 1, Weight.INFO: 2}
_BEGUN = {
    NoticeKind.DOWN: ("vehicle down", "vehicles down"),
    NoticeKind.OUTAGE: ("outage", "outages"),
    NoticeKind.ALARM: ("vehicle with alarms", "vehicles with alarms"),
    NoticeKind.LOSS: ("vehicle that loses data", "vehicles that lose data"),
    NoticeKind.AUDIT: ("audit with findings", "audits with findings"),
    NoticeKind.CLOCK: ("wrong clock", "wrong clocks"),
    NoticeKind.STORAGE: ("matter of storage", "matters of storage"),
    NoticeKind.DAEMON: ("matter of daemons", "matters of daemons"),
}
_OVER = {
    NoticeKind.DOWN: ("vehicle back", "vehicles back"),
    NoticeKind.OUTAGE: ("outage over", "outages over"),
    NoticeKind.ALARM: ("vehicle with resolved alarms", "vehicles with resolved alarms"),
    NoticeKind.LOSS: ("loss over", "losses over"),
    NoticeKind.AUDIT: ("audit over", "audits over"),
    NoticeKind.CLOCK: ("clock right again", "clocks right again"),
    NoticeKind.STORAGE: ("matter of storage over", "matters of storage over"),
    NoticeKind.DAEMON: ("matter of daemons over", "matters of daemons over"),
}
_ZERO_WIDTH = "\N{ZERO WIDTH SPACE}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to a target."""

    title: str
    body: str
    severity: Weight
    summary: str = ""
    """How many notices of which kind there are: nothing of it comes from outside."""

    @property
    def shorter(self) -> "list[Message]":
        """The same in two short lines, and then with nothing that comes from outside.

        For a target that takes no longer message, or none with such a text.
        """
        texts = filter(None, (self.title, self.summary))
        titles = dict.fromkeys(beginning(each, BRIEF) for each in texts)
        return [Message(each, "See `fleetsyncd notify list`.", self.severity) for each in titles]


Counts = Mapping[tuple[NoticeKind, bool], int]
"""How many vehicles or notices there are, by kind and by whether they tell of an end."""


def digest(
    named: Sequence[StoredNotice], now: datetime, counts: Counts | None = None, total: int = 0
) -> Message:
    """Return one message of notices, of which there is at least one.

    It is about `total` notices, with these `counts`; without them, those that are `named` are all.
    """
    ordered = sorted(named, key=_place)
    if counts is None:
        counts, total = _counted(ordered), len(ordered)
    summary = _summary(counts)
    worst = ordered[0].notice.severity
    if total == 1:
        title, body = ordered[0].notice.title, _single(ordered[0], now)
        return Message(_harmless(title), _harmless(body), worst, summary)
    lines = _lines(ordered[:MOST_LINES], now)
    if (others := total - len(lines)) > 0:
        lines.append(f"- and {others:,} more: `fleetsyncd notify list`")
    return Message(summary, _harmless("\n".join(lines)), worst, summary)


def _lines(ordered: Sequence[StoredNotice], now: datetime) -> list[str]:
    """Return a line for each; with the time, if what waited might pass for news."""
    if min(each.at for each in ordered) > now - FRESH:
        return [f"- {each.notice.title}" for each in ordered]
    return [f"- {utc_minute(each.at, now)} {each.notice.title}" for each in ordered]


def _place(stored: StoredNotice) -> tuple[int, int, datetime, int]:
    """Return where a notice is in a message: the gravest first, what is of more vehicles first."""
    notice = stored.notice
    return _ORDER[notice.severity], notice.vehicle is not None, stored.at, stored.id


def _single(stored: StoredNotice, now: datetime) -> str:
    lines = [stored.notice.detail] if stored.notice.detail else []
    waited = f", {age((now - stored.at).total_seconds())} ago" if stored.at <= now - FRESH else ""
    return "\n".join([*lines, f"at {utc_text(stored.at)}{waited}"])


def _counted(named: Sequence[StoredNotice]) -> Counts:
    subjects: dict[tuple[NoticeKind, bool], set[UUID | int]] = defaultdict(set)
    for each in named:
        notice = each.notice
        is_over = notice.severity is Weight.INFO
        vehicle = notice.vehicle if notice.kind in OF_A_VEHICLE else None
        subjects[notice.kind, is_over].add(vehicle.id if vehicle else each.id)
    return {kind: len(found) for kind, found in subjects.items()}


def _summary(counts: Counts) -> str:
    """Say how many of which kind there are; what is over comes last."""
    ordered = sorted(counts.items(), key=lambda item: (item[0][1], -item[1]))
    return ", ".join(
        counted(number, *(_OVER if is_over else _BEGUN)[kind])
        for (kind, is_over), number in ordered
    )


def _harmless(text: str) -> str:
    """Return text that mentions nobody: chat services would call @everyone."""
    return text.replace("@", f"@{_ZERO_WIDTH}")
