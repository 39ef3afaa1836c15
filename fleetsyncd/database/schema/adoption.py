"""What does not fit of tables that were there before.

`migrate` looks before it changes anything, `doctor` at any time. Each misfit names the statement
that mends it. A missing table is no misfit: `migrate` creates it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.hidden import layout
from fleetsyncd.database.schema.needed_tables import (
    ADDED_KEYS,
    COLUMNS,
    FILLED_BY_OTHERS,
    KEYS,
    STATUSES,
    Column,
)

_RELATIONS = """
SELECT relname::text, relkind::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname = ANY (%s)
"""
_COLUMNS = """
SELECT c.relname::text, a.attname::text,
    CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)
                   ELSE format_type(a.atttypid, a.atttypmod) END,
    a.attnotnull, a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
    coalesce(a.attnum = ANY (p.partattrs::smallint[]), false)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s)
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
_KEYS = """
SELECT c.relname::text, ARRAY(
    SELECT a.attname::text FROM pg_attribute a
    WHERE a.attrelid = c.oid
      AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]) ORDER BY 1),
    CASE WHEN NOT i.indimmediate THEN quote_ident(x.relname) END
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s) AND i.indisunique
  AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
"""
_NARROW_IDS = """
SELECT c.relname::text, pg_get_serial_sequence('public.' || quote_ident(c.relname), 'id')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id'
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s)
  AND a.atttypid = 'integer'::regtype
ORDER BY c.relname
"""
_CHECKS = """
SELECT c.relname::text, o.conname::text, a.attname::text, pg_get_expr(o.conbin, o.conrelid)
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND o.conkey = ARRAY[a.attnum]
WHERE o.contype = 'c' AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class Misfit:
    """What does not fit, and the statement or the change that mends it."""

    text: str
    remedy: str

    def __str__(self) -> str:
        """Return both as one line."""
        return f"{self.text}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class _Present:
    """A column as it is there."""

    type_name: str
    not_null: bool
    has_default: bool
    in_partition_key: bool


def misfits(cursor: Cursor) -> list[Misfit]:
    """Return everything about tables that are there already that keeps the daemon from its work."""
    cursor.execute(_RELATIONS, (list(COLUMNS),))
    kinds = dict(cursor.fetchall())
    hidden = ["measurements"] if layout.is_hidden(cursor) else []
    wrong_kind = [
        Misfit(f"public.{table} is not a table", "rename it; `fleetsyncd migrate` then makes one")
        for table, kind in kinds.items()
        if kind not in ("r", "p") and table not in hidden
    ]
    present = _present_columns(cursor)
    return [
        *wrong_kind,
        *(each for table, columns in present.items() for each in _columns(cursor, table, columns)),
        *_missing_keys(cursor, present),
        *_strict_checks(cursor),
    ]


def narrow_ids(cursor: Cursor) -> list[Misfit]:
    """Return the numbers of rows that run out one day; until then they do no harm."""
    cursor.execute(_NARROW_IDS, (list(COLUMNS),))
    return [
        Misfit(
            f"public.{table}.id is an integer: after 2,147,483,647 rows nothing can be added",
            f"ALTER TABLE public.{table} ALTER COLUMN id TYPE bigint"
            + (f"; ALTER SEQUENCE {sequence} AS bigint" if sequence else ""),
        )
        for table, sequence in cursor.fetchall()
    ]


def _present_columns(cursor: Cursor) -> dict[str, dict[str, _Present]]:
    cursor.execute(_COLUMNS, (list(COLUMNS),))
    tables: dict[str, dict[str, _Present]] = {}
    for table, name, *column in cursor.fetchall():
        tables.setdefault(table, {})[name] = _Present(*column)
    return tables


def _columns(cursor: Cursor, table: str, present: dict[str, _Present]) -> Iterator[Misfit]:
    """Compare a table's columns with what they must be."""
    for name, wanted in COLUMNS[table].items():
        where, alter = f"public.{table}.{name}", f"ALTER TABLE public.{table}"
        column = present.get(name)
        if column is None:
            yield Misfit(f"{where} is missing", f"{alter} ADD COLUMN {name} {wanted.definition}")
        elif not wanted.fits(column.type_name):
            yield Misfit(
                f"{where} is {column.type_name}, not {wanted.types[0]}",
                _change_of_type(table, name, column, wanted),
            )
        elif wanted.null and column.not_null:
            yield Misfit(f"{where} must take null", f"{alter} ALTER COLUMN {name} DROP NOT NULL")
    if table not in FILLED_BY_OTHERS:
        yield from _unfilled(cursor, table, present)


