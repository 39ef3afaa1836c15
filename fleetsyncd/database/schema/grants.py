"""The rights of the daemon's role, and no others: granted by `migrate`, checked by `doctor`."""

from collections.abc import Iterator

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

    `former`: also those of daemons of the version before, which may still run.
    """
    for statement in _statements(former=former):
        cursor.execute(sql.SQL(statement + " TO {}").format(sql.Identifier(role)))
    cursor.execute(_SEQUENCES)
    for (sequence,) in cursor.fetchall():
        if sequence is not None:
            statement = f"GRANT USAGE ON SEQUENCE {sequence} TO {{}}"
            cursor.execute(sql.SQL(statement).format(sql.Identifier(role)))
    if cursor.connection.server_version >= MAINTAIN_SINCE:
        _grant_maintenance(cursor, role)


def _grant_maintenance(cursor: Cursor, role: str) -> None:
    """Let `role` tidy the partitions; `make_month` passes it on to those to come."""
    cursor.execute(_PARTS)
    for (part,) in cursor.fetchall():
        statement = sql.SQL("GRANT MAINTAIN ON " + part + " TO {}")
        cursor.execute(statement.format(sql.Identifier(role)))


def _statements(*, former: bool) -> Iterator[str]:
    yield f"GRANT USAGE ON SCHEMA {', '.join(SCHEMAS)}"
    for table, privileges in [*TABLES.items(), *(FORMER.items() if former else ())]:
        yield f"GRANT {', '.join(privileges)} ON {table}"
    yield "GRANT USAGE ON ALL SEQUENCES IN SCHEMA fleetsync"
    yield f"GRANT EXECUTE ON FUNCTION {', '.join(FUNCTIONS)}"


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
