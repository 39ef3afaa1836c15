"""`make citus`: a cluster with a distributed database, until it is interrupted.

Its data stay, so it may be started again with what is in it.
"""

import shlex
import signal
import sys
from pathlib import Path

import click

from fleetsyncd.database.session_settings import ROLE
from fleetsyncd.demo import citus_cluster
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.demo.embedded import APP, OWNER
from fleetsyncd.errors import CommandError

FOLDER = Path(".demo") / citus_cluster.FOLDER
DATABASE = "fleet"
# The first is for the coordinator; the workers are told what each transaction sets.
_OPTIONS = f"-c app.user_role={ROLE} -c citus.propagate_set_commands=local"
_EXISTS = "SELECT datname FROM pg_database WHERE datname = %s"


def serve(folder: Path) -> None:
    """Start the cluster, distribute its database, print how to connect; stop when interrupted."""
    cluster = citus_cluster.start(folder)
    try:
        if not cluster.query("postgres", _EXISTS, DATABASE):
            cluster.create_database(DATABASE)
        citus_cluster.distribute(cluster, DATABASE)
        click.echo(connecting(cluster))
        signal.pause()
    finally:
        cluster.stop()


def connecting(cluster: CitusCluster) -> str:
    """Return what a person needs to know to use the cluster."""
    environment = cluster.environment(DATABASE)
    daemon = [f"{name}={shlex.quote(value)}" for name, value in environment.items() if value]
    return "\n".join(
        [
            "",
            f"coordinator: {cluster.host}",
            *(f"worker:      {worker.host}" for worker in cluster.workers),
            "",
            f"as the daemon:  PGOPTIONS='{_OPTIONS}' {_psql(cluster, APP)}",
            f"  and there:    BEGIN; SET LOCAL app.user_role = '{ROLE}'; SELECT ...; COMMIT;",
            f"as the owner:   {_psql(cluster, OWNER)}",
            f"as superuser:   {_psql(cluster, 'postgres')}",
            f"a daemon on it: {' '.join(daemon)} .venv/bin/fleetsyncd run",
            "",
            "Ctrl-C stops all nodes; the data stay.",
        ]
    )


def _psql(cluster: CitusCluster, user: str) -> str:
    program = str(cluster.cluster.binaries / "psql")
    return shlex.join([program, "-h", cluster.host, "-U", user, DATABASE])


def main() -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP; print an error as one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        serve(FOLDER)
    except KeyboardInterrupt:
        return 0
    except CommandError as error:
        click.echo(f"error: {error}", err=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
