"""Put measurements into a hidden table behind a view, and take them back out of it.

What both do: a second table is made, triggers write to it what is written to the first, the rows
that are there are copied, and a moment's exclusive lock is enough to put the second table into the
first one's place. It may be killed at any moment: the next call goes on. Meanwhile no month is
dropped by retention, and a deletion of a vehicle's rows waits for the copy of them.
"""

import logging
from collections.abc import Callable, Sequence
from enum import StrEnum

import psycopg2

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.hidden import copying, layout, mirror, reading, returning
from fleetsyncd.database.schema.hidden.layout import BEFORE, TABLE, TABLE_BEFORE, VIEW
from fleetsyncd.database.schema.lock_waits import USUAL_PATIENCE, Patience, PatientSession
from fleetsyncd.database.schema.owner_session import look, owner_session
from fleetsyncd.database.schema.plain_reading import READ_PLAIN
from fleetsyncd.errors import MigrationFailed
from fleetsyncd.settings import DatabaseSettings

Obstacles = Callable[[Cursor], Sequence[Misfit]]
Hypertable = Callable[[Cursor], str]
"""Returns the SQL that makes a hypertable of the empty hidden table; \"\" leaves it a plain one."""

log = logging.getLogger("sync.migrate")

WHAT = "the conversion of measurements"
_STATE = f"""
SELECT c.relkind = 'v' AND fleetsync.hidden_table() IS NOT NULL,
    to_regclass('{mirror.COPIED}') IS NOT NULL,
    EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('{TABLE}') AND relkind = 'v')
FROM pg_class c WHERE c.oid = to_regclass('{VIEW}')
"""  # noqa: S608  made of this file's own text
_REQUIRE_ALL_COPIED = f"""
DO $$
BEGIN
    IF EXISTS ({copying.LEFT}) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = 'a new part is to be copied first';
    END IF;
END
$$;
"""
# Who has waited for the lock finds the view under the name of the table.
_SWITCH = f"""
LOCK TABLE ONLY {VIEW} IN ACCESS EXCLUSIVE MODE;
{_REQUIRE_ALL_COPIED.replace("%(table)s", f"'{VIEW}'")}
{mirror.end(VIEW)}
ALTER TABLE {VIEW} RENAME TO measurements_before;
ALTER TABLE public.measurements_before SET SCHEMA fleetsync;
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT t.relid
        FROM pg_partition_tree('{BEFORE}') t JOIN pg_class c ON c.oid = t.relid
        WHERE c.relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('ALTER TABLE %s SET SCHEMA fleetsync', part);
    END LOOP;
END
$$;
COMMENT ON TABLE {BEFORE} IS 'Measurements as they were before `fleetsyncd migrate --timescale`';
{layout.CREATE_VIEW}
{layout.move_rights(BEFORE, VIEW)}
{layout.store_in(TABLE)}
{reading.BY_LITERALS}
"""  # noqa: S608  made of this project's own text
_ABANDON = f"{mirror.end(VIEW)} DROP TABLE {TABLE};"
# The view before its table, as everybody else locks them.
_OUT_OF_THE_WAY = "ALTER VIEW public.measurements RENAME TO measurements_hidden;"
_SWITCH_BACK = f"""
{_OUT_OF_THE_WAY}
LOCK TABLE ONLY {TABLE} IN ACCESS EXCLUSIVE MODE;
{_REQUIRE_ALL_COPIED.replace("%(table)s", f"'{TABLE}'")}
{mirror.end(TABLE)}
ALTER TABLE {layout.RETURNING} SET SCHEMA public;
ALTER TABLE public.measurements_back RENAME TO measurements;
{layout.move_rights("public.measurements_hidden", VIEW)}
SELECT fleetsync.pass_on_maintenance('{VIEW}', c.relname)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = '{VIEW}'::regclass AND c.relnamespace = 'public'::regnamespace;
DROP VIEW public.measurements_hidden;
ALTER TABLE {TABLE} RENAME TO samples_before;
COMMENT ON TABLE {TABLE_BEFORE} IS
    'Measurements as they were before `fleetsyncd migrate --timescale --undo`';
CREATE VIEW {TABLE} AS SELECT {layout.COLUMNS} FROM {VIEW};
{layout.close(TABLE)}
{layout.store_in(VIEW)}
{READ_PLAIN}
"""  # noqa: S608  made of this project's own text
# It is there for a writer that had its table's name before the switch.
_DROP_LATE_DOOR = f"DROP VIEW {TABLE}"
_ABANDON_WAY_BACK = f"{mirror.end(TABLE)} DROP TABLE {layout.RETURNING};"


