"""A vehicle's state as operators see it, derived from what the tables say."""

from enum import StrEnum
from uuid import UUID

from msgspec import Struct, field

from fleetsyncd.reports import Outcome
from fleetsyncd.terms import NO_TERMS, Terms
from fleetsyncd.text import is_ahead
from fleetsyncd.times import ZonedTime, utc_text

LATE_AFTER_INTERVALS = 3
OUTAGE_FROM = 3
"""If no vehicle answers and there are at least so many, this host's network is blamed."""


class State(StrEnum):
    """What a vehicle is doing, in one word."""

    ONLINE = "online"
    CATCHING_UP = "catching up"
    TIMEOUT = "timeout"
    ERROR = "error"
    LATE = "late"
    NEVER = "never"
    PAUSED = "paused"


class Pause(Struct, frozen=True, gc=False):
    """Why a vehicle is paused, by whom, and until when; None: until somebody resumes it."""

    until: ZonedTime | None = None
    reason: str | None = None
    by: str | None = None
    """A login name; None if a version that did not note it, or somebody by hand, paused it."""

    @property
    def text(self) -> str:
        """All that is known of it, in one line."""
        until = "" if self.until is None else f" until {utc_text(self.until)}"
        by = "" if self.by is None else f" by {self.by}"
        return f"{until}{by}" + (f": {self.reason}" if self.reason else "")


class Mute(Pause, frozen=True, gc=False):
    """The same of a mute: the vehicle is pulled, and nothing of it is told.

    Of several, the one that lasts longest. `scope` is `vehicle`, `fleet`, or `tag` and the tag.
    """

    scope: str = "vehicle"
    since: ZonedTime | None = None


class GapProgress(Struct, frozen=True, gc=False):
    """How far a gap or a backfill is pulled."""

    fraction: float
    """0 to 1."""
    rows_per_second: float | None
    seconds_left: float | None


class GapOverview(Struct, frozen=True, gc=False):
    """What is missing between the watermark and what is live; times in the vehicle's clock."""

    from_at: ZonedTime | None
    """The watermark."""
    to_at: ZonedTime | None
    """The end of the last part that is missing."""
    missing_sec: float
    """The length of all that is missing."""
    error: str | None = None
    """Why it makes no progress."""
    loses_from: ZonedTime | None = None
    """What follows will be lost, at the present pace."""
    loses_in_sec: float | None = None
    """When that begins; 0 if it has begun."""

    @property
    def remark(self) -> str | None:
        """What is wrong with it."""
        texts = []
        if self.loses_from is not None:
            texts.append(f"loses data from {utc_text(self.loses_from)} on")
        if self.error:
            texts.append(f"its gap makes no progress: {self.error}")
        return "; ".join(texts) or None


class LinkTraffic(Struct, frozen=True, gc=False):
    """Bytes that a vehicle's link has carried above TCP, in both directions; days are in UTC."""

    today: int = 0
    this_month: int = 0
    last_month: int = 0


class VehicleOverview(Struct, frozen=True, gc=False):
    """One vehicle with the result of its last cycle; ages in seconds by the database's clock.

    A msgspec struct for speed: the dashboard makes one for each vehicle at every refresh.
    """

    id: UUID
    name: str
    address: str
    """Host and port as one text; IPv6 in brackets."""
    host: str
    """The same apart, for scripts; "?" without an address."""
    port: int
    state: State
    software_version: str | None
    seen_age: float | None
    lag: float | None = field(name="live_lag")
    """The age of what is live: of the watermark, unless there is a gap after it."""
    data_age: float | None
    rows: int | None
    """Measurements that the last cycle added."""
    failures: int
    """Cycles in a row that failed."""
    catching_up: GapProgress | None
    backfill: GapProgress | None
    """A past interval that is being pulled again, beside the cycles."""
    last_error: str | None
    replica: str | None = None
    """The daemon that pulls it, by host and process; None while none does."""
    state_age: float | None = None
    """How long the state has lasted; None if that is not known."""
    tags: tuple[str, ...] = ()
    """The vehicle's tags, such as its site, in alphabetical order."""
    late_because: str | None = None
    """Why it is late, if it is and that is known."""
    complete_age: float | None = field(default=None, name="lag")
    """The age of the watermark: all before it is stored. Scripts know it as the lag."""
    gap: GapOverview | None = None
    """What is missing before what is live."""
    lateness_seconds: float | None = None
    """How long after their time rows were committed at most; decays; None before it was met."""
    overlap_seconds: float | None = None
    """How far before what is pulled the next pull begins; None before the first one."""

    pause: Pause | None = None
    """Why it is paused, by whom and until when; None: it is not."""
    mute: Mute | None = None
    """The same of a mute."""
    interval_sec: float | None = None
    """The seconds between its cycles."""
    terms: Terms | None = None
    """What was set for it in place of the settings; None: nothing."""
    traffic: LinkTraffic | None = None
    """What its link has carried; None where nobody has asked for it, or the role may not."""

    def interval(self, sync_interval_sec: float) -> float:
        """Return the seconds between its cycles, for those between the fleet's."""
        return (self.terms or NO_TERMS).interval(sync_interval_sec)

    @property
    def own_interval_sec(self) -> float | None:
        """The interval that was set for it; None: it is asked as often as the fleet."""
        return None if self.terms is None else self.terms.interval_sec

    @property
    def maintenance(self) -> str:
        """Who has paused or muted it, until when and why; empty if nobody has, or it is unknown."""
        return _joined(self.paused, self.muted)

    @property
    def paused(self) -> str:
        """Who has paused it, until when and why; empty if nobody has, or it is unknown."""
        paused = self.pause.text if self.pause is not None else ""
        return f"paused{paused}" if paused else ""

    @property
    def muted(self) -> str:
        """Who has muted it, until when and why; empty if nobody has."""
        return "" if self.mute is None else f"muted{_of(self.mute)}{self.mute.text}"

    @property
    def reason(self) -> str:
        """Why it is in its state, in one line: who has paused it, what is wrong; or empty."""
        gap = None if self.gap is None else self.gap.remark
        return _joined(self.paused, self.late_because, gap, self.last_error)

    @property
    def remark(self) -> str:
        """What is to be known of it, in one line; last that it is muted, which explains nothing."""
        return _joined(self.reason, self.muted)


def _joined(*texts: str | None) -> str:
    return "; ".join(text for text in texts if text)


def _of(mute: Mute) -> str:
    """Name what was muted, if it is not the vehicle alone."""
    return "" if mute.scope == "vehicle" else f" with {mute.scope}"


def derive_state(
    *,
    paused: bool,
    status: str,
    seen_age: float | None,
    lag: float | None,
    catching_up: bool,
    interval: float,
) -> State:
    """Return the state that is most useful to an operator.

    A pause outranks everything, a failure outranks lateness. `interval` is that of its cycles in
    seconds. A status that this version does not know counts as an error. Of a vehicle that was seen
    ahead of the database's clock, which wrote that, it is not known that it answers.
    """
    if paused:
        return State.PAUSED
    if status == Outcome.TIMEOUT:
        return State.TIMEOUT
    if status == "unknown" and seen_age is None:
        return State.NEVER
    if status not in (Outcome.OK, "unknown"):
        return State.ERROR
    if is_ahead(seen_age):
        return State.LATE
    if catching_up:
        return State.CATCHING_UP
    if lag is None or lag > LATE_AFTER_INTERVALS * interval:
        return State.LATE
    return State.ONLINE
