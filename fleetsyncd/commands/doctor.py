"""`fleetsyncd doctor`: find what is wrong with an installation, and name what mends it.

Checks the configuration, this host, the database and every vehicle's four calls; changes nothing.
"""

import resource
import shlex
import socket
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import click

from fleetsyncd import bootstrap, environment
from fleetsyncd.commands.json_output import print_list
from fleetsyncd.commands.parameters import json_option
from fleetsyncd.commands.tables import table
from fleetsyncd.database import (
    loading,
    machines,
    replicas,
)
from fleetsyncd.database.pool import Database
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.retention_kinds import retention_policy
from fleetsyncd.database.schema import checks
from fleetsyncd.database.schema.daemon_checks import check_daemons
from fleetsyncd.database.schema.fleet_checks import (
    check_gaps,
    check_keys,
    check_maintenance,
    check_minutes,
    check_terms,
)
from fleetsyncd.database.schema.notice_checks import check_disk, check_notices
from fleetsyncd.database.schema.retention_check import check_retention
from fleetsyncd.database.schema.tidy_check import check_tidying
from fleetsyncd.database.views.lateness import overview_with_reasons
from fleetsyncd.environment import DOTENV
from fleetsyncd.errors import (
    AddressUnusable,
    KeyUnusable,
    OtherMachine,
    RefusalCause,
    SettingsError,
    VehicleError,
    VehicleRefused,
    VehicleTimeout,
    VehicleUnreachable,
)
from fleetsyncd.findings import Finding, Level, fault, ok, warning
from fleetsyncd.models import Vehicle
from fleetsyncd.settings import DATABASE_PARTS, Settings
from fleetsyncd.states import OUTAGE_FROM
from fleetsyncd.sync.identity import remark_on_name
from fleetsyncd.text import NEWLINE, REPLACEMENT
from fleetsyncd.times import utc_now
from fleetsyncd.vehicle.probe import Verdict, probe

SPARE_FILES = 64
"""Open files beside one per vehicle and one per database connection."""
AT_ONCE = 50
"""Vehicles that are tried at the same time."""
NAMED = 20
"""Vehicles that are named before the rest is counted."""


@click.command()
@click.option(
    "--vehicles/--no-vehicles",
    default=True,
    show_default=True,
    help="Also try every vehicle's four calls.",
)
@json_option
def doctor(vehicles: bool, as_json: bool) -> int:
    """Find what is wrong here, and say what mends it.

    Checks the configuration, this host, the database with its roles, rights, row level security,
    schema, partitions and clock, and every vehicle's four calls. Changes nothing.

    Exit code: 0 no fault (warnings are none), 1 some fault.
    """
    findings = list(examine(with_vehicles=vehicles))
    if as_json:
        print_list(findings)
    else:
        click.echo(_report(findings))
    return 1 if any(finding.level is Level.FAULT for finding in findings) else 0


def _report(findings: Sequence[Finding]) -> str:
    rows = []
    for finding in findings:
        rows.append([finding.level.value, finding.check, finding.text])
        if finding.remedy is not None:
            rows.append(["", "", f"-> {finding.remedy}"])
    levels = [finding.level for finding in findings]
    counts = f"{levels.count(Level.FAULT)} fault(s), {levels.count(Level.WARNING)} warning(s)"
    return f"{table(['', 'CHECK', 'WHAT'], rows)}\n{counts}"


def examine(*, with_vehicles: bool) -> Iterator[Finding]:
    """Yield the findings of all checks, without those that need what is broken."""
    try:
        settings = bootstrap.load_settings()
    except SettingsError as error:
        for line in str(error).splitlines()[1:]:
            yield fault("configuration", line.strip(), "set it right in the environment or in .env")
        return
    yield from _configuration(settings)
    database = bootstrap.open_any_database(settings)
    findings = list(checks.run_checks(database, settings.database.pool_size, utc_now))
    yield from findings
    if not any(finding.level is Level.FAULT for finding in findings):
        yield from _installation(settings, database, with_vehicles)
    database.close()


