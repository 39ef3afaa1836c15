"""`fleetsyncd migrate`: create or upgrade the schema."""

from collections.abc import Sequence

import click

from fleetsyncd import bootstrap, green
from fleetsyncd.commands import migrate_where
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.commands.migrate_where import MOST_SHARDS, Asked
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import adoption, indexes, migrate, tidy
from fleetsyncd.database.schema.distribution.obstacles import SHARDS
from fleetsyncd.database.schema.hidden import hypertable
from fleetsyncd.database.schema.lock_waits import Patience
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.text import size
from fleetsyncd.times import parse_length, utc_now


def _check(database: Database) -> int:
    """Tell what is missing, and what does not fit; return the exit code."""
    missing = migrate.missing_migrations(database)
    missing += [index.name for index in database.run(indexes.missing_indexes)]
    misfits = database.run(adoption.misfits)
    misfits += database.run(lambda cursor: list(hypertable.adopted_misfits(cursor)))
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


def _tidy(settings: DatabaseSettings, patience: Patience) -> int:
    """Tidy closed months, and tell what that has saved; return the exit code."""
    done = tidy.tidy_all(settings, utc_now, green.deadline, patience)
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
@click.option("--distribute", is_flag=True, help="Then spread measurements over a Citus cluster.")
@click.option(
    "--shards",
    type=click.IntRange(1, MOST_SHARDS),
    help=f"With --distribute: in how many parts.  [default: {SHARDS}]",
)
@click.option(
    "--online", is_flag=True, help="With --distribute: slower, and no writer waits for long."
)
@click.option("--undistribute", is_flag=True, help="Then take them back to the coordinator.")
@click.option("--tidy", "with_tidying", is_flag=True, help="Then tidy all months that are closed.")
@click.option("--timescale", is_flag=True, help="Then keep measurements in TimescaleDB.")
@click.option("--undo", is_flag=True, help="With --timescale: the way back.")
@click.option(
    "--chunk",
    metavar="LENGTH",
    help="With --timescale: how much time is compressed at once.  [default: by the fleet's size]",
)
def migrate_command(
    check: bool,
    wait: str,
    distribute: bool,
    shards: int | None,
    online: bool,
    undistribute: bool,
    with_tidying: bool,
    timescale: bool,
    undo: bool,
    chunk: str | None,
) -> int:
    """Create or upgrade the database's schema.

    To be run as the tables' owner. An existing installation is adopted: what is missing is added,
    nothing is rewritten. A daemon may run meanwhile: no step keeps it waiting for more than a
    moment. What is done stays done, so it may be interrupted and run again at any time. The role
    DB_APP_ROLE is granted the rights of a daemon.

    --tidy does at once what a daemon does by and by, and what it lacks the right to before
    PostgreSQL 17: the keys of months that are over are written anew, which takes a quarter off
    them. The fleet goes on meanwhile.

    With --timescale the measurements are then copied into a hypertable of TimescaleDB behind a
    view, which takes a tenth of the space once it is compressed.

    With --distribute they are then spread over the workers of a Citus cluster by vehicle; daemons
    go on with the coordinator. Each of these changes is undone by its opposite, and with --check
    everything is named that stands in its way.

    Exit code: 0 up to date, 1 something is missing or in the way (--check), or could not be tidied
    (--tidy).
    """
    asked = Asked(
        check, distribute, undistribute, online, shards, timescale, undo, chunk, with_tidying
    )
    asked.require_fitting()
    chunk_length = asked.chunk_length
    settings = bootstrap.load_settings()
    database = Database(settings.database, deadline=green.deadline)
    if check:
        return _check(database) or migrate_where.check(asked, settings.db_app_role, database)
    patience = Patience(parse_length(wait).total_seconds())
    done = migrate.migrate(settings.database, settings.db_app_role, green.deadline, patience)
    applied = [*done.migrations, *done.indexes]
    _tell("applied", applied, database)
    if applied or with_tidying or asked.changes:
        _record(database, applied)
    migrate_where.change(asked, chunk_length, settings.database, settings.db_app_role, patience)
    return _tidy(settings.database, patience) if with_tidying else 0


def _record(database: Database, applied: Sequence[str]) -> None:
    """Record what was applied, and that what takes many transactions begins."""
    action = present_action()
    after = {"applied": list(applied)} if applied else None
    database.run(lambda cursor: record(cursor, action, [Change(None, after=after)]))
