"""The overview of the fleet: one row for each vehicle, all ages by the database's clock."""

from collections.abc import Collection
from functools import lru_cache
from uuid import UUID

from msgspec import Struct
from msgspec.json import Decoder

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import heartbeats
from fleetsyncd.database.shard_locks import shard_of
from fleetsyncd.database.vehicle_state import DATED, IS_PAUSED, RESUMED_AT, name_of
from fleetsyncd.database.vehicle_terms import JOIN_TERMS, TERMS
from fleetsyncd.database.views.gaps import HOLES, Gap, Holes, gap_array, gap_overview, progress
from fleetsyncd.database.views.sql_times import (
    LIVE_TO,
    age,
    elapsed,
    epoch,
    from_epoch,
)
from fleetsyncd.slices import Sliced, Slices
from fleetsyncd.states import (
    LATE_AFTER_INTERVALS,
    Pause,
    State,
    VehicleOverview,
    derive_state,
)
from fleetsyncd.terms import Terms
from fleetsyncd.text import is_ahead, sanitise
from fleetsyncd.validation import address_text

ERROR_LIMIT = 300
NAME_LIMIT = 200


def _dated_age(condition: str, time: str) -> str:
    """Return SQL for the age of a time that this program writes, where the condition holds."""
    return f"CASE WHEN {condition} THEN {elapsed(time)} END"


# Of a vehicle that is not paused: nobody else has resumed it.
_IS_RESUMED = "(s.paused_at IS NULL OR s.paused)"
# How long the pause, or else the status with its gap, has lasted; null if it is not known, which is
# so as well if somebody else wrote either of them.
_SINCE = f"""CASE WHEN {IS_PAUSED} THEN {_dated_age(DATED, "s.paused_at")}
    ELSE {
    _dated_age(
        f"{DATED} AND s.dated_status = v.sync_status AND {_IS_RESUMED}"
        " AND s.status_since IS NOT NULL",
        f"greatest(s.status_since, {RESUMED_AT})",
    )
} END"""
# How long the vehicle is in the fleet, or resumed.
_BEGUN = f"""CASE WHEN s.vehicle_id IS NULL OR {DATED} AND NOT {IS_PAUSED} AND {_IS_RESUMED}
    THEN {age(f"greatest(v.created_at, {RESUMED_AT})")} END"""
_PAUSE = f"""CASE WHEN {IS_PAUSED} THEN
    json_build_array({epoch("s.paused_until")}, left(s.pause_reason, {ERROR_LIMIT}),
        s.paused_by) END"""
# One JSON text for the whole fleet is decoded in a third of the time that ten thousand rows take.
OVERVIEW = f"""
SELECT coalesce(json_agg(json_build_array(
    v.id, {name_of()}, coalesce(host(v.vpn_ip), '?'),
    coalesce(v.api_port, 8001), coalesce(v.sync_status, 'unknown'), v.software_version,
    {age("v.last_seen_at")}, {age(LIVE_TO)}, {age("s.newest_measurement_at")},
    {IS_PAUSED}, coalesce(s.failures, 0), s.last_rows,
    left(s.last_error, {ERROR_LIMIT}),
    {
    gap_array(
        "s.catching_up_from",
        "s.catching_up_to",
        "v.last_sync_at",
        "s.catching_up_sec",
        "s.catching_up_rows",
    )
},
    {gap_array("b.from_at", "b.to_at", "b.reached_at", "b.busy_sec", "b.rows_added")},
    {_SINCE}, {_BEGUN}, coalesce(s.tags, '{{}}'), {age("v.last_sync_at")}, {HOLES},
    s.late_ms, s.overlap_ms, {_PAUSE},
    CASE WHEN t.vehicle_id IS NOT NULL THEN json_build_array({TERMS}) END
) ORDER BY lower({name_of()}) COLLATE "C", v.id), '[]')::text
FROM public.vehicles v
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
LEFT JOIN fleetsync.backfill b ON b.vehicle_id = v.id AND b.finished_at IS NULL
{JOIN_TERMS}
"""  # noqa: S608
_WITH_TAGS = " WHERE s.tags && %s::text[]"


class _Pause(Struct, array_like=True, gc=False):
    """A pause: its end in seconds since 1970, why, and by whom."""

    until: float | None
    reason: str | None
    by: str | None


class _Terms(Struct, array_like=True, gc=False):
    """What was set for a vehicle, as `Terms` has it."""

    interval_sec: float | None
    timeout_sec: float | None
    window_sec: float | None
    gap_kbit: int | None


class _Row(Struct, array_like=True, gc=False):
    """A row of OVERVIEW."""

    id: str
    name: str
    host: str
    port: int
    status: str
    version: str | None
    seen: float | None
    lag: float | None
    data: float | None
    paused: bool
    failures: int
    rows: int | None
    error: str | None
    catching_up: Gap | None
    backfill: Gap | None
    since: float | None
    begun: float | None
    tags: tuple[str, ...]
    complete: float | None
    holes: Holes | None
    late_ms: int | None
    overlap_ms: int | None
    pause: _Pause | None
    terms: _Terms | None


