"""The rights of the daemon's role, and no others: granted by `migrate`, checked by `doctor`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from fleetsyncd.database.pool import Cursor

SCHEMAS = ("public", "fleetsync")
_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")
TABLES = {
    "public.vehicles": _ALL,
    "public.channel_config": _ALL,
    "public.alarms_log": _ALL,
    "public.measurements": ("SELECT", "DELETE"),
    "public.sync_journal": ("SELECT", "INSERT", "DELETE"),
    "public.vehicle_access": ("SELECT",),
    "public.measurements_minute": _ALL,
    "fleetsync.minute_state": _ALL,
    "fleetsync.minute_due": _ALL,
    "fleetsync.vehicle_state": _ALL,
    "fleetsync.replica": _ALL,
    "fleetsync.quarantine": _ALL,
    "fleetsync.backfill": _ALL,
    "fleetsync.lost_interval": _ALL,
    "fleetsync.audit": _ALL,
    "fleetsync.verified": _ALL,
    "fleetsync.removed_vehicle": _ALL,
    "fleetsync.retention": _ALL,
    "fleetsync.replaced_alarm": _ALL,
    "fleetsync.channel_change": _ALL,
    "fleetsync.mute": _ALL,
    "fleetsync.traffic": _ALL,
    "fleetsync.vehicle_terms": _ALL,
    "fleetsync.action_log": ("SELECT", "INSERT", "DELETE"),
    "fleetsync.housekeeping": _ALL,
    "fleetsync.notice": _ALL,
    "fleetsync.notice_delivery": _ALL,
    "fleetsync.notice_target": _ALL,
    "fleetsync.condition": _ALL,
    "fleetsync.coverage": ("SELECT",),
    "fleetsync.migration": ("SELECT",),
}
FORMER = {"public.measurements": ("INSERT",)}
"""Rights that daemons of the version before need, and this one does not."""
DOOR = "0025.one-door"
"""The migration from which on `FORMER` is needed no more."""
READING = (
    "fleetsync.coverage_rows()",
    "fleetsync.minute_parts(uuid, timestamptz, timestamptz)",
    "fleetsync.minute_values(uuid, integer[], timestamptz, timestamptz)",
    "fleetsync.measured_channels(uuid, timestamptz, timestamptz)",
    "fleetsync.measured_minutes(uuid, integer, timestamptz, timestamptz)",
    "fleetsync.channels_between(uuid, timestamptz, timestamptz)",
    "fleetsync.raw_minutes(uuid, integer, timestamptz, timestamptz)",
)
"""Functions that whoever reads needs, too: a role that only looks, for example."""
FUNCTIONS = (
    *READING,
    "fleetsync.add_measurements(uuid, text, text, text, timestamptz, timestamptz)",
    "fleetsync.store_measurements(uuid, text, text, text, timestamptz, timestamptz)",
    "fleetsync.mark_minutes(uuid, text)",
    "fleetsync.is_distributed()",
    "fleetsync.part_bytes(regclass)",
    "fleetsync.make_month(date)",
    "fleetsync.month_plan(date)",
    "fleetsync.is_foreign_series(timestamptz, timestamptz)",
    "fleetsync.partition_ranges()",
    "fleetsync.make_minute_month(date)",
    "fleetsync.expired_minutes(integer, date)",
    "fleetsync.drop_expired_minutes(integer, date, boolean)",
    "fleetsync.hidden_table()",
    "fleetsync.hidden_parts()",
    "fleetsync.hidden_ranges()",
    "fleetsync.timescale_schema()",
    "fleetsync.compress_chunk(integer)",
    "fleetsync.ensure_month(date)",
    "fleetsync.drop_expired_month(integer, date)",
    "fleetsync.drop_expired_month(integer, date, boolean)",
    "fleetsync.expired_months(integer, date)",
    "fleetsync.broken_indexes()",
    "fleetsync.drop_broken_index()",
    "fleetsync.may_delete(text, integer, boolean, integer, bigint, bigint, timestamptz,"
    " timestamptz)",
)
MAINTAIN_SINCE = 170_000
"""First server version in which others than the owner may write an index anew."""
# Nobody can grant rights on partitions that others own.
_PARTS = """
SELECT format('%I.%I', n.nspname, c.relname)
FROM unnest(ARRAY['public.measurements', 'public.measurements_minute']) parent
CROSS JOIN LATERAL pg_partition_tree(to_regclass(parent)) part
JOIN pg_class c ON c.oid = part.relid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE pg_has_role(c.relowner, 'USAGE') ORDER BY part.level
"""
_OWN_SEQUENCES = """
SELECT oid::regclass::text FROM pg_class
WHERE relkind = 'S' AND relnamespace = 'fleetsync'::regnamespace
"""
# In an adopted installation the sequences of measurements and journal may have other names.
_SEQUENCES = """
SELECT CASE WHEN EXISTS (SELECT FROM pg_attribute
                         WHERE attrelid = t::regclass AND attname = 'id' AND NOT attisdropped)
            THEN pg_get_serial_sequence(t, 'id') END
