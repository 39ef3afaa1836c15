"""The indexes of tables that grow with the fleet, built while the fleet goes on.

They are no part of the migrations: there, an index over a month of journal would keep every daemon
waiting. A build that was interrupted is begun again by the next `migrate`.
"""

import logging
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database.schema.lock_waits import PatientSession
from fleetsyncd.errors import MigrationFailed
from fleetsyncd.text import sanitise

log = logging.getLogger("sync.migrate")


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table; `definition` as the server writes it after the name of the table."""

    name: str
    table: str
    definition: str
    unique: bool = False


INDEXES = (
    Index(
        "measurements_vehicle_channel_time",
        "public.measurements",
        'btree (vehicle_id, channel_id, "time")',
        unique=True,
    ),
    Index(
        "alarms_log_open",
        "public.alarms_log",
        "btree (vehicle_id, triggered_at) WHERE (resolved_at IS NULL)",
    ),
    Index(
        "sync_journal_vehicle_started",
        "public.sync_journal",
        "btree (vehicle_id, started_at DESC)",
    ),
    Index("sync_journal_started", "public.sync_journal", "btree (started_at DESC, id DESC)"),
    Index(
        "sync_journal_failures",
        "public.sync_journal",
        "btree (started_at DESC, id DESC) WHERE (status <> 'ok'::text)",
    ),
    Index(
        "sync_journal_vehicle_failures",
        "public.sync_journal",
        "btree (vehicle_id, started_at DESC, status) WHERE (status <> 'ok'::text)",
    ),
    Index("quarantine_at", "fleetsync.quarantine", "btree (at)"),
    Index("vehicle_state_id_hint", "fleetsync.vehicle_state", "btree (id_hint)"),
    Index(
        "vehicle_state_other_hint",
        "fleetsync.vehicle_state",
        "btree (other_hint) WHERE (other_hint IS NOT NULL)",
    ),
    Index(
        "replaced_alarm_open",
        "fleetsync.replaced_alarm",
        "btree (vehicle_id, triggered_at) WHERE (resolved_at IS NULL)",
    ),
)
"""The first is the key on which exactly once rests: an adopted table may lack it."""
# One of another name will do, and a unique one whatever the order of its columns.
_PRESENT = """
SELECT EXISTS (
    SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass(%(table)s) AND i.indisvalid
      AND (c.relname = %(name)s AND i.indisunique = %(unique)s
           OR NOT %(unique)s AND split_part(pg_get_indexdef(c.oid), ' USING ', 2) = %(definition)s
           OR %(unique)s AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
              AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
                   WHERE a.attrelid = i.indrelid
                     AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
                  = (SELECT array_agg(btrim(part, ' "') ORDER BY btrim(part, ' "'))
                     FROM regexp_split_to_table(
                         substring(%(definition)s FROM '[(](.*)[)]'), ',') part)))
