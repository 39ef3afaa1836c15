import re

import pytest

from fleetsyncd.database import statements
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import citus
from fleetsyncd.demo.embedded import OWNER, Server
from fleetsyncd.errors import CommandError, MigrationFailed
from fleetsyncd.settings import DatabaseSettings

# No Citus can be had here: what is called stands in for it, and writes down how it was called.
STAND_IN = """
CREATE TABLE public.called (id serial, call text);
CREATE TABLE public.pg_dist_partition (logicalrelid regclass);
CREATE FUNCTION public.create_reference_table(name regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.called (call) VALUES ('reference ' || name);
    INSERT INTO public.pg_dist_partition VALUES (name)
$$;
CREATE FUNCTION public.create_distributed_table(name regclass, key text, colocate_with text)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.called (call) VALUES (name || ' by ' || key || ' with ' || colocate_with);
    INSERT INTO public.pg_dist_partition VALUES (name)
$$;
"""
HOT = {
    name: text
    for name, text in vars(statements).items()
    if name.isupper() and isinstance(text, str)
}
TABLES = "|".join(re.escape(name) for name in citus.DISTRIBUTED)


@pytest.fixture
def owned(server: Server, database_name: str) -> Database:
    return Database(DatabaseSettings(server.parameters(database_name, OWNER)))


@pytest.fixture
def cluster(server: Server, database_name: str, owned: Database) -> Database:
    with server.connect(database_name) as connection, connection.cursor() as cursor:
        cursor.execute(STAND_IN)
        cursor.execute(
            f"GRANT ALL ON public.called, public.called_id_seq, public.pg_dist_partition TO {OWNER}"
        )
    connection.close()
    return owned


def calls(cursor: Cursor) -> list[str]:
    cursor.execute("SELECT call FROM public.called ORDER BY id")
    return [row[0] for row in cursor.fetchall()]


def test_without_citus_nothing_is_distributed_and_the_remedy_is_named(owned: Database) -> None:
    with pytest.raises(CommandError, match=r"lacks the citus extension.*CREATE EXTENSION citus"):
        citus.distribute(owned)


def test_small_tables_are_copied_first_and_the_others_spread_by_vehicle(cluster: Database) -> None:
    assert citus.distribute(cluster) == [*citus.REFERENCE, *citus.DISTRIBUTED]
    made = cluster.run(calls)
    assert made[:5] == [
        "reference vehicles",
        "reference vehicle_access",
        "reference fleetsync.mute",
        "reference fleetsync.action_log",
        "measurements by vehicle_id with default",
    ]
    assert len(made) == len(citus.REFERENCE) + len(citus.DISTRIBUTED)
    assert all(call.endswith("by vehicle_id with public.measurements") for call in made[5:])


def test_tables_that_are_distributed_already_are_not_changed(cluster: Database) -> None:
    citus.distribute(cluster)
    assert citus.distribute(cluster) == []


def test_a_unique_key_without_the_vehicle_is_named_and_nothing_is_distributed(
    cluster: Database,
) -> None:
    cluster.run(lambda c: c.execute("CREATE UNIQUE INDEX by_id ON public.sync_journal (id)"))
    with pytest.raises(MigrationFailed, match=r"vehicle_id.*by_id of sync_journal"):
        citus.distribute(cluster)
    assert cluster.run(calls) == []


def test_every_unique_key_of_a_distributed_table_contains_the_vehicle(owned: Database) -> None:
    assert owned.run(citus.unfit_keys) == []


def test_every_table_that_knows_vehicles_is_spread_or_copied(owned: Database) -> None:
    def tables(cursor: Cursor) -> set[str]:
        cursor.execute(
            "SELECT format('%s.%s', c.relnamespace::regnamespace, c.relname) FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'vehicle_id'"
            " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
        return {row[0] for row in cursor.fetchall()}

    spread = {*citus.DISTRIBUTED, *citus.REFERENCE} - {"public.vehicles"}
    assert owned.run(tables) == spread


@pytest.mark.parametrize("name", HOT)
def test_every_statement_of_the_cycle_names_the_vehicle_of_the_rows_it_touches(name: str) -> None:
    # A statement is cut at its commands and sub-queries; each piece that touches a distributed
    # table has to say whose rows it means.
    pieces = re.split(r"\b(?=INSERT INTO|UPDATE|DELETE FROM|SELECT|MERGE)\b", HOT[name])
    touching = [piece for piece in pieces if re.search(TABLES, piece)]
    assert all("vehicle_id" in piece for piece in touching), touching


def test_the_cycle_s_statements_touch_the_distributed_tables() -> None:
    assert sum(bool(re.search(TABLES, text)) for text in HOT.values()) >= 6
