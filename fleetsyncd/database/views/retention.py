"""What retention has announced, and what it deletes under these settings. Changes nothing."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.retention_kinds import WAITING_WHILE_NEW, Extent, Kind, RetentionPolicy
from fleetsyncd.database.retention_plan import Plan, make_plan
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.sql_times import age, epoch, from_epoch
from fleetsyncd.times import utc_text

_SETTINGS = f"""
SELECT kind, keep, since <= now() - interval '1 day', {epoch("due_at")}, -{age("due_at")},
    months, row_count, bytes, {epoch("oldest_at")}, {epoch("before_at")},
    (SELECT CASE WHEN min(o.keep) = 0 THEN 0 ELSE max(o.keep) END FROM fleetsync.retention o
     WHERE o.kind = r.kind AND (o.keep = 0 OR o.keep > r.keep)
       AND o.seen_at > now() - interval '2 hours')
FROM fleetsync.retention r ORDER BY due_at, kind
"""  # noqa: S608  made of this file's own text


class Fate(Enum):
    """What becomes of what has expired under a setting."""

    KEPT = "kept for ever"
    NOTHING = "nothing has expired"
    USUAL = "within the hour"
    UNANNOUNCED = "a day after a daemon has announced it"
    WAITING = "after {due_at}"
    DUE = "within the hour: announced for {due_at}"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a daemon that keeps `keep` months or days has announced; due in `due_in` seconds."""

    keep: int
    extent: Extent
    due_at: datetime
    due_in: float
    longer: int | None = None
    """The longest setting of other daemons, 0 for ever, if one keeps more: then this one waits."""

    @property
    def setting(self) -> str:
        """The daemon's setting as it is written."""
        return f"{self.extent.kind.setting}={self.keep}"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What this setting deletes, and when; `keep` is None for ever."""

    kind: Kind
    keep: int | None
    extent: Extent
    fate: Fate
    due_at: datetime | None = None
    elsewhere: Announcement | None = None
    """What daemons with another setting have announced."""

    @property
    def setting(self) -> str:
        """The setting as it is written."""
        return f"{self.kind.setting}={self.keep or 0}"

    @property
    def is_unusual(self) -> bool:
        """Whether more is deleted than what expires in its turn."""
        return self.fate in (Fate.UNANNOUNCED, Fate.WAITING, Fate.DUE)

    @property
    def when(self) -> str:
        """When it is deleted, in words."""
        return self.fate.value.format(due_at=None if self.due_at is None else utc_text(self.due_at))


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database knows of a setting; `is_old`: for a day at least."""

    is_old: bool
    announced: Announcement | None


def announcements(cursor: Cursor) -> list[Announcement]:
    """Return all that is announced, what is due first; nothing if this role may not read it."""
    if not may_read(cursor, "fleetsync.retention"):
        return []
    return [known.announced for known in _known(cursor).values() if known.announced is not None]


def announcement_of(cursor: Cursor, kind: Kind, keep: int) -> Announcement | None:
    """Return what is announced of a kind under one setting."""
    known = _known(cursor).get((kind, keep))
    return None if known is None else known.announced


def forecast(cursor: Cursor, policy: RetentionPolicy, today: datetime) -> list[Forecast]:
    """Return what each setting deletes, and when. Raises DatabaseError."""
    known = _known(cursor)
    return [_forecast(cursor, kind, policy.keep(kind), known, today) for kind in policy.kinds]


def _forecast(
    cursor: Cursor, kind: Kind, keep: int | None, every: "_EveryKnown", today: datetime
) -> Forecast:
    known = None if keep is None else every.get((kind, keep))
    others = [each for (of, other), each in every.items() if of is kind and other != keep]
    elsewhere = next((each.announced for each in others if each.announced), None)
    announced = None if known is None else known.announced
    if keep is None:
        nothing = Extent(kind, 0, 0, 0, None, None)
        return Forecast(kind, None, nothing, Fate.KEPT, elsewhere=elsewhere)
    plan = make_plan(cursor, kind, keep, today)
    fate = _fate(plan, known)
    due_at = announced.due_at if announced and fate in (Fate.WAITING, Fate.DUE) else None
    return Forecast(kind, keep, plan.extent, fate, due_at, elsewhere)


def _fate(plan: Plan, known: _Known | None) -> Fate:
    """Say what the function `may_delete` would."""
    if not plan.extent:
        return Fate.NOTHING
    if plan.is_usual and plan.kind not in WAITING_WHILE_NEW:
        return Fate.USUAL
    if known is not None and known.announced is not None:
        return Fate.DUE if known.announced.due_in <= 0 else Fate.WAITING
    is_old = known is not None and known.is_old
    return Fate.USUAL if plan.is_usual and is_old else Fate.UNANNOUNCED


_EveryKnown = dict[tuple[Kind, int], _Known]


def _known(cursor: Cursor) -> _EveryKnown:
    """Return all settings that daemons have, what is due first."""
    cursor.execute(_SETTINGS)
    known = {}
    for kind, keep, is_old, due, due_in, *amounts, oldest, before, longer in cursor.fetchall():
        months, rows, size = amounts
        extent = Extent(Kind(kind), months, rows, size, from_epoch(oldest), from_epoch(before))
        due_at = from_epoch(due)
        announced = None if due_at is None else Announcement(keep, extent, due_at, due_in, longer)
        known[extent.kind, keep] = _Known(is_old, announced)
    return known
