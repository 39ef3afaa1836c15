"""Distribute measurements over a Citus cluster, and take them back; step by step.

Each step is a transaction of its own, and is passed over if it is done: after an end at any moment
the next call goes on. Until the step that distributes the table is committed, all rows are in the
table as it was; from its commit on, all are on the workers.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.distribution import (
    access,
    foreign,
    functions,
    kept,
    nodes,
    obstacles,
    policies,
)
from fleetsyncd.database.schema.distribution.functions import TABLE
from fleetsyncd.database.schema.distribution.obstacles import SHARDS, Order
from fleetsyncd.database.schema.lock_waits import (
    LOCK_SEC,
    USUAL_PATIENCE,
    Patience,
    PatientSession,
)
from fleetsyncd.database.schema.owner_session import look, owner_session
from fleetsyncd.database.session_settings import TELL_WORKERS
from fleetsyncd.errors import MigrationFailed
from fleetsyncd.settings import DatabaseSettings

log = logging.getLogger("sync.migrate")

_TELL = "SELECT set_config('citus.propagate_set_commands', 'local', false)"
# Forced policies bind the owner, too: without the role nothing would be copied.
_DISTRIBUTE = f"""
{TELL_WORKERS};
SELECT create_distributed_table('{TABLE}', 'vehicle_id', shard_count := {{shards}},
    colocate_with := 'none')
"""
# Rows cannot be copied into a shard that has forced policies of its own, as that of a table without
# partitions has. Nobody else sees that they are not forced meanwhile. In a block, since workers are
# sent the text that changes the table.
_DISTRIBUTE_UNFORCED = f"""
{TELL_WORKERS};
DO $block$
BEGIN
    ALTER TABLE {TABLE} NO FORCE ROW LEVEL SECURITY;
    PERFORM create_distributed_table('{TABLE}', 'vehicle_id', shard_count := {{shards}},
        colocate_with := 'none');
    ALTER TABLE {TABLE} FORCE ROW LEVEL SECURITY;
END
$block$
"""
_DISTRIBUTE_ONLINE = f"""
SELECT create_distributed_table_concurrently('{TABLE}', 'vehicle_id', shard_count := {{shards}},
    colocate_with := 'none')
"""
# Else the step that copies the rows would begin with it, and could not be given anything to do.
_MAKE_KNOWN = f"{TELL_WORKERS}; SELECT citus_add_local_table_to_metadata('{TABLE}')"
_BRING_BACK = f"{TELL_WORKERS}; SELECT undistribute_table('{TABLE}')"
# A part that is moved while it has no month comes without its key, and then no month can be made.
_HAS_MONTH = f"""
SELECT relkind <> 'p' OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = '{TABLE}'::regclass)
FROM pg_class WHERE oid = '{TABLE}'::regclass
"""  # noqa: S608  made of this package's own text
_MAKE_MONTH = "SELECT fleetsync.make_month(date_trunc('month', now())::date)"
# What was copied to the workers stays in the table's files on the coordinator, seen by nobody.
_EMPTY = f"SELECT truncate_local_data_after_distributing_table('{TABLE}')"
# Copies of shards that were moved, or copied online, are dropped later: until then their policies
# need the functions.
_ARE_KNOWN = "SELECT to_regclass('pg_catalog.pg_dist_cleanup') IS NOT NULL"
_ARE_LEFT = "SELECT EXISTS (SELECT FROM pg_dist_cleanup)"
_CLEAN_UP = "CALL citus_cleanup_orphaned_resources()"
_IS_EMPTY = f"""
SELECT pg_relation_size('{TABLE}') + coalesce(sum(pg_relation_size(relid)), 0) = 0
FROM pg_partition_tree('{TABLE}')
"""  # noqa: S608  made of this package's own text
AT_END_SEC = 30.0
"""For so long, at the end of a copy that was made online, a writer is waited for: else it would all
be copied again."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: what it is, whether it is done already, and its statements."""

    what: str
    is_done: Callable[[Cursor], bool]
    statements: Callable[[Cursor], Sequence[str]]
    lock_sec: float = LOCK_SEC
    """How long a statement of it waits for its locks, and with it who comes later."""


def distribute(
    settings: DatabaseSettings, order: Order, patience: Patience = USUAL_PATIENCE
) -> list[str]:
    """Distribute measurements; return what was done, nothing if all was done before.

    To be run as the tables' owner, on the coordinator. Raises MigrationFailed with everything that
    stands in the way, before anything is changed.
    """
    with owner_session(settings, patience) as session:
        _require_none(session, lambda cursor: obstacles.of_distribution(cursor, order))
        session.query(_TELL)
        return list(_run(session, _there(order)))


def undistribute(settings: DatabaseSettings, patience: Patience = USUAL_PATIENCE) -> list[str]:
    """Make measurements a table of the coordinator again; return what was done.

    A distribution that is under way is taken back. Raises MigrationFailed.
    """
    with owner_session(settings, patience) as session:
        _require_none(session, obstacles.of_the_way_back)
        if look(session, nodes.has_citus):
            session.query(_TELL)
        return list(_run(session, _BACK))