def _configuration(settings: Settings) -> Iterator[Finding]:
    yield from _secrets_file()
    yield from _notice_targets(settings)
    yield from _contradictions(settings)
    yield ok("configuration", f"a cycle every {settings.sync_interval_sec:g} s, {_origin()}")


def _origin() -> str:
    """Return where the settings come from."""
    try:
        place = DOTENV.resolve()
    except OSError:
        return "from the environment; the working directory is gone"
    return f"with {place}" if place.is_file() else f"from the environment; there is no {place}"


def _secrets_file() -> Iterator[Finding]:
    if DOTENV.is_file() and DOTENV.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning("configuration", ".env can be read by other users", "chmod 600 .env")


def _notice_targets(settings: Settings) -> Iterator[Finding]:
    """Say which targets of notices are none."""
    try:
        bootstrap.notice_targets(settings)
    except SettingsError as error:
        for line in str(error).splitlines()[1:]:
            yield fault("notices", line.strip(), "set it right: the daemon does not start with it")


def _contradictions(settings: Settings) -> Iterator[Finding]:
    variables = environment.read((*DATABASE_PARTS, "DATABASE_URL")).values
    parts = [name for name in DATABASE_PARTS if name in variables]
    if parts and "DATABASE_URL" in variables:
        text = f"DATABASE_URL is set, so {', '.join(parts)} are ignored"
        yield warning("configuration", text, "unset one or the other")
    if settings.pull_timeout_sec >= settings.sync_interval_sec:
        text = f"PULL_TIMEOUT_SEC {settings.pull_timeout_sec:g} is not less than SYNC_INTERVAL_SEC"
        remedy = f"set PULL_TIMEOUT_SEC to {settings.sync_interval_sec / 3:g} or less"
        yield warning("configuration", text, remedy)


def _installation(settings: Settings, database: Database, with_vehicles: bool) -> Iterator[Finding]:
    heartbeats = database.run(replicas.heartbeats)
    yield from check_daemons(heartbeats)
    yield from _metrics_port(settings, heartbeats)
    fleet = sorted(database.run(loading.load_vehicles), key=lambda vehicle: vehicle.name)
    yield _files(len(fleet), settings.database.pool_size)
    yield from check_keys(fleet, has_default_key=bool(settings.vehicle_default_api_key))
    policy = retention_policy(settings)
    yield from database.run(lambda cursor: list(check_retention(policy, utc_now(), cursor)))
    check = partial(
        check_tidying, utc_now(), settings.tidy_after, settings.measurements_keep_months
    )
    yield from database.run(lambda cursor: list(check(cursor)))
    yield from database.run(machines.findings)
    yield from database.run(lambda cursor: list(check_notices(cursor)))
    if settings.notify_urls or settings.notify_config is not None:
        yield from database.run(lambda cursor: list(check_disk(cursor)))
    yield from database.run(lambda cursor: list(check_minutes(cursor, policy)))
    interval = settings.sync_interval_sec
    overview = database.run(lambda c: overview_with_reasons(c, interval))
    yield from check_gaps(overview)
    yield from check_maintenance(overview)
    yield from check_terms(overview, database.run(lambda c: replicas.sync_interval(c, interval)))
    if with_vehicles:
        yield from _vehicles(settings, database, fleet)


def _metrics_port(settings: Settings, heartbeats: Sequence[Heartbeat]) -> Iterator[Finding]:
    """Try the port, unless a daemon on this host may be using it."""
    here = any(heartbeat.host == replicas.this_host() for heartbeat in heartbeats)
    if settings.metrics_port is None or here:
        return
    address = (settings.metrics_host, settings.metrics_port)
    try:
        family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET
        socket.create_server(address, family=family).close()
    except OSError as error:
        text = f"METRICS_PORT {settings.metrics_port} cannot be opened: {error.strerror}"
        yield fault("metrics", text, "choose another METRICS_PORT, or stop what uses it")


