"""The policies of distributed measurements: by role, since a worker cannot evaluate a sub-select.

Never two of them are for one role: ORed, the vehicles that were granted would be looked up for each
row. Who writes, or always sees all rows, has one; whoever else may read has the other.
"""

from dataclasses import dataclass

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.distribution.functions import STORE, TABLE, WITH_LITERALS

ALL, GRANTED = "measurements_superuser", "measurements_owner"
OWN = (ALL, GRANTED, "measurements_writer")
"""The policies that the program makes of measurements, on one server or on several."""
_LENDS_RIGHTS = "fleetsync.granted()"
_OF_ALL = ("fleetsync.sees_all()", WITH_LITERALS)
_OF_GRANTED = (_LENDS_RIGHTS, WITH_LITERALS)
_BEGINS_AS_SUPERUSER = """EXISTS (
        SELECT FROM pg_db_role_setting s
        WHERE s.setrole = r.oid AND 'app.user_role=superuser' = ANY (s.setconfig)
          AND s.setdatabase IN (0, (SELECT oid FROM pg_database
                                    WHERE datname = current_database())))"""
# Who may call the writing function is a daemon. Of others, what a role begins each session with
# tells what it is for.
_ROLES = f"""
SELECT r.rolname::text, r.oid = c.relowner OR r.rolname = %(app)s
    OR EXISTS (SELECT FROM pg_proc f, aclexplode(f.proacl) a
               WHERE f.oid = '{STORE}'::regprocedure AND a.grantee = r.oid)
    OR {_BEGINS_AS_SUPERUSER}
FROM pg_class c CROSS JOIN LATERAL (
    SELECT c.relowner AS role
    UNION SELECT a.grantee FROM aclexplode(c.relacl) a WHERE a.privilege_type = 'SELECT'
    UNION SELECT a.grantee FROM pg_attribute t, aclexplode(t.attacl) a
    WHERE t.attrelid = c.oid AND a.privilege_type = 'SELECT'
    UNION SELECT oid FROM pg_roles WHERE rolname = %(app)s
    UNION SELECT oid FROM pg_roles
    WHERE pg_has_role(oid, 'pg_read_all_data', 'USAGE') AND NOT rolsuper AND NOT rolbypassrls
      AND left(rolname, 3) <> 'pg_'
) known JOIN pg_roles r ON r.oid = known.role
WHERE c.oid = '{TABLE}'::regclass ORDER BY 1
"""  # noqa: S608  made of this package's own text
_LED = f"""
SELECT r.rolname::text, g.rolname::text
FROM pg_roles r JOIN pg_roles g ON g.rolname = ANY (%(granted)s) AND g.oid <> r.oid
WHERE {_BEGINS_AS_SUPERUSER} AND NOT r.rolsuper AND NOT r.rolbypassrls
  AND r.rolname <> ALL (%(everything)s) AND pg_has_role(r.oid, g.oid, 'USAGE') ORDER BY 1, 2
"""  # noqa: S608  made of this file's own text
_STORED = """
SELECT policyname::text, ARRAY(SELECT role::text FROM unnest(roles) role ORDER BY 1),
    coalesce(qual LIKE '%%sees_all()%%', false), coalesce(qual LIKE '%%granted()%%', false)
FROM pg_policies WHERE schemaname = 'public' AND tablename = 'measurements'
  AND policyname = ANY (%s)
"""
# A policy calls its function as whoever reads, and so do the functions that read shards.
_MAY_CALL = """
SELECT coalesce(bool_and(has_function_privilege(r.oid, to_regprocedure(f.name), 'EXECUTE')), true)
FROM unnest(%(roles)s::text[]) role JOIN pg_roles r ON r.rolname = role,
    unnest(%(functions)s::text[]) f(name)
"""
_QUOTED = "SELECT array_agg(quote_ident(name) ORDER BY name) FROM unnest(%s::text[]) name"
_DROP = "".join(f"DROP POLICY IF EXISTS {name} ON {TABLE};\n" for name in OWN)
_EVERYTHING_TO_EVERYBODY = f"""CREATE POLICY {ALL} ON {TABLE}
    USING ((SELECT current_setting('app.user_role', true)) = 'superuser')"""