FROM unnest(ARRAY['public.sync_journal', 'public.measurements']) t
"""
_MISSING = f"""
SELECT 'USAGE on schema ' || s FROM unnest(%(schemas)s) s
WHERE NOT has_schema_privilege(s, 'USAGE')
UNION ALL
SELECT p || ' on ' || t FROM unnest(%(tables)s, %(privileges)s) u(t, p)
WHERE NOT has_table_privilege(t, p)
UNION ALL
SELECT 'EXECUTE on ' || f FROM unnest(%(functions)s) f
WHERE NOT has_function_privilege(f, 'EXECUTE')
UNION ALL
SELECT 'USAGE on ' || n.sequence FROM ({_SEQUENCES}) n(sequence)
WHERE n.sequence IS NOT NULL AND NOT has_sequence_privilege(n.sequence, 'USAGE')
"""  # noqa: S608  made of this file's own text

# An owner has every right without a grant.
_FORMER = """
SELECT p || ' on ' || t FROM unnest(%s, %s) u(t, p)
WHERE has_table_privilege(t, p)
  AND NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = t::regclass), 'USAGE')
"""


def grant(cursor: Cursor, role: str, *, former: bool) -> None:
    """Grant `role` a daemon's rights; the schema is up to date and the caller owns it.

    `former`: also those of daemons of the version before, which may still run. What it may already
    is not granted again: a cluster hands each grant on to its workers, of which one may be down.
    """
    for right in _rights(cursor, former=former):
        _grant(cursor, role, right)


@dataclass(frozen=True, slots=True)
class _Right:
    """Privileges on objects of one kind: SCHEMA, TABLE, SEQUENCE or FUNCTION."""

    kind: str
    names: Sequence[str]
    privileges: Sequence[str]


def _rights(cursor: Cursor, *, former: bool) -> Iterator[_Right]:
    yield _Right("SCHEMA", SCHEMAS, ("USAGE",))
    for table, privileges in [*TABLES.items(), *(FORMER.items() if former else ())]:
        yield _Right("TABLE", (table,), privileges)
    for query in (_OWN_SEQUENCES, _SEQUENCES):
        yield _Right("SEQUENCE", _names(cursor, query), ("USAGE",))
    yield _Right("FUNCTION", FUNCTIONS, ("EXECUTE",))
    if cursor.connection.server_version >= MAINTAIN_SINCE:
        # To tidy the partitions; `make_month` passes it on to those to come.
        for part in _names(cursor, _PARTS):
            yield _Right("TABLE", (part,), ("MAINTAIN",))


def _names(cursor: Cursor, query: str) -> list[str]:
    cursor.execute(query)
    return [str(name) for (name,) in cursor.fetchall() if name is not None]


def _grant(cursor: Cursor, role: str, right: _Right) -> None:
    cursor.execute(
        f"SELECT name FROM unnest(%s) name, unnest(%s) privilege"  # noqa: S608  one of four words
        f" WHERE NOT has_{right.kind.lower()}_privilege(%s, name, privilege) GROUP BY name",
        (list(right.names), list(right.privileges), role),
    )
    if missing := [str(name) for (name,) in cursor.fetchall()]:
        statement = f"GRANT {', '.join(right.privileges)} ON {right.kind} {', '.join(missing)}"
        cursor.execute(sql.SQL(statement + " TO {}").format(sql.Identifier(role)))


def missing_grants(cursor: Cursor) -> list[str]:
    """Return those of these rights that the connected role lacks, as text for operators."""
    pairs = [(table, right) for table, rights in TABLES.items() for right in rights]
    values = {
        "schemas": list(SCHEMAS),
        "tables": [table for table, _ in pairs],
        "privileges": [right for _, right in pairs],
        "functions": list(FUNCTIONS),
    }
    cursor.execute(_MISSING, values)
    return [str(row[0]) for row in cursor.fetchall()]


def former_grants(cursor: Cursor) -> str:
    """Return those of `FORMER` that the connected role was granted, as text; "" if it has none."""
    pairs = [(table, right) for table, rights in FORMER.items() for right in rights]
    cursor.execute(_FORMER, ([table for table, _ in pairs], [right for _, right in pairs]))
    return ", ".join(str(row[0]) for row in cursor.fetchall())