"""
_TABLE = """
SELECT c.relkind::text, quote_ident(n.nspname), c.relname::text,
    format('%%I.%%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)
"""
_PARTS = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = to_regclass(%s) ORDER BY c.relname
"""
_LEAVES = "SELECT relid::regclass::text FROM pg_partition_tree(to_regclass(%s)) WHERE isleaf"
_JOINED = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = to_regclass(%s)
"""
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
_OF_TABLE = """
SELECT format('%%I.%%I', n.nspname, c.relname), i.indisvalid,
    (SELECT up.inhparent FROM pg_inherits up WHERE up.inhrelid = c.oid) IS NOT NULL
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass(%s) AND i.indisunique = %s
  AND split_part(pg_get_indexdef(c.oid), ' USING ', 2) = %s
ORDER BY 3 DESC, i.indisvalid DESC
"""
LONGEST_NAME = 63
VIEW = "v"
"""Measurements over a hidden table, which is made with its key."""


def missing_indexes(cursor: extensions.cursor) -> list[Index]:
    """Return the indexes that existing tables lack."""

    def is_missing(index: Index) -> bool:
        cursor.execute(_TABLE, (index.table,))
        rows = cursor.fetchall()
        if not rows or rows[0][0] == VIEW:
            return False
        cursor.execute(_PRESENT, asdict(index))
        return cursor.fetchall() == [(False,)]

    return [index for index in INDEXES if is_missing(index)]


def build_missing(session: PatientSession, *, keys_only: bool = False) -> list[str]:
    """Build what is missing, or (`keys_only`) missing unique ones; return the names.

    Raises MigrationFailed if rows contradict one, or if it is still missing in the end.
    """
    missing = [each for each in _missing(session) if each.unique or not keys_only]
    for index in missing:
        log.info("building index %s of %s: the fleet goes on meanwhile", index.name, index.table)
        builder = _Builder(session, index)
        try:
            builder.build(index.table, index.name)
        except psycopg2.errors.UniqueViolation as error:
            builder.undo()
            detail = sanitise(str(error.diag.message_detail)).rstrip(".")
            raise MigrationFailed(
                f"{index.table} holds two rows of one key: {detail}",
                "delete one of them, then run `fleetsyncd migrate` again",
            ) from error
    for index in _missing(session):
        if index in missing:
            text = f"the index {index.name} of {index.table} could not be finished"
            raise MigrationFailed(text, "run `fleetsyncd migrate` again")
    return [index.name for index in missing]


def _missing(session: PatientSession) -> list[Index]:
    with session.connection.cursor() as cursor:
        return missing_indexes(cursor)


class _Gone(Exception):
    """Somebody has dropped the table meanwhile."""


class _Builder:
    """Builds one index, of a table or of each of its partitions."""

    def __init__(self, session: PatientSession, index: Index) -> None:
        self._session = session
        self._index = index
        self._create = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX"

    def build(self, table: str, name: str) -> str:
        """Build the index of a table, which may be a partition; return its qualified name.

        Begins with what an interrupted build has left. Raises _Gone if the table was dropped.
        """
        kind, schema, _, table = self._table(table)
        index = f'{schema}."{name}"'
        using = f"USING {self._index.definition}"
        if kind == "p":
            whole = f'{self._create} IF NOT EXISTS "{name}" ON ONLY {table} {using}'
            self._execute(whole)
            self._join_partitions(table, index)
            if not self._is_valid(index):
                # Not every server looks again at what is joined already.
                self._execute(f"DROP INDEX {index}")
                self._execute(whole)
                self._join_partitions(table, index)
            return index

        def build() -> None:
            self._drop_broken(table)
            self._try_unhurried(f'{self._create} CONCURRENTLY "{name}" ON {table} {using}')

        try:
            self._session.repeat(self._what, build)
        except psycopg2.errors.UndefinedTable:
            raise _Gone from None
        return index

    def undo(self) -> None:
        """Remove what a build has left that cannot be finished: writers would go on paying for it.

        Partitions that were done go with the index of the whole table.
        """
        kind, _, _, table = self._table(self._index.table)
        leaves = self._session.query(_LEAVES, table) if kind == "p" else [(table,)]
        for (leaf,) in leaves:
            self._session.repeat(self._what, partial(self._drop_broken, leaf))
        if kind != "p":
            return
        for whole, is_valid, _ in self._of_table(table):
            if not is_valid:
                self._execute(f"DROP INDEX {whole}")

    def _drop_broken(self, table: str) -> None:
        for broken, is_valid, _ in self._of_table(table):
            if not is_valid:
                self._try_unhurried(f"DROP INDEX CONCURRENTLY {broken}")

    def _join_partitions(self, table: str, whole: str) -> None:
        for (part,) in self._session.query(_PARTS, table):
            with suppress(_Gone):
                self._join(part, whole)
        joined = self._session.query(_JOINED, whole)
        if joined and not self._is_valid(whole):
            # The last part that was missing was dropped, so no joining has completed it.
            self._execute(f"ALTER INDEX {whole} ATTACH PARTITION {joined[0][0]}")

    def _join(self, part: str, whole: str) -> None:
        """Join a partition's index to that of the whole table; build it if it is missing."""
        known = self._of_table(part)
        if any(is_joined for _, _, is_joined in known):
            return
        ready = [index for index, is_valid, _ in known if is_valid]
        index = ready[0] if ready else self.build(part, self._name_for(part))
        try:
            self._execute(f"ALTER INDEX {whole} ATTACH PARTITION {index}")
        except psycopg2.errors.UndefinedTable:
            raise _Gone from None

    def _is_valid(self, index: str) -> bool:
        return self._session.query(_IS_VALID, index) == [(True,)]

    def _table(self, table: str) -> tuple[str, str, str, str]:
        """Return its kind, its schema, its bare and its qualified name; raise _Gone."""
        rows = self._session.query(_TABLE, table)
        if not rows:
            raise _Gone
        kind, schema, bare_name, qualified = rows[0]
        return kind, schema, bare_name, qualified

    def _name_for(self, part: str) -> str:
        _, _, bare_name, _ = self._table(part)
        ending = f"_{self._index.name}"
        return f"{bare_name[: LONGEST_NAME - len(ending)]}{ending}".replace('"', '""')

    def _of_table(self, table: str) -> list[tuple[Any, ...]]:
        """Return the indexes of this definition: name, whether valid, whether joined to another."""
        return self._session.query(_OF_TABLE, table, self._index.unique, self._index.definition)

    @property
    def _what(self) -> str:
        return f"index {self._index.name}"

    def _execute(self, statement: str) -> None:
        self._session.execute(self._what, statement)

    def _try_unhurried(self, statement: str) -> None:
        self._session.try_unhurried(self._what, statement)