_GRANTED_TO_EVERYBODY = f"""CREATE POLICY {GRANTED} ON {TABLE} FOR SELECT
    USING ((SELECT current_setting('app.user_role', true)) = 'owner'
        AND vehicle_id IN (SELECT a.vehicle_id FROM public.vehicle_access a WHERE a.user_id
            = nullif(current_setting('app.user_id', true), '')::uuid))"""  # noqa: S608  constants
_USUAL = {ALL: _EVERYTHING_TO_EVERYBODY, GRANTED: _GRANTED_TO_EVERYBODY}
TO_EVERYBODY = f"\n{_DROP}{';'.join(_USUAL.values())};\n"
"""The policies of a table on one server."""


@dataclass(frozen=True, slots=True)
class Readers:
    """Roles that may read measurements: who sees all rows, and who those of granted vehicles."""

    everything: tuple[str, ...]
    granted: tuple[str, ...]


def readers(cursor: Cursor, app_role: str | None = None) -> Readers:
    """Return who may read, by what each role is for; `app_role` may be granted its rights later."""
    cursor.execute(_ROLES, {"app": app_role})
    rows = cursor.fetchall()
    return Readers(
        tuple(name for name, sees_all in rows if sees_all),
        tuple(name for name, sees_all in rows if not sees_all),
    )


def led_by_others(cursor: Cursor, known: Readers) -> list[tuple[str, str]]:
    """Return roles that are to see all rows, each with one that lets it see the granted only."""
    arguments = {"granted": list(known.granted), "everything": list(known.everything)}
    cursor.execute(_LED, arguments)
    return [(member, role) for member, role in cursor.fetchall()]


def are_by_role(cursor: Cursor, wanted: Readers) -> bool:
    """Tell whether the policies are those that the readers need."""
    cursor.execute(_STORED, (list(OWN),))
    stored = {name: (tuple(roles), everything, some) for name, roles, everything, some in cursor}
    expected = {ALL: (tuple(sorted(wanted.everything)), True, False)}
    if wanted.granted:
        expected[GRANTED] = (tuple(sorted(wanted.granted)), False, True)
    return stored == expected and all(
        _may_call(cursor, roles, functions)
        for roles, functions in ((wanted.everything, _OF_ALL), (wanted.granted, _OF_GRANTED))
    )


def _may_call(cursor: Cursor, roles: tuple[str, ...], functions: tuple[str, ...]) -> bool:
    cursor.execute(_MAY_CALL, {"roles": list(roles), "functions": list(functions)})
    return cursor.fetchall() == [(True,)]


def missing_usual(cursor: Cursor) -> str:
    """Return SQL that makes those policies of one server that the table lacks."""
    cursor.execute(_STORED, (list(_USUAL),))
    stored = {name for name, *_ in cursor.fetchall()}
    missing = (text for name, text in _USUAL.items() if name not in stored)
    return "".join(f"{' '.join(text.split())}; " for text in missing)


def by_role(cursor: Cursor, wanted: Readers) -> str:
    """Return SQL that makes the policies for these readers, in place of those that are there.

    In a block, since workers are sent the text of each statement, and take one at a time.
    """
    text = f"DO $policies$\nBEGIN\n{_DROP}CREATE POLICY {ALL} ON {TABLE}"
    everything = _named(cursor, wanted.everything)
    text += f" TO {everything} USING (fleetsync.sees_all());"
    text += f"\nREVOKE ALL ON FUNCTION {_LENDS_RIGHTS} FROM PUBLIC;"
    text += f"\nGRANT EXECUTE ON FUNCTION {', '.join(_OF_ALL)} TO {everything};"
    if wanted.granted:
        granted = _named(cursor, wanted.granted)
        text += f"\nCREATE POLICY {GRANTED} ON {TABLE} FOR SELECT TO"
        text += f" {granted} USING (vehicle_id = ANY (fleetsync.granted()));"
        text += f"\nGRANT EXECUTE ON FUNCTION {', '.join(_OF_GRANTED)} TO {granted};"
    return f"{text}\nEND\n$policies$"


def _named(cursor: Cursor, roles: tuple[str, ...]) -> str:
    cursor.execute(_QUOTED, (list(roles),))
    return ", ".join(cursor.fetchall()[0][0])
