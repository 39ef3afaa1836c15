"""The command line: `main`, the group of all commands, and the two that run the daemon."""

import logging
import os
import sys

import click

from fleetsyncd import __version__, bootstrap, process
from fleetsyncd.commands.backfill import backfill
from fleetsyncd.commands.completion import completion
from fleetsyncd.commands.doctor import doctor
from fleetsyncd.commands.group import (
    EXIT_CODES,
    EXIT_FAILED,
    EXIT_IMPOSSIBLE,
    EXIT_INTERRUPTED,
    PROGRAM,
    Commands,
)
from fleetsyncd.commands.migrate import migrate_command
from fleetsyncd.commands.quarantine import quarantine_group
from fleetsyncd.commands.status import health, status
from fleetsyncd.commands.vehicle import vehicle
from fleetsyncd.database import pooler
from fleetsyncd.errors import DatabaseLost, FleetsyncError

log = logging.getLogger("sync")


def main() -> None:
    """Run the command line; an error is one line on standard error."""
    try:
        code = cli.main(prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.Abort:
        code = EXIT_INTERRUPTED
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context else PROGRAM
        click.echo(f"{name}: {error.format_message()} (try `{name} --help`)", err=True)
        code = EXIT_IMPOSSIBLE
    except FleetsyncError as error:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            logging.getLogger("sync").debug("traceback", exc_info=True)
        hint = (
            " (`fleetsyncd doctor` looks for the cause)" if isinstance(error, DatabaseLost) else ""
        )
        click.echo(f"{PROGRAM}: {error}{hint}", err=True)
        code = EXIT_IMPOSSIBLE
    except BrokenPipeError:
        # The reader of standard output closed it, as `fleetsyncd status | head` does: no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


@click.group(
    cls=Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Pull a fleet's telemetry into PostgreSQL, exactly once.

    Configured by the environment or a .env file; see COMMAND --help for details.
    """
    process.forbid_core_dumps()


@cli.command()
@click.option("--cycles", type=click.IntRange(1), help="End after so many cycles.")
def run(cycles: int | None) -> None:
    """Run the daemon.

    It pulls every vehicle each SYNC_INTERVAL_SEC until SIGTERM or SIGINT; running vehicles then get
    SHUTDOWN_GRACE_SEC to finish their window. A second signal ends it at once.
    """
    settings = bootstrap.load_settings()
    log.info(
        "Sync service starting  interval=%gs  timeout=%.1fs  window=%gs (first pull only)",
        settings.sync_interval_sec,
        settings.pull_timeout_sec,
        settings.pull_window_sec,
    )
    process.tune()
    database = bootstrap.open_database(settings)
    pooler.require_own_backend(database)
    supervisor = bootstrap.build_supervisor(settings, database)
    supervisor.stop_on_signals()
    supervisor.run(cycles)


@cli.command()
def once() -> int:
    """Run one cycle and end.

    Exit code: 0 every vehicle went well, 1 some failed, 2 it could not run.
    """
    settings = bootstrap.load_settings()
    process.tune()
    database = bootstrap.open_database(settings)
    supervisor = bootstrap.build_supervisor(settings, database)
    supervisor.stop_on_signals()
    summary = supervisor.once()
    return EXIT_FAILED if summary.failed or summary.ok < summary.started else 0


for _command in (
    backfill, completion, doctor, health, migrate_command, quarantine_group, status, vehicle,
):  # fmt: skip
    cli.add_command(_command)
