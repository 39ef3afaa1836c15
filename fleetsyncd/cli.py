"""The commands; `parts` puts together what they need."""

import json
import logging
import os
import sys

import click
import msgspec

from fleetsyncd import __version__, green, process
from fleetsyncd.bootstrap import Parts
from fleetsyncd.commands.backfill import backfill
from fleetsyncd.commands.doctor import doctor
from fleetsyncd.commands.group import EXIT_CODES, PROGRAM, Commands, completion
from fleetsyncd.commands.quarantine import quarantine_group
from fleetsyncd.commands.tables import fleet_table
from fleetsyncd.commands.vehicle import vehicle
from fleetsyncd.database import distribute, migrate, replicas
from fleetsyncd.database.overview import overview
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import DatabaseLost, FleetsyncError

log = logging.getLogger("sync")

EXIT_FAILED = 1
"""Something that was asked about is not well."""
EXIT_IMPOSSIBLE = 2
"""The command could not run."""
EXIT_INTERRUPTED = 130
"""Interrupted, or a question answered with no."""


def main() -> None:
    """Run the command line; every error is one line on standard error."""
    try:
        code = cli.main(prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.Abort:
        code = EXIT_INTERRUPTED
    except click.ClickException as fault:
        context = getattr(fault, "ctx", None)
        name = context.command_path if context else PROGRAM
        click.echo(f"{name}: {fault.format_message()} (try `{name} --help`)", err=True)
        code = EXIT_IMPOSSIBLE
    except FleetsyncError as fault:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            logging.getLogger("sync").debug("traceback", exc_info=True)
        hint = (
            " (`fleetsyncd doctor` looks for the cause)" if isinstance(fault, DatabaseLost) else ""
        )
        click.echo(f"{PROGRAM}: {fault}{hint}", err=True)
        code = EXIT_IMPOSSIBLE
    except BrokenPipeError:
        # Whoever read our output has seen enough: `fleetsyncd status | head` is no fault.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


@click.group(
    cls=Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def cli(context: click.Context) -> None:
    """Pull a fleet's telemetry into PostgreSQL, exactly once.

    Configured by the environment or a .env file; COMMAND --help tells the rest.
    """
    process.keep_secrets()
    context.obj = Parts()


@cli.command()
@click.option("--cycles", type=click.IntRange(1), help="End after so many cycles.")
@click.pass_obj
def run(parts: Parts, cycles: int | None) -> None:
    """Run the daemon.

    It pulls every vehicle each SYNC_INTERVAL_SEC until SIGTERM or SIGINT; running vehicles then get
    SHUTDOWN_GRACE_SEC to finish their window. A second signal ends it at once.
    """
    found = parts.settings()
    log.info(
        "Sync service starting  interval=%gs  timeout=%.1fs  window=%gs",
        found.sync_interval,
        found.pull_timeout,
        found.pull_window,
    )
    process.prepare()
    database = parts.database(found)
    supervisor = parts.supervisor(found, database)
    supervisor.stop_on_signals()
    supervisor.run(cycles)


@cli.command()
@click.pass_obj
def once(parts: Parts) -> int:
    """Run one cycle and end.

    Exit code: 0 every vehicle went well, 1 some failed, 2 it could not run.
    """
    found = parts.settings()
    process.prepare()
    database = parts.database(found)
    supervisor = parts.supervisor(found, database)
    supervisor.stop_on_signals()
    cycle = supervisor.once()
    return EXIT_FAILED if cycle.failed or cycle.ok < cycle.started else 0


@cli.command("migrate")
@click.option("--check", is_flag=True, help="Only tell; exit 1 if something is missing.")
@click.option("--distribute", "spread", is_flag=True, help="Then spread it over a Citus cluster.")
@click.pass_obj
def migrate_command(parts: Parts, check: bool, spread: bool) -> int:
    """Create or upgrade the database's schema.

    To be run as the tables' owner. An existing installation is adopted: what is missing is added,
    nothing is rewritten, and a daemon may go on meanwhile. The role DB_APP_ROLE is granted what a
    daemon needs.

    Exit code: 0 up to date, 1 something is missing (--check only).
    """
    found = parts.settings()
    if check and spread:
        raise click.UsageError("--check and --distribute exclude each other")
    if spread:
        distribute.require_citus(Database(found.database))
    if check:
        missing = migrate.missing(Database(found.database, deadline=green.deadline))
        click.echo(f"missing: {', '.join(missing)}" if missing else "the schema is up to date")
        return EXIT_FAILED if missing else 0
    applied = migrate.migrate(found.database, found.app_role, green.deadline)
    click.echo(f"applied: {', '.join(applied)}" if applied else "the schema is up to date")
    if spread:
        # Without a deadline of ours: rows that are there already take their time.
        tables = distribute.distribute(Database(found.database))
        click.echo(f"distributed: {', '.join(tables) or 'all was before'}")
    return 0


@cli.command()
@click.option("--any-host", is_flag=True, help="Accept a daemon on any host, not only this one.")
@click.pass_obj
def health(parts: Parts, any_host: bool) -> int:
    """Tell whether a daemon is alive.

    Exit code: 0 while a daemon on this host shows a fresh heartbeat in the database, else 1.
    """
    database = parts.database(parts.settings())
    host = None if any_host else replicas.this_host()
    age = database.run(lambda cursor: replicas.newest_beat(cursor, host))
    if age is None:
        click.echo("no daemon has shown a heartbeat")
        return EXIT_FAILED
    fresh = age < replicas.FRESH_SEC
    click.echo(f"{'healthy' if fresh else 'stale'}: last heartbeat {age:.0f} s ago")
    return 0 if fresh else EXIT_FAILED


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@click.pass_obj
def status(parts: Parts, as_json: bool) -> None:
    """Show every vehicle's state, ages, rows and last error.

    SEEN is the time since the vehicle answered, LAG how far the committed data are behind, DATA
    the age of the newest measurement; ROWS are those of the last cycle.
    """
    found = parts.settings()
    database = parts.database(found)
    vehicles = database.run(lambda cursor: overview(cursor, found.sync_interval))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(vehicles), indent=2))
    else:
        click.echo(fleet_table(vehicles))


for _command in (vehicle, backfill, quarantine_group, doctor, completion):
    cli.add_command(_command)
