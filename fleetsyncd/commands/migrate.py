"""`fleetsyncd migrate`: create or upgrade the schema."""

import click

from fleetsyncd import bootstrap, green
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import adoption, citus, migrate


def _check(database: Database) -> int:
    """Tell what is missing, and what does not fit; return the exit code."""
    missing = migrate.missing_migrations(database)
    misfits = database.run(adoption.misfits)
    click.echo(f"missing: {', '.join(missing)}" if missing else "the schema is up to date")
    for misfit in misfits:
        click.echo(f"does not fit: {misfit}")
    return EXIT_FAILED if missing or misfits else 0


@click.command("migrate")
@click.option("--check", is_flag=True, help="Only check; exit 1 if something is missing.")
@click.option(
    "--distribute", "distribute", is_flag=True, help="Then distribute it over a Citus cluster."
)
def migrate_command(check: bool, distribute: bool) -> int:
    """Create or upgrade the database's schema.

    To be run as the tables' owner. An existing installation is adopted: what is missing is added,
    nothing is rewritten, and a daemon may run meanwhile. The role DB_APP_ROLE is granted the rights
    of a daemon.

    Exit code: 0 up to date, 1 something is missing (--check only).
    """
    settings = bootstrap.load_settings()
    if check and distribute:
        raise click.UsageError("--check and --distribute exclude each other")
    if distribute:
        citus.require_citus(Database(settings.database))
    if check:
        return _check(Database(settings.database, deadline=green.deadline))
    applied = migrate.migrate(settings.database, settings.db_app_role, green.deadline)
    click.echo(f"applied: {', '.join(applied)}" if applied else "the schema is up to date")
    if distribute:
        # Without a deadline: rows that exist already take as long as they take.
        tables = citus.distribute(Database(settings.database))
        click.echo(f"distributed: {', '.join(tables) or 'all was before'}")
    return 0