class State(StrEnum):
    """What measurements are; two of them are on the way, and go on or back."""

    TABLE = "a table"
    CONVERTING = "a table whose rows are being copied behind a view"
    HIDDEN = "a view over a hidden table"
    RETURNING = "a view whose rows are being copied back into a table"


def state(cursor: Cursor) -> State:
    """Return what measurements are."""
    return _state(cursor)[0]


def _state(cursor: Cursor) -> tuple[State, bool]:
    """Return what measurements are, and whether the way back has left its last view."""
    cursor.execute(_STATE)
    ((is_view, is_copying, has_late_door),) = cursor.fetchall()
    if is_view:
        return (State.RETURNING if is_copying else State.HIDDEN), False
    return (State.CONVERTING if is_copying else State.TABLE), has_late_door


def convert(
    settings: DatabaseSettings,
    obstacles: Obstacles,
    hypertable: Hypertable,
    patience: Patience = USUAL_PATIENCE,
) -> bool:
    """Put measurements behind a view; return False if they are already.

    `hypertable` returns the SQL that makes a hypertable of the empty hidden table; "" leaves it a
    plain one. To be run as the tables' owner. Raises MigrationFailed with all `obstacles`.
    """
    with owner_session(settings, patience) as session:
        present, has_late_door = look(session, _state)
        if present is State.HIDDEN:
            session.execute(WHAT, reading.BY_LITERALS)
            return False
        if present is State.RETURNING:
            session.execute(WHAT, _ABANDON_WAY_BACK)
            return True
        if has_late_door:
            _close_late_door(session)
        _require_none(session, obstacles)
        if present is State.TABLE:
            more = look(session, hypertable)
            session.execute(WHAT, layout.CREATE_TABLE + more + mirror.begin(VIEW, TABLE))
        _copy_and_switch(session, VIEW, TABLE, _SWITCH)
        return True


def change(settings: DatabaseSettings, statement: Hypertable, patience: Patience) -> None:
    """Run the statement, if there is one, for the hypertable that is hidden."""
    with owner_session(settings, patience) as session:
        if text := look(session, statement):
            session.execute(WHAT, text)


def undo(
    settings: DatabaseSettings,
    obstacles: Obstacles,
    patience: Patience = USUAL_PATIENCE,
) -> State:
    """Make measurements a table again, with a partition a month; return what they were.

    A conversion that is under way is taken back. Raises MigrationFailed with all `obstacles`.
    """
    with owner_session(settings, patience) as session:
        present, has_late_door = look(session, _state)
        if present is State.CONVERTING:
            session.execute(WHAT, _ABANDON)
        elif present is not State.TABLE:
            _require_none(session, obstacles)
            if present is State.HIDDEN:
                session.execute(WHAT, returning.CREATE + mirror.begin(TABLE, layout.RETURNING))
            _copy_and_switch(session, TABLE, layout.RETURNING, _SWITCH_BACK)
            has_late_door = True
        if has_late_door:
            _close_late_door(session)
        return present


def _close_late_door(session: PatientSession) -> None:
    """Drop what the way back left for those who came through the hidden table's name."""
    session.outlast_transactions(f"the end of the view {TABLE}, measurements are a table again,")
    session.execute(WHAT, _DROP_LATE_DOOR)


def _copy_and_switch(session: PatientSession, source: str, target: str, switch: str) -> None:
    """Copy until no part is left at the moment of the switch."""
    while True:
        copying.copy_all(session, source, target)
        try:
            session.execute(WHAT, switch)
        except psycopg2.errors.ObjectNotInPrerequisiteState:
            continue
        return


def _require_none(session: PatientSession, obstacles: Obstacles) -> None:
    """Raise MigrationFailed if there are obstacles."""
    if found := look(session, obstacles):
        lines = "".join(f"\n  {each}" for each in found)
        raise MigrationFailed(
            f"measurements stay as they are, first this must be put right:{lines}"
        )
