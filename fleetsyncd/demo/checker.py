"""Compare what the simulated vehicles generated with what the database holds.

The signals are a pure function of vehicle, channel and time, so what must be stored is known to
the last bit: everything stamped from the first watermark to the present one, and in the islands
after it, except what a vehicle that commits late had not committed yet.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from fleetsyncd.database import (
    loading,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import readings
from fleetsyncd.demo.lateness import PROMPT, Lateness
from fleetsyncd.models import Window
from fleetsyncd.time_limits import MAX_AGE
from fleetsyncd.times import floor_ms

SLICE = timedelta(hours=1)
MARGIN = timedelta(minutes=2)
"""How far around the interval stored rows are compared: overlap and clock skew reach there."""
EXAMPLES = 5
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Key = tuple[int, int]
"""Channel id and time in ms since 1970."""

_ROWS = """
SELECT channel_id, round(extract(epoch FROM time) * 1000)::bigint, value
FROM public.measurements WHERE vehicle_id = %s::uuid AND time >= %s AND time < %s
"""
_ALARMS = """
SELECT alarm_id, round(extract(epoch FROM triggered_at) * 1000)::bigint, channel_id, message
FROM public.alarms_log WHERE vehicle_id = %s::uuid
"""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A vehicle pulled from `start` on; its rows appear `delay` and `lateness` after their stamp.

    It has measured nothing from `silent_from` on, where that is given. Alarms must be stored from
    `alarms_from` on, where that is later than `start`.
    """

    vehicle_id: UUID
    name: str
    start: datetime
    delay: timedelta = timedelta(0)
    channels: int = len(readings.CHANNELS)
    alarms_from: datetime | None = None
    lateness: Lateness = PROMPT
    silent_from: datetime | None = None


