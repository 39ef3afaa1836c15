"""`fleetsyncd doctor`: what is wrong with an installation, and the command that mends it.

Looks at the configuration, this host, the database and every vehicle's four calls; changes nothing.
"""

import json
import os
import re
import resource
import socket
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from fleetsyncd import __version__, bootstrap
from fleetsyncd.commands.tables import table
from fleetsyncd.database import replicas, store
from fleetsyncd.database.pool import Database
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.schema import checks
from fleetsyncd.errors import SettingsError
from fleetsyncd.findings import Finding, Level, fault, ok, warning
from fleetsyncd.models import Vehicle
from fleetsyncd.settings import DATABASE_PARTS, Settings
from fleetsyncd.times import utc_now
from fleetsyncd.vehicle.probe import Verdict, probe

DOTENV = Path(".env")
SPARE_FILES = 64
"""Open files beside one per vehicle and one per database connection."""
AT_ONCE = 50
"""Vehicles that are tried at the same time."""
NAMED = 20
"""Vehicles that are named before the rest is counted."""
OUTAGE_FROM = 3
"""Vehicles that must all be silent before the network is blamed instead of them."""
_SILENT = r"^(no connection|connecting timed out|no complete answer)"
_REMEDIES = (
    (r"HTTP (401|403|422)|API key", "fleetsyncd vehicle set '{name}' --key-file FILE"),
    (r"HTTP 503", "restart the vehicle's own database"),
    (_SILENT, "ping {host}; or, if it is meant to be off, fleetsyncd vehicle pause '{name}'"),
)