def _change_of_type(table: str, name: str, column: _Present, wanted: Column) -> str:
    kind = wanted.types[0]
    if column.in_partition_key or kind == "uuid":
        return (
            f"it cannot be changed in place: ALTER TABLE public.{table} RENAME TO {table}_before,"
            " `fleetsyncd migrate`, then copy what is wanted into the new table"
        )
    is_local = "without time zone" in column.type_name
    using = f"{name} AT TIME ZONE 'UTC'" if is_local else f"{name}::{kind}"
    return f"ALTER TABLE public.{table} ALTER COLUMN {name} TYPE {kind} USING {using}"


def _unfilled(cursor: Cursor, table: str, present: dict[str, _Present]) -> Iterator[Misfit]:
    """Find columns that must have a value which the daemon does not give."""
    given = COLUMNS[table].keys() - {"id"}
    for name, column in present.items():
        if name in given or not column.not_null or column.has_default:
            continue
        change = _identity(cursor, table) if name == "id" else "DROP NOT NULL"
        yield Misfit(
            f"public.{table}.{name} must have a value, and no default gives it one",
            f"ALTER TABLE public.{table} ALTER COLUMN {name} {change}",
        )


def _identity(cursor: Cursor, table: str) -> str:
    """Return the change that numbers new rows after those that are there."""
    query = sql.SQL("SELECT coalesce(max(id), 0) + 1 FROM public.{}")
    cursor.execute(query.format(sql.Identifier(table)))
    ((start,),) = cursor.fetchall()
    return f"ADD GENERATED BY DEFAULT AS IDENTITY (START WITH {start})"


def _missing_keys(cursor: Cursor, present: dict[str, dict[str, _Present]]) -> Iterator[Misfit]:
    """Find keys that are missing, or checked so late that no statement can name them."""
    cursor.execute(_KEYS, ([*KEYS, *ADDED_KEYS],))
    late = {(table, tuple(columns)): name for table, columns, name in cursor.fetchall()}
    for table, columns in {**KEYS, **ADDED_KEYS}.items():
        named, key = ", ".join(columns), (table, tuple(sorted(columns)))
        alter = f"ALTER TABLE public.{table}"
        if key not in late:
            if table in KEYS and present.get(table, {}).keys() >= set(columns):
                text = f"public.{table} has no unique key on ({named})"
                yield Misfit(text, f"{alter} ADD UNIQUE ({named})")
        elif late[key] is not None:
            text = f"the key of public.{table} on ({named}) is deferrable"
            yield Misfit(text, f"{alter} DROP CONSTRAINT {late[key]}, ADD UNIQUE ({named})")


def _strict_checks(cursor: Cursor) -> Iterator[Misfit]:
    """Find CHECK constraints that refuse a status which the daemon writes."""
    cursor.execute(_CHECKS, (sorted({table for table, _ in STATUSES}),))
    for table, constraint, column, expression in cursor.fetchall():
        for status in STATUSES.get((table, column), ()):
            query = sql.SQL("SELECT {} FROM (SELECT {}::text AS {}) status").format(
                sql.SQL(expression), sql.Literal(status), sql.Identifier(column)
            )
            if _refuses(cursor, query):
                yield Misfit(
                    f"{constraint} of public.{table} refuses the status {status}",
                    f'ALTER TABLE public.{table} DROP CONSTRAINT "{constraint}"',
                )
                break


def _refuses(cursor: Cursor, query: sql.Composable) -> bool:
    """Tell whether a CHECK is false; one that cannot be tried alone is left to the rehearsal."""
    cursor.execute("SAVEPOINT trial")
    try:
        cursor.execute(query)
        return bool(cursor.fetchall() == [(False,)])
    except psycopg2.Error:
        cursor.execute("ROLLBACK TO SAVEPOINT trial")
        return False
