"""`fleetsyncd migrate`: create or upgrade the schema."""

from collections.abc import Sequence

import click

from fleetsyncd import bootstrap, green
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import adoption, citus, indexes, migrate
from fleetsyncd.database.schema.lock_waits import Patience
from fleetsyncd.times import parse_length


def _check(database: Database) -> int:
    """Tell what is missing, and what does not fit; return the exit code."""
    missing = migrate.missing_migrations(database)
    missing += [index.name for index in database.run(indexes.missing_indexes)]
    misfits = database.run(adoption.misfits)
    _tell("missing", missing, database)
    for misfit in misfits:
        click.echo(f"does not fit: {misfit}")
    return EXIT_FAILED if missing or misfits else 0


def _tell(word: str, names: Sequence[str], database: Database) -> None:
    """Print the names, if there are any, and whether a newer program was here."""
    if names:
        click.echo(f"{word}: {', '.join(names)}")
    if newer := migrate.newer_schema(database):
        click.echo(f"{newer} ({migrate.UPGRADE})")
    elif not names:
        click.echo("the schema is up to date")


@click.command("migrate")
@click.option("--check", is_flag=True, help="Only check; exit 1 if something is missing.")
@click.option(
    "--wait",
    metavar="LENGTH",
    default="10m",
    show_default=True,
    help="How long another session may stand in the way of a step.",
)
@click.option(
    "--distribute", "distribute", is_flag=True, help="Then distribute it over a Citus cluster."
)
def migrate_command(check: bool, wait: str, distribute: bool) -> int:
    """Create or upgrade the database's schema.

    To be run as the tables' owner. An existing installation is adopted: what is missing is added,
    nothing is rewritten. A daemon may run meanwhile: no step keeps it waiting for more than a
    moment. What is done stays done, so it may be interrupted and run again at any time. The role
    DB_APP_ROLE is granted the rights of a daemon.

    Exit code: 0 up to date, 1 something is missing (--check only).
    """
    settings = bootstrap.load_settings()
    if check and distribute:
        raise click.UsageError("--check and --distribute exclude each other")
    if distribute:
        citus.require_citus(Database(settings.database))
    database = Database(settings.database, deadline=green.deadline)
    if check:
        return _check(database)
    patience = Patience(parse_length(wait).total_seconds())
    done = migrate.migrate(settings.database, settings.db_app_role, green.deadline, patience)
    applied = [*done.migrations, *done.indexes]
    _tell("applied", applied, database)
    if distribute:
        # Without a deadline: rows that exist already take as long as they take.
        tables = citus.distribute(Database(settings.database))
        click.echo(f"distributed: {', '.join(tables) or 'all was before'}")
    return 0