@click.command()
@click.option("--vehicles/--no-vehicles", default=True, help="Also try every vehicle's four calls.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def doctor(vehicles: bool, as_json: bool) -> int:
    """Find what is wrong here, and say what mends it.

    Checks the configuration, this host, the database with its roles, rights, row level security,
    schema, partitions and clock, and every vehicle's four calls. Changes nothing.

    Exit code: 0 no fault (warnings are none), 1 some fault.
    """
    findings = list(examine(with_vehicles=vehicles))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        click.echo(_report(findings))
    return 1 if any(finding.level is Level.FAULT for finding in findings) else 0


def _report(findings: Sequence[Finding]) -> str:
    rows = []
    for finding in findings:
        rows.append([finding.level.value, finding.check, finding.text])
        if finding.remedy is not None:
            rows.append(["", "", f"-> {finding.remedy}"])
    bad = [finding.level for finding in findings]
    counts = f"{bad.count(Level.FAULT)} fault(s), {bad.count(Level.WARNING)} warning(s)"
    return f"{table(['', 'CHECK', 'WHAT'], rows)}\n{counts}"


def examine(*, with_vehicles: bool) -> Iterator[Finding]:
    """Yield what every check says; checks that need what is broken are left out."""
    try:
        settings = bootstrap.load_settings()
    except SettingsError as error:
        for line in str(error).splitlines()[1:]:
            yield fault("configuration", line.strip(), "set it right in the environment or in .env")
        return
    yield from _configuration(settings)
    database = bootstrap.open_any_database(settings)
    told = list(checks.run_checks(database, settings.database.pool_size, utc_now))
    yield from told
    if not any(finding.level is Level.FAULT for finding in told):
        yield from _installation(settings, database, with_vehicles)
    database.close()


def _configuration(settings: Settings) -> Iterator[Finding]:
    told = [*_secrets_file(), *_contradictions(settings)]
    yield from told or [ok("configuration", f"a cycle every {settings.sync_interval:g} s")]


def _secrets_file() -> Iterator[Finding]:
    if DOTENV.exists() and DOTENV.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning("configuration", ".env can be read by other users", "chmod 600 .env")


def _contradictions(settings: Settings) -> Iterator[Finding]:
    parts = [name for name in DATABASE_PARTS if os.environ.get(name)]
    if parts and os.environ.get("DATABASE_URL"):
        text = f"DATABASE_URL is set, so {', '.join(parts)} mean nothing"
        yield warning("configuration", text, "unset one or the other")
    if settings.pull_timeout >= settings.sync_interval:
        text = f"PULL_TIMEOUT_SEC {settings.pull_timeout:g} is not under SYNC_INTERVAL_SEC"
        remedy = f"set PULL_TIMEOUT_SEC to {settings.sync_interval / 3:g} or less"
        yield warning("configuration", text, remedy)


def _installation(settings: Settings, database: Database, with_vehicles: bool) -> Iterator[Finding]:
    beats = database.run(replicas.heartbeats)
    yield from _daemons(beats)
    yield from _metrics_port(settings, beats)
    fleet = sorted(database.run(store.load_vehicles), key=lambda vehicle: vehicle.name)
    yield _files(len(fleet), settings.database.pool_size)
    yield from _keys(settings, fleet)
    if with_vehicles:
        yield from _vehicles(settings, fleet)


def _daemons(beats: Sequence[Heartbeat]) -> Iterator[Finding]:
    fresh = [beat for beat in beats if beat.age < replicas.FRESH_SEC]
    if not beats:
        yield ok("daemon", "none is running")
    elif not fresh:
        text = f"the last one, on {beats[0].host}, was silent for {beats[0].age:.0f} s"
        yield warning("daemon", text, f"look at its log on {beats[0].host}, start it again")
    for beat in fresh:
        if beat.version == __version__:
            yield ok("daemon", f"alive on {beat.host}")
        else:
            text = f"the one on {beat.host} is version {beat.version}, this is {__version__}"
            yield warning("daemon", text, f"restart the daemon on {beat.host}")


def _metrics_port(settings: Settings, beats: Sequence[Heartbeat]) -> Iterator[Finding]:
    """Try the port, unless a daemon of this host may be what holds it."""
    here = any(beat.host == replicas.this_host() for beat in beats)
    if settings.metrics_port is None or here:
        return
    address = (settings.metrics_host, settings.metrics_port)
    try:
        family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET
        socket.create_server(address, family=family).close()
    except OSError as error:
        text = f"METRICS_PORT {settings.metrics_port} cannot be opened: {error.strerror}"
        yield fault("metrics", text, "choose another METRICS_PORT, or end what listens there")


def _files(vehicles: int, pool_size: int) -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = vehicles + pool_size + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        text = f"{hard} are allowed, {vehicles} vehicles need {needed}"
        remedy = f"ulimit -n {needed}; under systemd LimitNOFILE={needed}, in compose ulimits"
        return fault("open files", text, remedy)
    return ok("open files", f"{needed} needed, the system allows them")


def _keys(settings: Settings, fleet: Sequence[Vehicle]) -> Iterator[Finding]:
    without = [vehicle.name for vehicle in fleet if not vehicle.api_key]
    if without and not settings.default_api_key:
        text = f"{len(without)} vehicle(s) have none of their own, first {without[0]}"
        yield fault("API keys", text, "set VEHICLE_DEFAULT_API_KEY, or `vehicle set --key-file`")


def _vehicles(settings: Settings, fleet: Sequence[Vehicle]) -> Iterator[Finding]:
    active = [vehicle for vehicle in fleet if not vehicle.paused]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        verdicts = list(threads.map(partial(_try, settings), active))
    failed = [
        (vehicle, next(tried for tried in tries if not tried.good))
        for vehicle, tries in zip(active, verdicts, strict=True)
        if not all(tried.good for tried in tries)
    ]
    silent = sum(bool(re.match(_SILENT, tried.text)) for _, tried in failed)
    if silent == len(active) >= OUTAGE_FROM:
        text = f"none of {silent} answers"
        yield fault("vehicles", text, "check this host's VPN: `wg show`, `ip route`")
        return
    yield ok("vehicles", f"{len(active) - len(failed)} of {len(active)} answer all four calls")
    for vehicle, tried in failed[:NAMED]:
        yield fault(
            "vehicles", f"[{vehicle.name}] {tried.call}: {tried.text}", _cure(vehicle, tried)
        )
    if len(failed) > NAMED:
        yield fault("vehicles", f"and {len(failed) - NAMED} more", "fleetsyncd status")
    for vehicle, tries in zip(active, verdicts, strict=True):
        for tried in tries:
            if tried.skewed:
                text = f"[{vehicle.name}] {tried.text}"
                yield warning("vehicles", text, "set its clock: it has no GPS fix, or no NTP")


def _try(settings: Settings, vehicle: Vehicle) -> list[Verdict]:
    client = bootstrap.vehicle_client(settings, vehicle.host, vehicle.port, vehicle.api_key)
    try:
        return probe(client, utc_now)
    finally:
        client.close()


def _cure(vehicle: Vehicle, tried: Verdict) -> str:
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, tried.text):
            return remedy.format(name=vehicle.name, host=vehicle.host)
    return f"fleetsyncd vehicle test '{vehicle.name}'"