def _files(vehicles: int, pool_size: int) -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = vehicles + pool_size + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        text = f"{hard} are allowed, {vehicles} vehicles need {needed}"
        remedy = f"ulimit -n {needed}; under systemd LimitNOFILE={needed}, in compose ulimits"
        return fault("open files", text, remedy)
    return ok("open files", f"{needed} needed, the system allows them")


def _vehicles(
    settings: Settings, database: Database, fleet: Sequence[Vehicle]
) -> Iterator[Finding]:
    active = [vehicle for vehicle in fleet if not vehicle.paused]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        verdicts = list(threads.map(partial(_try, settings, database), active))
    failed = [
        (vehicle, next(verdict for verdict in tried if not verdict.good))
        for vehicle, tried in zip(active, verdicts, strict=True)
        if not all(verdict.good for verdict in tried)
    ]
    silent = sum(_is_silent(verdict.error) for _, verdict in failed)
    if silent == len(active) >= OUTAGE_FROM:
        text = f"none of {silent} answers"
        yield fault("vehicles", text, "check this host's VPN: `wg show`, `ip route`")
        return
    yield ok("vehicles", f"{len(active) - len(failed)} of {len(active)} answer all four calls")
    for vehicle, verdict in failed[:NAMED]:
        text = f"[{vehicle.name}] {verdict.call}: {verdict.text}"
        yield fault("vehicles", text, _remedy(vehicle, verdict.error))
    if len(failed) > NAMED:
        yield fault("vehicles", f"and {len(failed) - NAMED} more", "fleetsyncd status")
    for vehicle, tried in zip(active, verdicts, strict=True):
        for verdict in tried:
            if verdict.skewed:
                text = f"[{vehicle.name}] {verdict.text}"
                yield warning("vehicles", text, "set its clock: it has no GPS fix, or no NTP")


def _try(settings: Settings, database: Database, vehicle: Vehicle) -> list[Verdict]:
    client = bootstrap.vehicle_client(settings, vehicle)
    try:
        return probe(
            client, utc_now, lambda status: remark_on_name(database, vehicle, status.id_hint)
        )
    finally:
        client.close()


def _is_silent(error: VehicleError | None) -> bool:
    return isinstance(error, VehicleTimeout | VehicleUnreachable)


def _remedy(vehicle: Vehicle, error: VehicleError | None) -> str:
    cause = error.cause if isinstance(error, VehicleRefused) else None
    which = _shell_word(vehicle)
    if cause is RefusalCause.KEY or isinstance(error, KeyUnusable):
        return f"fleetsyncd vehicle set {which} --key-file FILE"
    if isinstance(error, AddressUnusable):
        return f"fleetsyncd vehicle set {which} --address ADDRESS --port PORT"
    if isinstance(error, OtherMachine):
        return f"fleetsyncd vehicle swap {which} OTHER"
    if cause is RefusalCause.DATABASE:
        return "restart the vehicle's own database"
    if cause is RefusalCause.PAGE:
        return f"a proxy or portal answers in its place: look what is at {vehicle.host}"
    if _is_silent(error):
        pause = f"fleetsyncd vehicle pause {which}"
        return f"ping {vehicle.host}; or, if it is meant to be off, {pause}"
    return f"fleetsyncd vehicle test {which}"


def _shell_word(vehicle: Vehicle) -> str:
    """Return what names a vehicle in a command: its id if its name looks like an option or is cut.

    An adopted name may have characters that are not shown as they are stored.
    """
    name = vehicle.name
    is_altered = any(each in name for each in (REPLACEMENT, NEWLINE, "…"))
    return str(vehicle.id) if is_altered or name.startswith("-") else shlex.quote(name)
