"""The command line: `main`, the group of all commands, and the two that run the daemon."""

import logging
import re
import sys
from typing import TYPE_CHECKING

import click

from fleetsyncd import __version__, process, signals, streams
from fleetsyncd.commands.group import (
    EXIT_CODES,
    EXIT_FAILED,
    EXIT_IMPOSSIBLE,
    EXIT_INTERRUPTED,
    PROGRAM,
    Commands,
)
from fleetsyncd.errors import DatabaseLost, FleetsyncError

if TYPE_CHECKING:
    from fleetsyncd.sync.supervisor import Supervisor

log = logging.getLogger("sync")

MAX_CYCLES = 1_000_000_000
_LONG_WORD = re.compile(r"(\S{50})\S{30,}")
"""What a message about a wrong word of the command line repeats only the beginning of."""


def main() -> None:
    """Run the command line; an error is one line on standard error."""
    streams.prepare()
    signals.end_on_signals()
    code = _exit_code()
    streams.finish()
    sys.exit(code)


def _exit_code() -> int:
    """Run the command line and return its exit code; tell why it is not 0."""
    try:
        # Without standalone mode, click returns what the command returns.
        return int(cli.main(prog_name=PROGRAM, standalone_mode=False) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (signals.EndedBySignal, click.Abort):
        return _interrupted()
    except click.exceptions.NoArgsIsHelpError as error:
        streams.tell(error.format_message())
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context else PROGRAM
        reason = _LONG_WORD.sub(r"\1…", " ".join(error.format_message().split()))
        streams.tell(f"{name}: {reason} (try `{name} --help`)")
    except streams.OutputLost as error:
        streams.tell(f"{PROGRAM}: the output cannot be written: {error}")
    except FleetsyncError as error:
        if signals.received() is not None:
            return _interrupted()  # the error is one of what the signal has cut off
        logging.getLogger("sync").debug("traceback", exc_info=True)
        lost = isinstance(error, DatabaseLost)
        hint = " (`fleetsyncd doctor` looks for the cause)" if lost else ""
        streams.tell(f"{PROGRAM}: {error}{hint}")
    return EXIT_IMPOSSIBLE


def _interrupted() -> int:
    """Tell which signal has ended the command, if one has; return the exit code.

    A question may take the signal's exception for the end of its input.
    """
    number = signals.received()
    if number is None:
        return EXIT_INTERRUPTED
    streams.tell(f"{PROGRAM}: ended by {number.name}: what was not committed is rolled back")
    return 128 + number


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
@click.option("--cycles", type=click.IntRange(1, MAX_CYCLES), help="End after so many cycles.")
def run(cycles: int | None) -> None:
    """Run the daemon.

    It pulls every vehicle each SYNC_INTERVAL_SEC until SIGTERM, SIGINT or SIGHUP; running vehicles
    then get SHUTDOWN_GRACE_SEC to finish their window. A second signal ends it at once. Under nohup
    SIGHUP is ignored.
    """
    try:
        supervisor = _start_daemon()
    except (signals.EndedBySignal, FleetsyncError):
        if signals.received() is None:
            raise
        log.info("Sync service stopped before its first cycle")
        return
    supervisor.run(cycles)


def _start_daemon() -> "Supervisor":
    """Return the daemon, which has its own handlers of signals then."""
    from fleetsyncd import bootstrap  # noqa: PLC0415  the other commands need no daemon
    from fleetsyncd.database import pooler  # noqa: PLC0415

    settings = bootstrap.load_settings(log_to=sys.stdout)
    log.info(
        "Sync service starting  interval=%gs  timeout=%.1fs  window=%gs (first pull only)"
        "  times=UTC",
        settings.sync_interval_sec,
        settings.pull_timeout_sec,
        settings.pull_window_sec,
    )
    process.tune()
    database = bootstrap.open_database(settings)
    pooler.require_own_backend(database)
    bootstrap.warn_of_newer_schema(database)
    supervisor = bootstrap.build_supervisor(settings, database)
    supervisor.stop_on_signals()
    signals.raise_received()
    return supervisor


@cli.command()
def once() -> int:
    """Run one cycle and end.

    Exit code: 0 every vehicle went well, 1 some failed, 2 it could not run.
    """
    from fleetsyncd import bootstrap  # noqa: PLC0415  the other commands need no daemon

    settings = bootstrap.load_settings(log_to=sys.stdout)
    process.tune()
    database = bootstrap.open_database(settings)
    bootstrap.warn_of_newer_schema(database)
    supervisor = bootstrap.build_supervisor(settings, database, live=False)
    supervisor.stop_on_signals()
    signals.raise_received()
    summary = supervisor.once()
    return EXIT_FAILED if summary.failed or summary.ok < summary.started else 0
