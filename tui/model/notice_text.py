"""What is said of notices, of their targets and of mutes, in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.notices import TargetState
from fleetsyncd.database.views.notices import Delivery, Fate, ListedMute, ListedNotice
from fleetsyncd.notices import Weight
from fleetsyncd.text import counted
from fleetsyncd.times import utc_text

FIELDS: Sequence[str] = ("at", "what", "kind", "vehicle", "told", "text", "detail")
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Line:
    """A notice, a target or a mute as the page shows it: short in its row, and in full."""

    key: str
    at: datetime | None
    what: str
    vehicle: str
    told: str
    text: str
    whole: str
    fields: Sequence[tuple[str, str]]
    vehicle_id: UUID | None = None
    is_bad: bool = False
    """Whether somebody has not got it, or gets nothing."""

    @property
    def row(self) -> list[str]:
        """The texts of FIELDS."""
        named = dict(self.fields)
        return [named.get(name, "") for name in FIELDS]


def notice_line(listed: ListedNotice, targets: Mapping[str, TargetState]) -> Line:
    """Return a notice: what became of it at each target, and when it is tried again."""
    stored, notice = listed.stored, listed.stored.notice
    fates = [(each.target, _fate(each, targets.get(each.target))) for each in listed.deliveries]
    told = ". ".join(f"{target}: {fate}" for target, fate in fates) or f"told to {NOBODY}"
    vehicle = notice.vehicle.name if notice.vehicle else ""
    detail = f". {notice.detail}" if notice.detail else ""
    counts = Counter(each.fate for each in listed.deliveries)
    return Line(
        key=f"notice {stored.id}",
        at=stored.at,
        what=notice.severity.value,
        vehicle=vehicle,
        told=_told(counts),
        text=notice.title,
        whole=f"{notice.title}{detail} · {told}",
        fields=[
            ("at", utc_text(stored.at)),
            ("what", notice.severity.value),
            ("kind", notice.kind.value),
            ("vehicle", vehicle),
            ("text", notice.title),
            ("detail", notice.detail),
            ("told", "; ".join(f"{target}: {fate}" for target, fate in fates) or NOBODY),
        ],
        vehicle_id=notice.vehicle.id if notice.vehicle else None,
        is_bad=counts[Fate.GIVEN_UP] + counts[Fate.WAITS] > 0,
    )


def target_line(target: TargetState) -> Line:
    """Return a target: when it has taken a message, since when it fails, when it is tried again."""
    state = failure_text(target) or "takes messages"
    last = "no message was sent to it yet"
    if target.sent_at is not None:
        last = f"the last message was sent {utc_text(target.sent_at)}"
    return Line(
        key=f"target {target.target}",
        at=target.sent_at,
        what="target",
        vehicle="",
        told="fails" if target.failing_since else "sent" if target.sent_at else "-",
        text=f"{target.target}: {state}",
        whole=f"{target.target}: {state}; {last}",
        fields=[
            ("at", "" if target.sent_at is None else utc_text(target.sent_at)),
            ("what", "target"),
            ("told", "fails" if target.failing_since else "sent" if target.sent_at else ""),
            ("text", target.target),
            ("detail", f"{state}; {last}; older than {utc_text(target.since)} is not for it"),
        ],
        is_bad=target.failing_since is not None,
    )


def mute_line(mute: ListedMute) -> Line:
    """Return a mute: of whom nothing is told, until when, by whom and why."""
    until = mute.why.text.strip() or "until it is ended"
    return Line(
        key=f"mute {mute.vehicle_id or mute.scope}",
        at=mute.at,
        what="muted",
        vehicle=mute.scope,
        told=NOBODY,
        text=f"{mute.scope}: {until}",
        whole=f"{mute.scope}: pulled, but nothing is told of it, since {utc_text(mute.at)} {until}",
        fields=[
            ("at", utc_text(mute.at)),
            ("what", "muted"),
            ("vehicle", mute.scope),
            ("told", NOBODY),
            ("text", until),
        ],
        vehicle_id=mute.vehicle_id,
    )


def failure_text(target: TargetState) -> str:
    """Say since when a target fails, why, and when it is tried again; empty if it does not."""
    if target.failing_since is None:
        return ""
    times = counted(target.failures, "time")
    again = "" if target.next_at is None else f", again at {utc_text(target.next_at)}"
    since = utc_text(target.failing_since)
    return f"fails, tried {times} since {since}{again}: {target.last_error}"


def colour(line: Line) -> str:
    """Return the colour of a line's severity."""
    return {Weight.CRITICAL.value: "red", Weight.WARNING.value: "yellow"}.get(line.what, "")


def _fate(delivery: Delivery, target: TargetState | None) -> str:
    if delivery.at is not None:
        return f"{delivery.fate.value} {utc_text(delivery.at)}"
    failure = failure_text(target) if target is not None else ""
    return f"waits, as it {failure}" if failure else "waits for the next message"


def _told(counts: Counter[Fate]) -> str:
    """Say in few cells how many targets have got a notice."""
    if not counts:
        return NOBODY
    if counts.total() == 1:
        return next(iter(counts)).value
    return ", ".join(f"{fate.value} {counts[fate]}" for fate in Fate if counts[fate])
