"""Roles that read as members of others: a policy by role is one of every member, too.

Memberships are those of each node by itself: what is changed on the coordinator may not be on the
workers.
"""

import json
from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import nodes, policies
from fleetsyncd.database.schema.distribution.policies import Readers

_LITERALS = "SELECT quote_literal(%s::text[]::text), quote_literal(%s::text[]::text)"
_MEMBERS = """
SELECT json_agg(ARRAY[m.oid::regrole::text, r.oid::regrole::text] ORDER BY m.rolname, r.rolname)
FROM pg_roles m, pg_roles r
WHERE m.rolname = ANY ({everything}::text[]) AND r.rolname = ANY ({granted}::text[])
  AND NOT m.rolsuper AND pg_has_role(m.oid, r.oid, 'USAGE')
"""
_QUOTED = "SELECT quote_ident(%s), quote_ident(%s)"


def misfits(cursor: Cursor, known: Readers) -> Iterator[Misfit]:
    """Yield roles that two policies would be for, and those that would have the wrong one."""
    for (member, role), where in _with_two_policies(cursor, known).items():
        text = (
            f"{member} is a member of {role}, and would look up the granted vehicles for each row"
        )
        yield Misfit(text, f"as a superuser, on {', '.join(where)}: REVOKE {role} FROM {member}")
    for pair in policies.led_by_others(cursor, known):
        cursor.execute(_QUOTED, pair)
        member, role = cursor.fetchall()[0]
        text = (
            f"{member} begins with app.user_role = superuser, and would see granted vehicles only"
        )
        remedy = f"as a superuser, on every node: REVOKE {role} FROM {member}; then GRANT SELECT ON"
        yield Misfit(f"{text}, as a member of {role}", f"{remedy} public.measurements TO {member}")


def _with_two_policies(cursor: Cursor, known: Readers) -> dict[tuple[str, str], list[str]]:
    """Return members with the role they are members of, and the nodes on which they are."""
    cursor.execute(_LITERALS, (list(known.everything), list(known.granted)))
    everything, granted = cursor.fetchall()[0]
    found: dict[tuple[str, str], list[str]] = {}
    for reply in nodes.ask(cursor, _MEMBERS.format(everything=everything, granted=granted)):
        if reply.success and reply.text:
            for member, role in json.loads(reply.text):
                found.setdefault((member, role), []).append(reply.node)
    return found
