"""What `--check` tells besides what stands in the way: what was not tried, and what will be."""

from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import columns, foreign, nodes, policies
from fleetsyncd.database.schema.distribution.obstacles import Order

# Else Citus refuses to move a shard, unless it is told to let no row be deleted meanwhile.
_LACKS_IDENTITY = """
SELECT EXISTS (
    SELECT FROM pg_class c
    WHERE c.relkind = 'r'
      AND c.oid IN (SELECT 'public.measurements'::regclass
                    UNION SELECT relid FROM pg_partition_tree('public.measurements'))
      AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (
          SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)))
"""


def of_distribution(cursor: Cursor, order: Order) -> list[Misfit]:
    """Return what cannot be known before the distribution, and what will be different after it."""
    if not nodes.has_citus(cursor):
        return []
    return [*_untried(cursor, order.app_role), *columns.remarks(cursor), *identity(cursor)]


def _untried(cursor: Cursor, role: str | None) -> Iterator[Misfit]:
    if role is None or nodes.may_be(cursor, role):
        return
    text = f"whether every node lets {role} in was not tried: the tables' owner is no member of it"
    yield Misfit(text, "`fleetsyncd doctor`, run with the settings of the daemon, tries it")


def identity(cursor: Cursor) -> Iterator[Misfit]:
    """Yield that shards cannot be moved in the usual way, if so."""
    cursor.execute(_LACKS_IDENTITY)
    if cursor.fetchall() == [(True,)]:
        text = "measurements has no primary key: shards are moved with shard_transfer_mode ="
        yield Misfit(
            f"{text} 'force_logical' only, and nothing can be deleted meanwhile",
            "as owner, while nobody writes: ALTER TABLE public.measurements ADD PRIMARY KEY"
            " (vehicle_id, channel_id, time)",
        )


def of_the_way_back(cursor: Cursor) -> list[Misfit]:
    """Return who may read by a policy FOR PUBLIC afterwards, and could not before."""
    return list(_for_everybody(cursor)) if nodes.is_known(cursor) else []


def _for_everybody(cursor: Cursor) -> Iterator[Misfit]:
    for name in foreign.policies_for_everybody(cursor):
        text = f"the policy {name} stays beside those of one server, and lets PUBLIC in as they do"
        yield Misfit(text, f"as owner, if it is not to: DROP POLICY {name} ON public.measurements")
    for role in policies.readers(cursor).granted:
        text = f"{role} can see all rows afterwards by app.user_role = superuser: policies of one"
        yield Misfit(
            f"{text} server are FOR PUBLIC", "REVOKE SELECT ON public.measurements, if it is not to"
        )
