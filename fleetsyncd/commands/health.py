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
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.schema import migrate
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.settings import DatabaseSettings

ANSWER_SEC = 12.0
"""More than a connection may take, less than the 15 s that a container gives its probe."""


@click.command()
@click.option("--any-host", is_flag=True, help="Accept a daemon on any host, not only this one.")
@click.option("--daemon", metavar="NAME", help="Ask for this daemon, on whichever host it is.")
def health(any_host: bool, daemon: str | None) -> int:
    """Tell whether a daemon is alive and stores what it pulls.

    Exit code: 0 while a daemon on this host (with DAEMON_NAME set, the one of that name) shows a
    fresh heartbeat in the database, and could store the last cycle of every vehicle; else 1, as on
    a full disk.
    """
    configuration = settings.load()
    logs.set_up(configuration.log_level, configuration.log_format, sys.stderr)
    host = None if any_host or daemon else replicas.this_host()
    name = daemon or (None if any_host else configuration.daemon_name)
    heartbeats = _heartbeats(configuration.database, host, name)
    if not heartbeats:
        click.echo("no daemon has shown a heartbeat")
        return EXIT_FAILED
    last = heartbeats[0].last_text
    fresh = [heartbeat for heartbeat in heartbeats if heartbeat.alive]
    failing = next((each.unstored for each in fresh if each.unstored.vehicles), None)
    if not fresh:
        click.echo(f"stale: {last}")
    elif failing:
        click.echo(f"failing: {failing}; {last}")
    else:
        click.echo(f"healthy: {last}")
    return 0 if fresh and not failing else EXIT_FAILED


def _heartbeats(where: DatabaseSettings, host: str | None, name: str | None) -> list[Heartbeat]:
    """Return the heartbeats of a host, of a name, or all, the freshest first; raise DatabaseError.

    The database is asked in a thread, which may hang with it.
    """
    answer: Future[list[Heartbeat]] = Future()

    def ask() -> None:
        try:
            database = Database(where)
            migrate.require_current(database)
            known = database.run(replicas.heartbeats)
            answer.set_result([each for each in known if _is_meant(each, host, name)])
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(ANSWER_SEC)
    except TimeoutError:
        text = f"{where.where} did not answer within {ANSWER_SEC:g} s"
        raise DatabaseLost(text, CHECK_CONNECTION) from None


def _is_meant(heartbeat: Heartbeat, host: str | None, name: str | None) -> bool:
    return host in (None, heartbeat.host) and name in (None, heartbeat.name)
