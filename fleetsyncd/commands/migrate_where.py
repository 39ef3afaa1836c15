"""Where `fleetsyncd migrate` puts the measurements: one server, TimescaleDB, or a Citus cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import click

from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import obstacles as of_a_cluster
from fleetsyncd.database.schema.distribution import remarks, steps
from fleetsyncd.database.schema.distribution.obstacles import Order
from fleetsyncd.database.schema.hidden import conversion, hypertable, layout, obstacles
from fleetsyncd.database.schema.hidden.conversion import State
from fleetsyncd.database.schema.lock_waits import Patience
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import parse_length

SHORTEST_CHUNK, LONGEST_CHUNK = timedelta(hours=1), timedelta(days=31)
MOST_SHARDS = 1_024


@dataclass(frozen=True, slots=True)
class Asked:
    """Which options were given."""

    check: bool
    distribute: bool
    undistribute: bool
    online: bool
    shards: int | None
    timescale: bool
    undo: bool
    chunk: str | None
    tidying: bool

    def require_fitting(self) -> None:
        """Raise UsageError for options that do not go together."""
        self._exclude("--distribute", self.distribute, "--timescale", self.timescale)
        self._exclude("--distribute", self.distribute, "--undistribute", self.undistribute)
        self._exclude("--undistribute", self.undistribute, "--timescale", self.timescale)
        self._exclude("--check", self.check, "--tidy", self.tidying)
        if (self.undo or self.chunk is not None) and not self.timescale:
            raise click.UsageError("--undo and --chunk go with --timescale")
        if (self.online or self.shards is not None) and not self.distribute:
            raise click.UsageError("--online and --shards go with --distribute")

    @staticmethod
    def _exclude(name: str, given: bool, other: str, other_given: bool) -> None:
        if given and other_given:
            raise click.UsageError(f"{name} and {other} exclude each other")

    @property
    def changes(self) -> bool:
        """Whether measurements are to be put elsewhere."""
        return self.distribute or self.undistribute or self.timescale

    @property
    def chunk_length(self) -> timedelta | None:
        """How much time a chunk is to hold; raises UsageError."""
        if self.chunk is None:
            return None
        length = parse_length(self.chunk)
        if not SHORTEST_CHUNK <= length <= LONGEST_CHUNK:
            raise click.UsageError("--chunk is 1h to 31d")
        return length

    def order(self, app_role: str | None) -> Order:
        """Return what is asked of a distribution."""
        return Order(app_role, self.shards, self.online)


def check(asked: Asked, app_role: str | None, database: Database) -> int:
    """Tell what stands in the way of what is asked for; return the exit code."""
    if asked.timescale:
        return _check_timescale(database, undo=asked.undo)
    if asked.distribute:
        order = asked.order(app_role)
        found = database.run(partial(of_a_cluster.of_distribution, order=order))
        return _tell_obstacles(found, database.run(partial(remarks.of_distribution, order=order)))
    if asked.undistribute:
        found = database.run(of_a_cluster.of_the_way_back)
        return _tell_obstacles(found, database.run(remarks.of_the_way_back))
    return 0


def _check_timescale(database: Database, *, undo: bool) -> int:
    """Tell what stands in the way of a conversion, or of the way back; return the exit code."""
    match (state := database.run(conversion.state)), undo:
        case (State.TABLE, True) | (State.HIDDEN, False):
            click.echo(f"nothing is to be done: measurements are {state}")
            return 0
        case (State.CONVERTING, True):
            click.echo("to be taken back: a conversion that is not finished; its copy is dropped")
            return 0
        case (State.RETURNING, False):
            click.echo("to be taken back: a way back that is not finished; its copy is dropped")
            return 0
        case (State.CONVERTING, False) | (State.RETURNING, True):
            click.echo("to go on: rows are being copied")
    return _tell_obstacles(database.run(obstacles.way_back if undo else obstacles.of_a_hypertable))


def _tell_obstacles(found: Sequence[Misfit], remarked: Sequence[Misfit] = ()) -> int:
    for each in found:
        click.echo(f"in the way: {each}")
    for each in remarked:
        click.echo(f"to know: {each}")
    if not found:
        click.echo("nothing is in the way")
    return EXIT_FAILED if found else 0


def change(
    asked: Asked,
    chunk: timedelta | None,
    settings: DatabaseSettings,
    app_role: str | None,
    patience: Patience,
) -> None:
    """Put measurements where they are to be."""
    if asked.distribute:
        _tell_steps(
            steps.distribute(settings, asked.order(app_role), patience),
            "measurements are distributed over the cluster's workers",
        )
    elif asked.undistribute:
        _tell_steps(
            steps.undistribute(settings, patience), "measurements are a table of the coordinator"
        )
    elif asked.undo:
        _undo(settings, patience)
    elif asked.timescale:
        _convert(settings, chunk, patience)


def _tell_steps(done: Sequence[str], result: str) -> None:
    for each in done:
        click.echo(f"done: {each}")
    click.echo(result if done else f"{result} already")


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
