"""The indexes of tables that grow with the fleet, built while the fleet goes on.

They are no part of the migrations: there, an index over a month of journal would keep every daemon
waiting. A build that was interrupted is begun again by the next `migrate`.
"""

import logging
from dataclasses import asdict, dataclass
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
    Index("quarantine_at", "fleetsync.quarantine", "btree (at)"),
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


def missing_indexes(cursor: extensions.cursor) -> list[Index]:
    """Return the indexes that existing tables lack."""

    def is_missing(index: Index) -> bool:
        cursor.execute(_TABLE, (index.table,))
        if not cursor.fetchall():
            return False
        cursor.execute(_PRESENT, asdict(index))
        return cursor.fetchall() == [(False,)]

    return [index for index in INDEXES if is_missing(index)]


def build_missing(session: PatientSession) -> list[str]:
    """Build what is missing, and return the names; raise MigrationFailed if rows contradict it."""
    with session.connection.cursor() as cursor:
        missing = missing_indexes(cursor)
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
    return [index.name for index in missing]


class _Builder:
    """Builds one index, of a table or of each of its partitions."""

    def __init__(self, session: PatientSession, index: Index) -> None:
        self._session = session
        self._index = index
        self._create = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX"

    def build(self, table: str, name: str) -> str:
        """Build the index of a table, which may be a partition; return its qualified name.

        Begins with what an interrupted build has left.
        """
        ((kind, schema, _, table),) = self._session.query(_TABLE, table)
        index = f'{schema}."{name}"'
        definition = f"ON {table} USING {self._index.definition}"
        if kind == "p":
            definition = f"ON ONLY {table} USING {self._index.definition}"
            self._execute(f'{self._create} IF NOT EXISTS "{name}" {definition}')
            self._join_partitions(table, index)
            return index
        self._drop_broken(table)
        self._execute_unhurried(f'{self._create} CONCURRENTLY "{name}" {definition}')
        return index

    def undo(self) -> None:
        """Remove what a build has left that cannot be finished: writers would go on paying for it.

        Partitions that were done go with the index of the whole table.
        """
        ((kind, _, _, table),) = self._session.query(_TABLE, self._index.table)
        if kind != "p":
            self._drop_broken(table)
            return
        for (part,) in self._session.query(_LEAVES, table):
            self._drop_broken(part)
        for whole, is_valid, _ in self._of_table(table):
            if not is_valid:
                self._execute(f"DROP INDEX {whole}")

    def _drop_broken(self, table: str) -> None:
        for broken, is_valid, _ in self._of_table(table):
            if not is_valid:
                self._execute_unhurried(f"DROP INDEX CONCURRENTLY {broken}")

    def _join_partitions(self, table: str, whole: str) -> None:
        for (part,) in self._session.query(_PARTS, table):
            known = self._of_table(part)
            if any(is_joined for _, _, is_joined in known):
                continue
            ready = [index for index, is_valid, _ in known if is_valid]
            index = ready[0] if ready else self.build(part, self._name_for(part))
            self._execute(f"ALTER INDEX {whole} ATTACH PARTITION {index}")

    def _name_for(self, part: str) -> str:
        ((_, _, bare_name, _),) = self._session.query(_TABLE, part)
        ending = f"_{self._index.name}"
        return f"{bare_name[: LONGEST_NAME - len(ending)]}{ending}".replace('"', '""')

    def _of_table(self, table: str) -> list[tuple[Any, ...]]:
        """Return the indexes of this definition: name, whether valid, whether joined to another."""
        return self._session.query(_OF_TABLE, table, self._index.unique, self._index.definition)

    def _execute(self, statement: str) -> None:
        self._session.execute(f"index {self._index.name}", statement)

    def _execute_unhurried(self, statement: str) -> None:
        """Run a statement for whose locks nobody waits, so it may wait as long as it takes."""
        self._session.execute(f"index {self._index.name}", statement, lock_sec=0)
