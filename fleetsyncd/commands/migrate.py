"""`fleetsyncd migrate`: create or upgrade the schema."""

from collections.abc import Sequence

import click

from fleetsyncd import bootstrap, green
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import adoption, citus, indexes, migrate, tidy
from fleetsyncd.database.schema.lock_waits import Patience
from fleetsyncd.settings import Settings
from fleetsyncd.text import size
from fleetsyncd.times import parse_length, utc_now


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


def _tidy(settings: Settings, patience: Patience) -> int:
    """Tidy closed months, and tell what that has saved; return the exit code."""
    done = tidy.tidy_all(settings.database, utc_now, green.deadline, patience)
    for each in done.tidied:
        click.echo(f"tidied: {each.name}, {size(each.saved_bytes)} less")
    for error in done.failed:
        click.echo(f"not tidied: {error}")
    if not done.tidied and not done.failed:
        click.echo("no closed month takes more than it needs")
    return EXIT_FAILED if done.failed else 0


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
@click.option("--tidy", "with_tidying", is_flag=True, help="Then tidy all months that are closed.")
def migrate_command(check: bool, wait: str, distribute: bool, with_tidying: bool) -> int:
    """Create or upgrade the database's schema.

    To be run as the tables' owner. An existing installation is adopted: what is missing is added,
    nothing is rewritten. A daemon may run meanwhile: no step keeps it waiting for more than a
    moment. What is done stays done, so it may be interrupted and run again at any time. The role
    DB_APP_ROLE is granted the rights of a daemon.

    --tidy does at once what a daemon does by and by, and what it lacks the right to before
    PostgreSQL 17: the keys of months that are over are written anew, which takes a quarter off
    them. The fleet goes on meanwhile.

    Exit code: 0 up to date, 1 something is missing (--check) or could not be tidied (--tidy).
    """
    settings = bootstrap.load_settings()
    if check and (distribute or with_tidying):
        raise click.UsageError("--check excludes --distribute and --tidy")
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
    return _tidy(settings, patience) if with_tidying else 0
