"""The whole demo: PostgreSQL, simulated vehicles, daemon and dashboard, as in a real installation.

Vehicles, daemon and dashboard are processes of their own, the same that
`simulate`, `run` and `fleetsync-tui` start.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import gevent
from gevent.event import Event

from fleetsyncd.commands.tables import table
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import checker, databases
from fleetsyncd.demo.fleet import VehicleSpec, demo_specs
from fleetsyncd.demo.processes import TERMINATE_SEC, running, simulator
from fleetsyncd.errors import CommandError
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now

DATABASE = "fleet"
LOG = "daemon.log"
POLL_SEC = 0.1
REGISTERED_BEFORE = timedelta(minutes=5)
"""How far back the first pull of a vehicle reaches, unless the vehicle was offline."""
DAEMON = {"PULL_TIMEOUT_SEC": "3", "SHUTDOWN_GRACE_SEC": "2", "VEHICLE_DEFAULT_API_KEY": ""}

_JOURNAL = """
SELECT v.name, count(*) FILTER (WHERE status = 'ok'), count(*) FILTER (WHERE status = 'timeout'),
    count(*) FILTER (WHERE status = 'error'), sum(rows_written),
    (array_agg(error_msg ORDER BY started_at DESC) FILTER (WHERE status <> 'ok'))[1]
FROM public.sync_journal j JOIN public.vehicles v ON v.id = j.vehicle_id
GROUP BY v.name ORDER BY v.name
"""


def run_demo(
    folder: Path,
    *,
    vehicles: int,
    interval: float,
    cycles: int | None,
    dashboard: bool,
    citus: bool = False,
    late: Sequence[float] = (),
) -> int:
    """Run the demo to its end; return 0 if nothing was lost, altered or unexpected.

    It ends after so many cycles, or when the dashboard is quit, or is interrupted.
    """
    with ExitStack() as stack:
        stack.enter_context(_interruptible())
        stack.enter_context(_alone(folder))
        click.echo(f"starting {'a Citus cluster' if citus else 'PostgreSQL'} in .demo/ …")
        server = stack.enter_context(databases.serving(folder, DATABASE, citus=citus))
        database = Database(DatabaseSettings(server.parameters(DATABASE)))
        simulated = stack.enter_context(simulator(vehicles, late=late))
        specs = demo_specs(vehicles, late=late)
        expectations = database.run(lambda cursor: _register(cursor, specs, simulated))
        click.echo(f"{vehicles} simulated vehicles; the daemon pulls them every {interval:g} s")
        environment = {
            **os.environ,
            **DAEMON,
            **server.environment(DATABASE),
            "SYNC_INTERVAL_SEC": f"{interval:g}",
        }
        arguments = ["fleetsyncd", "run", *([] if cycles is None else ["--cycles", str(cycles)])]
        if dashboard:
            with (folder / LOG).open("w") as log, running(arguments, environment, log) as daemon:
                _show_dashboard(daemon, environment)
            click.echo(f"the daemon's log is {folder / LOG}")
        else:
            with running(arguments, environment) as daemon:
                if daemon.wait() != 0:
                    raise CommandError(f"the daemon ended with exit code {daemon.returncode}")
        return _compare(database, expectations)


def _show_dashboard(daemon: "subprocess.Popen[str]", environment: dict[str, str]) -> None:
    """Show the dashboard until it is quit, or the daemon has done its cycles."""
    dashboard = subprocess.Popen([sys.executable, "-m", "tui"], env=environment)
    try:
        while dashboard.poll() is None and daemon.poll() != 0:
            time.sleep(POLL_SEC)
    finally:
        dashboard.terminate()
        dashboard.wait(TERMINATE_SEC)


def _compare(database: Database, expectations: list[checker.Expectation]) -> int:
    click.echo("comparing the database with what the vehicles generated …")
    findings = checker.compare(database, expectations)
    for example in findings.examples:
        click.echo(f"  {example}", err=True)
    click.echo(database.run(_journal))
    click.echo(f"{findings.checked} rows and alarms checked: {findings}")
    return 0 if findings.clean else 1


def _journal(cursor: Cursor) -> str:
    """Return each vehicle's journal, counted, as a table."""
    cursor.execute(_JOURNAL)
    rows = [["" if cell is None else str(cell) for cell in row] for row in cursor.fetchall()]
    return table(["VEHICLE", "OK", "TIMEOUT", "ERROR", "ROWS", "LAST ERROR"], rows)


def _register(
    cursor: Cursor, specs: list[VehicleSpec], simulated: list[dict[str, Any]]
) -> list[checker.Expectation]:
    """Register the vehicles as if they had last been pulled a while ago."""
    now = utc_now()
    expectations = []
    for spec, vehicle in zip(specs, simulated, strict=True):
        start = now - _last_pulled(spec)
        cursor.execute(
            "INSERT INTO public.vehicles (name, vpn_ip, api_port, api_key, last_sync_at)"
            " VALUES (%s, %s::inet, %s, %s, %s) RETURNING id",
            (vehicle["name"], vehicle["host"], vehicle["port"], vehicle["key"], start),
        )
        row = cursor.fetchone()
        expectations.append(_expectation(spec, row and row[0], start))
    return expectations


def _last_pulled(spec: VehicleSpec) -> timedelta:
    if spec.offline_since_s is None:
        return REGISTERED_BEFORE
    return timedelta(seconds=spec.offline_since_s)


def _expectation(spec: VehicleSpec, vehicle_id: Any, start: datetime) -> checker.Expectation:
    delay = timedelta(seconds=spec.faults.commit_delay_s)
    return checker.Expectation(vehicle_id, spec.name, start, delay, lateness=spec.faults.lateness)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the folder: a second demo in it would replace the first one's database."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"another demo is running in {folder}") from None
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the demo as Ctrl-C does, the first one only.

    A plain handler would raise its exception inside gevent's hub, which may lose it when there is
    no terminal any more.
    """
    watchers: list[Any] = []
    main = gevent.getcurrent()

    def interrupt() -> None:
        if not interrupted.is_set():
            interrupted.set()
            gevent.kill(main, KeyboardInterrupt)

    interrupted = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        watchers.append(gevent.signal_handler(number, interrupt))
    try:
        yield
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:
        for watcher in watchers:
            watcher.cancel()