@dataclass(slots=True)
class Comparison:
    """The differences; all zero if there are none. Lost rows with a lateness are `lost_late`."""

    checked: int = 0
    lost: int = 0
    lost_late: int = 0
    altered: int = 0
    unexpected: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, altered or unexpected; audits may still find `lost_late`."""
        return not (self.lost or self.altered or self.unexpected)

    def __str__(self) -> str:
        late = f", lost that came late {self.lost_late}" if self.lost_late else ""
        return f"lost {self.lost}, altered {self.altered}, unexpected {self.unexpected}{late}"

    def note(self, kind: str, count: int, example: str) -> None:
        """Count `count` faults of a kind and keep an example."""
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            if len(self.examples) < EXAMPLES:
                self.examples.append(f"{kind}: {example}")


def compare(database: Database, expectations: list[Expectation]) -> Comparison:
    """Compare every row and alarm of the vehicles; also finds a watermark that is not true."""
    findings = Comparison()
    for expected in expectations:
        watermark, islands = _position(database, expected.vehicle_id)
        if watermark is None:
            _check_nothing_stored(database, expected, findings)
            continue
        # Rows are stamped to the millisecond: a finer bound would split one from its expectation.
        first, last = floor_ms(expected.start - MARGIN), floor_ms(watermark + MARGIN)
        for start, end in _slices(first, last):
            _check_rows(database, expected, start, end, watermark, findings)
        for island in islands:
            for start, end in _slices(island.start, island.end):
                ahead = replace(expected, start=island.start)
                _check_rows(database, ahead, start, end, island.end, findings)
        live_to = max([watermark, *(island.end for island in islands)])
        _check_alarms(database, expected, live_to, findings)
    return findings


def _position(database: Database, vehicle_id: UUID) -> tuple[datetime | None, tuple[Window, ...]]:
    """Return the watermark and the islands after it, of the same moment."""
    found = database.run(lambda cursor: loading.load_vehicles(cursor, [vehicle_id]))
    return (found[0].watermark, found[0].islands) if found else (None, ())


def _slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + SLICE, end)
        start += SLICE


def _check_rows(
    database: Database,
    expected: Expectation,
    start: datetime,
    end: datetime,
    watermark: datetime,
    findings: Comparison,
) -> None:
    """Compare one slice; rows around the pulled interval may be stored, those inside must."""
    seed = readings.seed_of(expected.name)
    rows = readings.rows(seed, _ms(start), _ms(end), channels=expected.channels)
    generated = {(channel, at): value for channel, at, value in rows if value is not None}
    stored = _stored(database, expected.vehicle_id, start, end)
    findings.checked += len(stored)
    lost, lost_late = _lost(expected, generated.keys() - stored.keys(), watermark)
    unexpected = stored.keys() - generated.keys()
    altered = [key for key in stored.keys() & generated.keys() if stored[key] != generated[key]]
    kinds = {
        "lost": lost,
        "lost_late": lost_late,
        "unexpected": unexpected,
        "altered": altered,
    }
    for kind, keys in kinds.items():
        findings.note(kind, len(keys), f"{expected.name} (channel, ms) {min(keys, default='')}")


def _lost(
    expected: Expectation, missing: Collection[Key], watermark: datetime
) -> tuple[list[Key], list[Key]]:
    """Return what of it was there to be pulled: prompt rows, and those with a lateness."""
    first, last = _ms(expected.start), _ms(watermark - expected.delay)
    silent = last if expected.silent_from is None else _ms(expected.silent_from)
    seed = readings.seed_of(expected.name)
    prompt: list[Key] = []
    late: list[Key] = []
    for channel, at in missing:
        lateness = expected.lateness.of(seed, channel, at)
        if first <= at < silent and at + lateness < last:
            (late if lateness else prompt).append((channel, at))
    return prompt, late


def _stored(
    database: Database, vehicle_id: UUID, start: datetime, end: datetime
) -> dict[Key, float]:
    def read(cursor: Cursor) -> dict[Key, float]:
        cursor.execute(_ROWS, (str(vehicle_id), start, end))
        return {(channel, at): value for channel, at, value in cursor.fetchall()}

    return database.run(read)


def _check_alarms(
    database: Database, expected: Expectation, live_to: datetime, findings: Comparison
) -> None:
    def read(cursor: Cursor) -> dict[int, tuple[int, int, str]]:
        cursor.execute(_ALARMS, (str(expected.vehicle_id),))
        return {alarm: (at, channel, text) for alarm, at, channel, text in cursor.fetchall()}

    def generated(start: datetime, end: datetime) -> dict[int, tuple[int, int, str]]:
        seed = readings.seed_of(expected.name)
        alarms = readings.alarms(seed, _ms(start), _ms(end), channels=expected.channels)
        return {a.alarm_id: (a.triggered_ms, a.channel_id, a.message) for a in alarms}

    stored = database.run(read)
    findings.checked += len(stored)
    required = generated(
        expected.alarms_from or expected.start,
        _alarms_due(database, expected, live_to),
    )
    # Open alarms are asked for days back, and a backfill brings what is older still.
    triggered = min((at for at, _, _ in stored.values()), default=_ms(expected.start))
    oldest = EPOCH + MILLISECOND * triggered
    since = max(min(expected.start, oldest), expected.start - MAX_AGE)
    possible = generated(since, live_to + MARGIN)
    faults = {
        "lost": required.keys() - stored.keys(),
        "unexpected": stored.keys() - possible.keys(),
        "altered": {key for key in stored.keys() & possible.keys() if stored[key] != possible[key]},
    }
    for kind, keys in faults.items():
        findings.note(kind, len(keys), f"{expected.name} alarm {min(keys, default='')}")


def _alarms_due(database: Database, expected: Expectation, live_to: datetime) -> datetime:
    """Return up to where alarms must be stored: a failed call to /alarms is asked again later."""

    def read(cursor: Cursor) -> datetime | None:
        cursor.execute(
            "SELECT alarm_watermark FROM fleetsync.vehicle_state WHERE vehicle_id = %s::uuid",
            (str(expected.vehicle_id),),
        )
        row = cursor.fetchone()
        return None if row is None else row[0]

    stored_until = database.run(read)
    if stored_until is None:
        return expected.start
    return min(stored_until, live_to) - expected.delay


def _check_nothing_stored(database: Database, expected: Expectation, findings: Comparison) -> None:
    def count(cursor: Cursor) -> int:
        cursor.execute(
            "SELECT count(*) FROM public.measurements WHERE vehicle_id = %s::uuid",
            (str(expected.vehicle_id),),
        )
        row = cursor.fetchone()
        return 0 if row is None else int(row[0])

    stored = database.run(count)
    findings.note("unexpected", stored, f"{expected.name} has rows and no watermark")


def _ms(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND
