"""Doctor's checks of the fleet, as the database knows it; those of a thing each have a module."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fleetsyncd.database import (
    loading,
    machines,
    replicas,
    vehicle_tags,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention_kinds import RetentionPolicy, retention_policy
from fleetsyncd.database.schema import checks
from fleetsyncd.database.schema.daemon_checks import check_daemons
from fleetsyncd.database.schema.notice_checks import check_notices
from fleetsyncd.database.schema.retention_check import check_retention
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.database.views.lateness import overview_with_reasons
from fleetsyncd.database.views.minutes import minutes_progress
from fleetsyncd.errors import CommandError, DatabaseError, DatabaseLost
from fleetsyncd.findings import Finding, Level, fault, ok, warning
from fleetsyncd.models import Vehicle
from fleetsyncd.settings import Settings
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.terms import DEFAULT, NO_TERMS
from fleetsyncd.text import age

NAMED = 5
"""Vehicles of which a check tells one by one."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the settings want of the database."""

    pool_size: int
    policy: RetentionPolicy
    has_default_key: bool


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A check that could not be made, and why."""

    check: str
    reason: str


Check = Callable[[], Sequence[Finding]]
_OF_DAEMONS_ROLE = ("role", "schema", "rights", "partitions")
"""The checks that a role which only looks cannot make."""
# Whoever cannot even read is a daemon's role that lacks its rights, and that is a fault.
_ONLY_LOOKS = """
SELECT bool_or(has_any_column_privilege(c.oid, 'SELECT'))
    AND NOT bool_or(has_table_privilege(c.oid, 'INSERT, DELETE'))
    AND NOT bool_or(has_any_column_privilege(c.oid, 'UPDATE'))
