"""What one message says: a single notice as it is, several as a list with the gravest first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleetsyncd.notices import NoticeKind, StoredNotice, Weight
from fleetsyncd.text import counted
from fleetsyncd.times import utc_text

BRIEF = 80
"""Characters of a title that every service takes."""
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
    summary: str = ""
    """How many notices of which kind there are: nothing of it comes from outside."""

    @property
    def shorter(self) -> "list[Message]":
        """The same in two short lines, and then with nothing that comes from outside.

        For a target that takes no longer message, or none with such a text.
        """
        title = self.title if len(self.title) <= BRIEF else self.title[: BRIEF - 1] + "…"
        titles = dict.fromkeys(filter(None, (title, self.summary)))
        return [Message(each, "See `fleetsyncd notify list`.", self.severity) for each in titles]


Counts = Mapping[tuple[NoticeKind, bool], int]
"""How many notices there are, by kind and by whether they tell that something is over."""


def digest(named: Sequence[StoredNotice], counts: Counts | None = None) -> Message:
    """Return one message of notices, of which there is at least one.

    `counts` are of all that it is about; without it, those that are `named` are all.
    """
    ordered = sorted(named, key=_place)
    totals = counts if counts is not None else _counted(ordered)
    total = sum(totals.values())
    worst = ordered[0].notice.severity
    if total == 1:
        only = ordered[0].notice
        title, body = only.title, _single(ordered[0])
        return Message(_harmless(title), _harmless(body), worst, _summary(totals))
    lines = [f"- {each.notice.title}" for each in ordered[:MOST_LINES]]
    if (others := total - len(lines)) > 0:
        lines.append(f"- and {others:,} more: `fleetsyncd notify list`")
    summary = _summary(totals)
    return Message(summary, _harmless("\n".join(lines)), worst, summary)


def _place(stored: StoredNotice) -> tuple[int, int, datetime, int]:
    """Return where a notice is in a message: the gravest first, what is of more vehicles first."""
    notice = stored.notice
    return _ORDER[notice.severity], notice.vehicle is not None, stored.at, stored.id


def _single(stored: StoredNotice) -> str:
    lines = [stored.notice.detail] if stored.notice.detail else []
    return "\n".join([*lines, f"at {utc_text(stored.at)}"])


def _counted(named: Sequence[StoredNotice]) -> Counts:
    return Counter((each.notice.kind, each.notice.severity is Weight.INFO) for each in named)


def _summary(counts: Counts) -> str:
    """Say how many of which kind there are; what is over comes last."""
    begun = Counter({kind: number for (kind, is_over), number in counts.items() if not is_over})
    parts = [counted(number, *_KINDS[kind]) for kind, number in begun.most_common()]
    if over := sum(number for (_kind, is_over), number in counts.items() if is_over):
        parts.append(f"{over:,} over")
    return ", ".join(parts)


def _harmless(text: str) -> str:
    """Return text that mentions nobody: chat services would call @everyone."""
    return text.replace("@", f"@{_ZERO_WIDTH}")