def _there(order: Order) -> list[Step]:
    shards = order.shards or SHARDS
    return [
        Step(
            "the copy of vehicle_access",
            lambda cursor: _is_access_copied(cursor, order.app_role),
            lambda cursor: [access.CREATE, access.let_read(cursor, order.app_role)],
        ),
        Step("the copy of it on every node", _asks(access.IS_SHARED), _always(access.SHARE)),
        Step("the functions that know the workers", _has_functions, _functions),
        Step(
            "the policies by role",
            lambda cursor: policies.are_by_role(cursor, _readers(cursor, order)),
            lambda cursor: [policies.by_role(cursor, _readers(cursor, order))],
        ),
        Step("a month", _asks(_HAS_MONTH), _always(_MAKE_MONTH)),
        Step(
            "the table known to the cluster",
            lambda cursor: not order.online or nodes.is_known(cursor),
            lambda cursor: [_MAKE_KNOWN + kept.made_again(cursor)],
        ),
        Step(
            f"the rows on the workers, in {shards} shards",
            nodes.is_distributed,
            lambda cursor: [_distribution(cursor, order, shards)],
            AT_END_SEC if order.online else LOCK_SEC,
        ),
        Step(
            "the writing function on the workers",
            _asks(functions.IS_DELEGATED),
            _always(functions.DELEGATE),
        ),
        Step("the coordinator's own copy of the rows, dropped", _asks(_IS_EMPTY), _always(_EMPTY)),
    ]


def _distribution(cursor: Cursor, order: Order, shards: int) -> str:
    if order.online:
        return _DISTRIBUTE_ONLINE.format(shards=shards)
    is_forced = foreign.is_forced_as_a_whole(cursor)
    text = (_DISTRIBUTE_UNFORCED if is_forced else _DISTRIBUTE).format(shards=shards)
    # What was begun online is taken back first.
    return text + kept.made_again(cursor) if nodes.is_known(cursor) else text


def _has_functions(cursor: Cursor) -> bool:
    cursor.execute(
        "SELECT bool_and(to_regprocedure(f) IS NOT NULL) FROM unnest(%s) f",
        (list(functions.SHARED),),
    )
    return cursor.fetchall() == [(True,)] and _asks(functions.ARE_OF_CLUSTER)(cursor)


def _functions(_cursor: Cursor) -> Sequence[str]:
    return [
        functions.KNOW_RIGHTS + functions.READ_SHARDS + functions.NAME_SHARDS,
        *map(functions.share, functions.SHARED),
    ]


def _readers(cursor: Cursor, order: Order) -> policies.Readers:
    if order.app_role is None:
        raise AssertionError("an obstacle that was not told")
    return policies.readers(cursor, order.app_role)


def _is_access_copied(cursor: Cursor, app_role: str | None) -> bool:
    return (
        _asks(access.IS_KEPT)(cursor)
        and access_differences(cursor) == 0
        and access.may_read(cursor, app_role)
    )


def access_differences(cursor: Cursor) -> int:
    """Return in how many rows the copy of vehicle_access differs from it; there is a copy."""
    cursor.execute(access.DIFFERENCES)
    return int(cursor.fetchall()[0][0])


_BACK = [
    Step(
        "the rows on the coordinator",
        lambda cursor: not nodes.is_known(cursor),
        lambda cursor: [_BRING_BACK + kept.made_again(cursor)],
    ),
    Step(
        "copies that moves of shards have left, dropped",
        lambda cursor: not (_asks(_ARE_KNOWN)(cursor) and _asks(_ARE_LEFT)(cursor)),
        lambda _cursor: [_CLEAN_UP],
    ),
    Step(
        "the functions and policies of one server",
        lambda cursor: not _asks(functions.NAMES_SHARDS)(cursor),
        # In one transaction: what is forgotten is called until the functions have their other form.
        lambda _cursor: [functions.NAME_TABLE + policies.TO_EVERYBODY + functions.FORGET_RIGHTS],
    ),
    Step(
        "the copy of vehicle_access, dropped",
        lambda cursor: not _asks(f"SELECT to_regclass('{access.COPY}') IS NOT NULL")(cursor),
        lambda _cursor: [access.DROP],
    ),
]


def _run(session: PatientSession, steps: Sequence[Step]) -> Iterator[str]:
    """Run the steps that are not done, and yield what each of them was."""
    for number, step in enumerate(steps, 1):
        if look(session, step.is_done):
            continue
        log.info("step %d of %d: %s", number, len(steps), step.what)
        for statement in look(session, step.statements):
            session.execute(step.what, statement, step.lock_sec)
        yield step.what


def _always(*statements: str) -> Callable[[Cursor], Sequence[str]]:
    return lambda _cursor: statements


def _asks(query: str) -> Callable[[Cursor], bool]:
    """Return a look that asks the database for a truth value."""

    def look_up(cursor: Cursor) -> bool:
        cursor.execute(query)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row is not None and bool(row[0])

    return look_up


def _require_none(session: PatientSession, look_for: Callable[[Cursor], Sequence[object]]) -> None:
    """Raise MigrationFailed if there are obstacles."""
    if found := look(session, look_for):
        lines = "".join(f"\n  {each}" for each in found)
        raise MigrationFailed(f"nothing was changed, first this must be put right:{lines}")