_ROWS = Decoder(list[_Row])


def fleet_overview(
    cursor: Cursor,
    default_sync_interval_sec: float,
    tags: Collection[str] = (),
    slices: Slices | None = None,
) -> list[VehicleOverview]:
    """Return all vehicles, ordered by name; a running daemon's interval decides what is late.

    Unless a vehicle has a longer one of its own.

    With `tags`, only the vehicles that have one of them. With `slices`, others run meanwhile, and
    while the list is gone over.
    """
    known = heartbeats(cursor)
    interval = known[0].sync_interval_sec if known else default_sync_interval_sec
    replica_by_shard = {
        shard: heartbeat.name
        for heartbeat in known
        if heartbeat.alive
        for shard in heartbeat.shards
    }
    if tags:
        cursor.execute(OVERVIEW + _WITH_TAGS, (list(tags),))
    else:
        cursor.execute(OVERVIEW)
    rows = _ROWS.decode(cursor.fetchall()[0][0])
    if slices is None:
        return [_vehicle(row, interval, replica_by_shard) for row in rows]
    return Sliced((_vehicle(row, interval, replica_by_shard) for row in rows), slices)


def vehicles_with_own_key(cursor: Cursor) -> set[UUID]:
    """Return the ids of the vehicles with an API key of their own."""
    cursor.execute("SELECT id::text FROM public.vehicles WHERE coalesce(api_key, '') <> ''")
    return {UUID(row[0]) for row in cursor.fetchall()}


@lru_cache(maxsize=1 << 16)
def cached_id(key: str) -> UUID:
    """Return the id; cached, because every refresh reads the same vehicles."""
    return UUID(key)


@lru_cache(maxsize=1 << 12)
def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags as they are shown, whoever wrote them."""
    return tuple(sorted(sanitise(tag, NAME_LIMIT) for tag in tags))


def _vehicle(
    row: _Row, sync_interval_sec: float, replica_by_shard: dict[int, str]
) -> VehicleOverview:
    key = cached_id(row.id)
    terms = None if row.terms is None else _terms(row.terms)
    interval = sync_interval_sec if terms is None else terms.interval(sync_interval_sec)
    catching_up = None if row.catching_up is None else progress(row.catching_up, row.holes)
    state = derive_state(
        paused=row.paused,
        status=row.status,
        seen_age=row.seen,
        lag=row.lag,
        catching_up=catching_up is not None,
        interval=interval,
    )
    return VehicleOverview(
        id=key,
        name=sanitise(row.name, NAME_LIMIT),
        address=address_text(row.host, row.port),
        host=row.host,
        port=row.port,
        state=state,
        software_version=None if row.version is None else sanitise(row.version, NAME_LIMIT),
        seen_age=row.seen,
        lag=row.lag,
        data_age=row.data,
        rows=row.rows,
        failures=row.failures,
        catching_up=catching_up,
        backfill=None if row.backfill is None else progress(row.backfill),
        last_error=None if row.error is None else sanitise(row.error, ERROR_LIMIT),
        replica=replica_by_shard.get(shard_of(key)),
        state_age=_state_age(row, state, interval),
        tags=_tags(row.tags) if row.tags else (),
        complete_age=row.complete,
        gap=None if row.holes is None else gap_overview(row.holes),
        lateness_seconds=None if row.late_ms is None else row.late_ms / 1000,
        overlap_seconds=None if row.overlap_ms is None else row.overlap_ms / 1000,
        pause=None if row.pause is None else _pause(row.pause),
        interval_sec=interval,
        terms=terms,
    )


def _terms(terms: _Terms) -> Terms:
    return Terms(terms.interval_sec, terms.timeout_sec, terms.window_sec, terms.gap_kbit)


def _pause(pause: _Pause) -> Pause:
    reason, by = (
        None if text is None else sanitise(text, NAME_LIMIT) for text in (pause.reason, pause.by)
    )
    return Pause(from_epoch(pause.until), reason, by)


def _state_age(row: _Row, state: State, interval: float) -> float | None:
    """Return for how many seconds the vehicle is in its state; None if that is not known.

    Nobody writes that a vehicle was never asked, or that it becomes late before its next answer:
    that follows from other times.
    """
    if state is State.NEVER:
        return row.begun
    if state is State.LATE and is_ahead(row.seen):
        return None
    if state is not State.LATE or row.lag is None or row.begun is None:
        return row.since
    late = row.lag - LATE_AFTER_INTERVALS * interval
    if row.since is None:
        return min(late, row.begun)
    was_late_when_seen = row.seen is not None and late > row.seen
    return min(row.begun, row.since if was_late_when_seen else min(late, row.since))
