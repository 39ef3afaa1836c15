"""The commands; `parts` puts together what they need."""

import json
import logging
import sys
from importlib import import_module

import click
import msgspec

from fleetsyncd import __version__, green, process, vehicle_commands
from fleetsyncd.backfill_command import backfill
from fleetsyncd.database import migrate, replicas
from fleetsyncd.database.overview import overview
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.parts import Parts
from fleetsyncd.quarantine_commands import quarantine_group
from fleetsyncd.tables import fleet_table

log = logging.getLogger("sync")

EXIT_FAILED = 1
"""Something that was asked about is not well."""
EXIT_IMPOSSIBLE = 2
"""The command could not run."""


def main() -> None:
    """Run the command line; every error is one line on standard error."""
    try:
        code = cli.main(prog_name="fleetsyncd", standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.Abort:
        code = 130
    except click.ClickException as fault:
        context = getattr(fault, "ctx", None)
        name = context.command_path if context else "fleetsyncd"
        click.echo(f"{name}: {fault.format_message()} (try `{name} --help`)", err=True)
        code = EXIT_IMPOSSIBLE
    except FleetsyncError as fault:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            logging.getLogger("sync").debug("traceback", exc_info=True)
        click.echo(f"fleetsyncd: {fault}", err=True)
        code = EXIT_IMPOSSIBLE
    sys.exit(code)


class _Commands(click.Group):
    """Also offers the demo's commands, imported only when one is named: production has no demo."""

    lazy = ("demo", "simulate")

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(context), *self.lazy])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by its name."""
        if name not in self.lazy:
            return super().get_command(context, name)
        command = getattr(import_module("fleetsyncd.demo.commands"), name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fleetsyncd")
@click.pass_context
def cli(context: click.Context) -> None:
    """Pull a fleet's telemetry, commit it exactly once, and say how far behind each vehicle is."""
    context.obj = Parts()


@cli.command()
@click.option("--cycles", type=click.IntRange(1), help="End after so many cycles.")
@click.pass_obj
def run(parts: Parts, cycles: int | None) -> None:
    """Run the daemon: a sync cycle every SYNC_INTERVAL_SEC, until SIGTERM or SIGINT."""
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
    """Run one cycle: exit 0 if every vehicle went well, 1 if some failed, 2 if it could not run."""
    found = parts.settings()
    process.prepare()
    database = parts.database(found)
    supervisor = parts.supervisor(found, database)
    supervisor.stop_on_signals()
    cycle = supervisor.once()
    return EXIT_FAILED if cycle.failed or cycle.ok < cycle.started else 0


@cli.command("migrate")
@click.option("--check", is_flag=True, help="Only tell; exit 1 if something is missing.")
@click.pass_obj
def migrate_command(parts: Parts, check: bool) -> int:
    """Create or upgrade the schema, as the tables' owner, and grant DB_APP_ROLE its rights."""
    found = parts.settings()
    if check:
        missing = migrate.missing(Database(found.database, deadline=green.deadline))
        click.echo(f"missing: {', '.join(missing)}" if missing else "the schema is up to date")
        return EXIT_FAILED if missing else 0
    applied = migrate.migrate(found.database, found.app_role, green.deadline)
    click.echo(f"applied: {', '.join(applied)}" if applied else "the schema is up to date")
    return 0


@cli.command()
@click.option("--any-host", is_flag=True, help="Accept a daemon on any host, not only this one.")
@click.pass_obj
def health(parts: Parts, any_host: bool) -> int:
    """Exit 0 while a daemon on this host shows a fresh heartbeat, else 1."""
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
    """Show the fleet: state, when last seen, lag, rows of the last cycle, last error."""
    found = parts.settings()
    database = parts.database(found)
    vehicles = database.run(lambda cursor: overview(cursor, found.sync_interval))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(vehicles), indent=2))
    else:
        click.echo(fleet_table(vehicles))


cli.add_command(vehicle_commands.vehicle)
cli.add_command(backfill)
cli.add_command(quarantine_group)