FROM unnest(ARRAY['vehicles', 'sync_journal', 'measurements', 'alarms_log', 'channel_config']) name
JOIN pg_class c ON c.oid = to_regclass('public.' || name)
"""


def expected(settings: Settings) -> Expected:
    """Return what the settings want of the database."""
    return Expected(
        settings.database.pool_size,
        retention_policy(settings),
        bool(settings.vehicle_default_api_key),
    )


def only_looks(database: Database) -> bool:
    """Tell whether the role reads the fleet and may write nothing; False if that is not known."""

    def read(cursor: Cursor) -> bool:
        cursor.execute(_ONLY_LOOKS)
        return cursor.fetchall()[0][0] is True

    try:
        return database.run(read)
    except DatabaseError:
        return False


def check_as_daemon(
    database: Database, want: Expected, now: Callable[[], datetime], tags: Collection[str] = ()
) -> Iterator[Finding | Unchecked]:
    """Yield what doctor finds in the database, for a role that has a daemon's rights.

    With `tags`, the API keys are those of the vehicles that have one of them. A fault of the
    database itself ends it, as the other checks would only repeat it.
    """
    faults = False
    others = _of_fleet(database, want, now, tags)
    for finding in checks.run_checks(database, want.pool_size, now):
        faults = faults or finding.level is Level.FAULT
        yield finding
    if faults:
        yield from (Unchecked(check, "it needs a sound database") for check in others)
    else:
        yield from _each(others)


def check_as_viewer(
    database: Database, want: Expected, now: Callable[[], datetime], tags: Collection[str] = ()
) -> Iterator[Finding | Unchecked]:
    """Yield what can be found by a role that only looks, and what such a role cannot tell.

    With `tags`, the API keys are those of the vehicles that have one of them.
    """
    yield from _each(
        {
            "database": lambda: database.run(partial(checks.check_server, want.pool_size)),
            "clock": lambda: [database.run(partial(checks.check_clock, now))],
            **_of_fleet(database, want, now, tags),
        }
    )
    yield from (Unchecked(check, "only a daemon's role can tell") for check in _OF_DAEMONS_ROLE)


def _of_fleet(
    database: Database, want: Expected, now: Callable[[], datetime], tags: Collection[str]
) -> dict[str, Check]:
    def retention() -> list[Finding]:
        return database.run(lambda cursor: list(check_retention(want.policy, now(), cursor)))

    def keys() -> list[Finding]:
        fleet = database.run(lambda cursor: _tagged(cursor, tags))
        return list(check_keys(fleet, has_default_key=want.has_default_key))

    return {
        "daemon": lambda: list(check_daemons(database.run(replicas.heartbeats))),
        "API keys": keys,
        "retention": retention,
        "machines": lambda: database.run(machines.findings),
        "minutes": lambda: database.run(lambda cursor: list(check_minutes(cursor, want.policy))),
        "notices": lambda: database.run(lambda cursor: list(check_notices(cursor))),
        "gaps": lambda: list(check_gaps(database.run(lambda c: fleet_overview(c, 0)))),
        "maintenance": lambda: list(
            check_maintenance(database.run(lambda c: overview_with_reasons(c, 0)))
        ),
        "terms": lambda: list(
            check_terms(
                database.run(lambda c: fleet_overview(c, 0)),
                database.run(lambda c: replicas.sync_interval(c, 0)),
            )
        ),
    }


def _tagged(cursor: Cursor, tags: Collection[str]) -> list[Vehicle]:
    only = vehicle_tags.vehicles_with(cursor, tags) if tags else None
    return loading.load_vehicles(cursor, only)


def _each(named: dict[str, Check]) -> Iterator[Finding | Unchecked]:
    """Make checks that do not need each other; a lost database ends them."""
    for name, check in named.items():
        try:
            yield from check()
        except DatabaseLost as error:
            yield fault("database", error.reason, error.hint or checks.READ_ITS_LOG)
            return
        except DatabaseError as error:
            yield Unchecked(name, error.reason)


def check_gaps(fleet: Sequence[VehicleOverview]) -> Iterator[Finding]:
    """Say which vehicles lose data before their gap is pulled, and whose gap is not pulled."""
    losing = [(each.name, each.gap) for each in fleet if each.gap and each.gap.loses_from]
    for name, gap in losing[:NAMED]:
        text = f"[{name}] {gap.remark}, as it drops its oldest measurements"
        yield warning("gaps", text, "give it a better link, or raise CATCH_UP_CONCURRENCY")
    stuck = [(each, each.gap) for each in fleet if each.gap and each.gap.error]
    for vehicle, gap in stuck[:NAMED]:
        if not gap.loses_from:
            remedy = f"`fleetsyncd status {vehicle.id}`, `fleetsyncd vehicle test {vehicle.id}`"
            yield warning("gaps", f"[{vehicle.name}] {gap.remark}", remedy)


def check_maintenance(fleet: Sequence[VehicleOverview]) -> Iterator[Finding]:
    """Say which vehicles are paused or muted: nobody is told of them."""
    paused = [each for each in fleet if each.state is State.PAUSED]
    muted = [each for each in fleet if each.mute is not None and each.state is not State.PAUSED]
    for word, found in (("paused", paused), ("muted", muted)):
        for each in found[:NAMED]:
            yield ok("maintenance", f"[{each.name}] {each.maintenance or word}")
        if len(found) > NAMED:
            yield ok("maintenance", f"{len(found) - NAMED} more are {word}: `fleetsyncd status`")


def check_terms(fleet: Sequence[VehicleOverview], sync_interval_sec: float) -> Iterator[Finding]:
    """Say whose own terms cannot go together any more, as after a rise of SYNC_INTERVAL_SEC."""
    for vehicle in fleet:
        try:
            (vehicle.terms or NO_TERMS).check(sync_interval_sec)
        except CommandError as error:
            command = f"fleetsyncd vehicle set {vehicle.id}"
            remedy = f"`{command} --interval {DEFAULT}`, or `--timeout {DEFAULT}`"
            yield warning("terms", f"[{vehicle.name}] {error}", remedy)


def check_minutes(cursor: Cursor, policy: RetentionPolicy) -> Iterator[Finding]:
    """Say how far minute aggregates are, if they are kept."""
    if policy.minutes_keep_months is None:
        return
    progress = minutes_progress(cursor)
    if progress.is_late:
        behind = age(progress.behind.total_seconds())
        remedy = "set MINUTES_KEEP_MONTHS for every daemon, and read their logs"
        yield warning("minutes", f"they are {behind} behind the measurements", remedy)
    elif progress.due_vehicles:
        text = f"past ones of {progress.due_vehicles} vehicle(s) are still to be computed"
        yield ok("minutes", text)
    else:
        yield ok("minutes", f"complete for {progress.vehicles} vehicle(s)")


def check_keys(fleet: Sequence[Vehicle], *, has_default_key: bool) -> Iterator[Finding]:
    """Say which vehicles have no API key, neither of their own nor the default one."""
    without = [vehicle.name for vehicle in fleet if not vehicle.api_key]
    if without and not has_default_key:
        text = f"{len(without)} vehicle(s) have none of their own, first {without[0]}"
        yield fault("API keys", text, "set VEHICLE_DEFAULT_API_KEY, or `vehicle set --key-file`")
