"""`fleetsyncd health`: is a daemon alive. Run every few seconds, so it imports little.

It is the one command that is not patched for gevent, so its deadline is another thread's.
"""

import sys
import threading
from concurrent.futures import Future

import click

from fleetsyncd import logs, settings
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.database import replicas
from fleetsyncd.database.connect_errors import CHECK_CONNECTION
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.settings import DatabaseSettings

ANSWER_SEC = 12.0
"""More than a connection may take, less than the 15 s that a container gives its probe."""


@click.command()
@click.option("--any-host", is_flag=True, help="Accept a daemon on any host, not only this one.")
def health(any_host: bool) -> int:
    """Tell whether a daemon is alive.

    Exit code: 0 while a daemon on this host shows a fresh heartbeat in the database, else 1.
    """
    configuration = settings.load()
    logs.set_up(configuration.log_level, configuration.log_format, sys.stderr)
    host = None if any_host else replicas.this_host()
    age = _newest_heartbeat_age(configuration.database, host)
    if age is None:
        click.echo("no daemon has shown a heartbeat")
        return EXIT_FAILED
    fresh = age < replicas.FRESH_SEC
    click.echo(f"{'healthy' if fresh else 'stale'}: last heartbeat {age:.0f} s ago")
    return 0 if fresh else EXIT_FAILED


def _newest_heartbeat_age(where: DatabaseSettings, host: str | None) -> float | None:
    """Ask the database in a thread, which may hang with it; raise DatabaseError."""
    answer: Future[float | None] = Future()

    def ask() -> None:
        try:
            database = Database(where)
            migrate.require_current(database)
            answer.set_result(
                database.run(lambda cursor: replicas.newest_heartbeat_age(cursor, host))
            )
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(ANSWER_SEC)
    except TimeoutError:
        text = f"{where.where} did not answer within {ANSWER_SEC:g} s"
        raise DatabaseLost(text, CHECK_CONNECTION) from None
