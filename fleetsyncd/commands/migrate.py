"""`fleetsyncd migrate`: create or upgrade the schema."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import click

from fleetsyncd import bootstrap, green
from fleetsyncd.commands.acting import present_action
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import adoption, citus, indexes, migrate, tidy
from fleetsyncd.database.schema.hidden import conversion, hypertable, layout, obstacles
from fleetsyncd.database.schema.hidden.conversion import State
from fleetsyncd.database.schema.lock_waits import Patience
from fleetsyncd.errors import CommandError
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.text import size
from fleetsyncd.times import parse_length, utc_now

SHORTEST_CHUNK, LONGEST_CHUNK = timedelta(hours=1), timedelta(days=31)


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


def _check_timescale(database: Database, *, undo: bool) -> int:
    """Tell what stands in the way of a conversion, or of the way back; return the exit code."""
    if database.run(layout.is_hidden) != undo:
        click.echo(f"nothing is to be done: measurements are {'a table' if undo else 'a view'}")
        return 0
    found = database.run(obstacles.way_back if undo else obstacles.of_a_hypertable)
    for each in found:
        click.echo(f"in the way: {each}")
    if not found:
        click.echo("nothing is in the way")
    return EXIT_FAILED if found else 0


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


def _convert(settings: DatabaseSettings, chunk: timedelta | None, patience: Patience) -> None:
    """Put measurements into a hypertable behind a view."""

    def create(cursor: Cursor) -> str:
        return hypertable.create(cursor, chunk or hypertable.usual_chunk(cursor))

    if conversion.convert(settings, obstacles.of_a_hypertable, create, patience):
        click.echo(
            f"measurements are a view over {layout.TABLE}; the table as it was is"
            f" {layout.BEFORE}: DROP TABLE it when you are sure that nobody needs it"
        )
        return
    click.echo(f"measurements are a view over {layout.TABLE} already")
    if chunk is not None:
        conversion.change(settings, partial(hypertable.change, chunk=chunk), patience)
        click.echo("chunks that are made from now on have the new length")


def _undo(settings: DatabaseSettings, patience: Patience) -> None:
    """Make measurements a table again."""
    match conversion.undo(settings, obstacles.way_back, patience):
        case State.TABLE:
            click.echo("measurements are a table already")
        case State.CONVERTING:
            click.echo("measurements stay a table: the copy of them was dropped")
        case _:
            click.echo(
                f"measurements are a table; the hidden one is {layout.TABLE_BEFORE}: DROP TABLE it"
                " when you are sure that nobody needs it"
            )


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

    Exit code: 0 up to date, 1 something is missing or in the way (--check), or could not be tidied
    (--tidy).
    """
    settings = bootstrap.load_settings()
    chunk_length = _usage(check, distribute, with_tidying, timescale, undo, chunk)
    database = Database(settings.database, deadline=green.deadline)
    if distribute:
        citus.require_citus(Database(settings.database))
        if database.run(layout.is_hidden):
            raise CommandError(
                "measurements are in TimescaleDB, and cannot be distributed: first take them back,"
                " `fleetsyncd migrate --timescale --undo`"
            )
    if check:
        return _check(database) or (timescale and _check_timescale(database, undo=undo))
    patience = Patience(parse_length(wait).total_seconds())
    done = migrate.migrate(settings.database, settings.db_app_role, green.deadline, patience)
    applied = [*done.migrations, *done.indexes]
    _tell("applied", applied, database)
    if applied or distribute or timescale or with_tidying:
        _record(database, applied)
    if distribute:
        # Without a deadline: rows that exist already take as long as they take.
        tables = citus.distribute(Database(settings.database))
        click.echo(f"distributed: {', '.join(tables) or 'all was before'}")
    if undo:
        _undo(settings.database, patience)
    elif timescale:
        _convert(settings.database, chunk_length, patience)
    return _tidy(settings.database, patience) if with_tidying else 0


def _record(database: Database, applied: Sequence[str]) -> None:
    """Record what was applied, and that what takes many transactions begins."""
    action = present_action()
    after = {"applied": list(applied)} if applied else None
    database.run(lambda cursor: record(cursor, action, [Change(None, after=after)]))


def _usage(
    check: bool, distribute: bool, tidying: bool, timescale: bool, undo: bool, chunk: str | None
) -> timedelta | None:
    """Return the length of chunks; raise UsageError for options that do not go together."""
    if distribute and (check or timescale):
        other = "--check" if check else "--timescale"
        raise click.UsageError(f"{other} and --distribute exclude each other")
    if check and tidying:
        raise click.UsageError("--check and --tidy exclude each other")
    if (undo or chunk is not None) and not timescale:
        raise click.UsageError("--undo and --chunk go with --timescale")
    if chunk is None:
        return None
    length = parse_length(chunk)
    if not SHORTEST_CHUNK <= length <= LONGEST_CHUNK:
        raise click.UsageError("--chunk is 1h to 31d")
    return length
