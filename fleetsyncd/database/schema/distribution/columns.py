"""Columns that others have added to measurements, and that take their numbers from a sequence.

Rows are written straight into shards, and Citus gives a shard no default that calls nextval().
"""

from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit

_NUMBERED = """
SELECT a.attname, quote_ident(a.attname), a.attidentity <> '' AS is_identity, a.attnotnull,
    quote_ident(k.conname)
FROM pg_attribute a
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'p'
    AND a.attnum = ANY (k.conkey)
WHERE a.attrelid = 'public.measurements'::regclass AND a.attnum > 0 AND NOT a.attisdropped
  AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%')
ORDER BY a.attnum
"""


def misfits(cursor: Cursor) -> Iterator[Misfit]:
    """Yield columns that no row of a worker could fill, and that must be filled."""
    cursor.execute(_NUMBERED)
    for name, quoted, is_identity, not_null, key in cursor.fetchall():
        if not not_null:
            continue
        text = (
            f"measurements.{name} takes its numbers from a sequence, which no worker does: it may"
            " not be null, so nothing could be stored"
        )
        changes = [f"DROP CONSTRAINT IF EXISTS {key}"] if key else []
        changes += [f"ALTER COLUMN {quoted} DROP IDENTITY"] if is_identity else []
        changes += [f"ALTER COLUMN {quoted} DROP NOT NULL"]
        alter = "; ".join(f"ALTER TABLE public.measurements {change}" for change in changes)
        yield Misfit(text, f"as owner: {alter}")


def remarks(cursor: Cursor) -> Iterator[Misfit]:
    """Yield columns that stay null in all rows to come."""
    cursor.execute(_NUMBERED)
    for name, _, _, not_null, _ in cursor.fetchall():
        if not not_null:
            text = f"measurements.{name} takes its numbers from a sequence, which no worker does"
            yield Misfit(f"{text}: it stays null in new rows", "let nobody rely on it")
