"""What the distribution is made of, on one server: functions, policies, the copy of access."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from fleetsyncd.database import access as owners
from fleetsyncd.database import measurements, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema.distribution import (
    access,
    columns,
    foreign,
    functions,
    health,
    obstacles,
    policies,
    remarks,
    room,
    steps,
    views,
)
from fleetsyncd.database.schema.distribution.obstacles import Order
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
OLGA = UUID(int=1)
READER, VIEWER = "parts_reader", "parts_viewer"
COPY = "SELECT user_id::text, vehicle_id::text FROM fleetsync.access_copy ORDER BY 1, 2"
WANTED = "SELECT user_id::text, vehicle_id::text FROM public.vehicle_access ORDER BY 1, 2"
FUNCTIONS = "SELECT oid::regprocedure::text, prosrc FROM pg_proc WHERE oid = ANY (%s::regproc[])"
GRANT = "INSERT INTO public.vehicle_access VALUES (%s::uuid, %s::uuid)"
REVOKE_ONE = """
DELETE FROM public.vehicle_access WHERE ctid = (SELECT min(ctid) FROM public.vehicle_access)
"""
OF_ONE_SERVER = (
    "fleetsync.storage_table",
    "fleetsync.is_distributed",
    "fleetsync.measured_channels",
    "fleetsync.measured_minutes",
    "fleetsync.part_bytes",
)


@pytest.fixture
def owner(server: Server, database_name: str) -> Iterator[Database]:
    opened = Database(DatabaseSettings(server.parameters(database_name, OWNER)))
    yield opened
    opened.close()


@pytest.fixture
def readers(server: Server) -> None:
    """Make a role that reads for owners of vehicles, and one that always sees all."""
    with closing(server.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for role in (READER, VIEWER):
                cursor.execute(f"DROP ROLE IF EXISTS {role}")
                cursor.execute(f"CREATE ROLE {role} LOGIN")
            cursor.execute(f"ALTER ROLE {VIEWER} SET app.user_role = 'superuser'")


def run(database: Database, *statements: str) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def trucks(database: Database, count: int) -> list[UUID]:
    """Return vehicles with a row each."""
    Partitions(database).ensure(NOON, NOON)
    made = [
        database.run(
            partial(vehicles.add_vehicle, name=f"T-{n}", host=f"127.0.0.{n}", port=9, key=None)
        )
        for n in range(1, count + 1)
    ]
    for truck in made:
        page = Measurements.from_rows([(NOON, 1, 0.5)])
        database.run(partial(measurements.add_measurements, vehicle_id=truck, rows=page))
    return made


def by_role(owner: Database) -> None:
    run(owner, access.CREATE + functions.KNOW_RIGHTS + functions.READ_SHARDS)
    wanted = owner.run(partial(policies.readers, app_role=APP))
    run(owner, owner.run(partial(policies.by_role, wanted=wanted)))
    assert owner.run(partial(policies.are_by_role, wanted=wanted))


def test_the_copy_follows_every_change_of_access(database: Database, owner: Database) -> None:
    first, second = trucks(database, 2)
    owner.run(partial(owners.grant, user_id=OLGA, vehicles=[first]))
    run(owner, access.CREATE)
    assert run(owner, COPY) == [(str(OLGA), str(first))]
    owner.run(partial(owners.grant, user_id=OLGA, vehicles=[second]))
    assert run(owner, COPY) == run(owner, WANTED)
    run(owner, "UPDATE public.vehicle_access SET user_id = gen_random_uuid()")
    assert run(owner, COPY) == run(owner, WANTED)
    run(owner, "DELETE FROM public.vehicles WHERE name = 'T-1'")
    assert run(owner, COPY) == run(owner, WANTED)
    assert [vehicle for _, vehicle in run(owner, COPY)] == [str(second)]
    assert run(owner, access.DIFFERENCES) == [(0,)]
    run(owner, "TRUNCATE public.vehicle_access")
    assert run(owner, COPY) == []
    run(owner, access.DROP)
    assert run(owner, access.IS_KEPT) == [(False,)]


def test_a_grant_that_an_adopted_table_holds_twice_is_kept_until_both_are_gone(
    database: Database, owner: Database
) -> None:
    (truck,) = trucks(database, 1)
    run(owner, "ALTER TABLE public.vehicle_access DROP CONSTRAINT vehicle_access_pkey")
    run(owner, access.CREATE)
    for _ in range(2):
        owner.run(lambda c: c.execute(GRANT, (str(OLGA), str(truck))))
    run(owner, REVOKE_ONE)
    assert run(owner, COPY) == [(str(OLGA), str(truck))]
    run(owner, REVOKE_ONE)
    assert run(owner, COPY) == []


def test_what_an_adopted_table_grants_of_no_vehicle_is_not_missed_in_the_copy(
    owner: Database,
) -> None:
    run(
        owner,
        "ALTER TABLE public.vehicle_access DROP CONSTRAINT vehicle_access_pkey",
        "ALTER TABLE public.vehicle_access ALTER vehicle_id DROP NOT NULL",
        "INSERT INTO public.vehicle_access (user_id) VALUES (gen_random_uuid())",
    )
    run(owner, access.CREATE)
    assert run(owner, COPY) == []
    assert run(owner, access.DIFFERENCES) == [(0,)]


@pytest.mark.usefixtures("readers")
def test_policies_by_role_let_the_same_rows_be_seen(
    server: Server, database_name: str, database: Database, owner: Database
) -> None:
    first, _ = trucks(database, 2)
    owner.run(partial(owners.grant, user_id=OLGA, vehicles=[first]))
    run(owner, f"GRANT SELECT ON public.measurements TO {READER}, {VIEWER}")
    by_role(owner)
    count = "SELECT count(*) FROM public.measurements"

    def seen(role: str, *settings: str) -> int:
        parameters = server.parameters(database_name, role)
        with (
            closing(psycopg2.connect(make_dsn(**parameters))) as connection,
            connection.cursor() as cursor,
        ):
            for setting in settings:
                cursor.execute(f"SET {setting}")
            cursor.execute(count)
            return int(cursor.fetchall()[0][0])

    as_olga = ("app.user_role = 'owner'", f"app.user_id = '{OLGA}'")
    assert run(database, count) == [(2,)]
    assert seen(VIEWER) == 2
    assert seen(READER, *as_olga) == 1
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match=f"{READER} sees") as refused:
        seen(READER, "app.user_role = 'superuser'")
    assert f"ALTER ROLE {READER} SET" in (refused.value.diag.message_hint or "")
    assert seen(READER) == 0
    assert seen(APP) == 0
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match=f"{APP} sees all") as refused:
        seen(APP, *as_olga)
    assert "another role for owners" in (refused.value.diag.message_hint or "")
    run(owner, policies.TO_EVERYBODY + functions.FORGET_RIGHTS)
    run(owner, f"GRANT SELECT ON public.vehicle_access TO {READER}")
    assert seen(READER, *as_olga) == 1
    everything = "public.measurements, public.vehicle_access"
    run(owner, f"REVOKE ALL ON {everything} FROM {READER}, {VIEWER}")


@pytest.mark.usefixtures("readers")
def test_nobody_has_two_policies(owner: Database) -> None:
    run(owner, f"GRANT SELECT ON public.measurements TO {READER}, {VIEWER}")
    known = owner.run(partial(policies.readers, app_role=APP))
    assert (known.everything, known.granted) == ((APP, OWNER, VIEWER), (READER,))
    run(owner, f"REVOKE ALL ON public.measurements FROM {READER}, {VIEWER}")


@pytest.mark.usefixtures("readers")
def test_who_is_to_see_all_rows_and_reads_as_a_member_of_others_is_known(
    server: Server, owner: Database
) -> None:
    def led() -> list[tuple[str, str]]:
        return owner.run(lambda c: policies.led_by_others(c, policies.readers(c, APP)))

    run(owner, f"GRANT SELECT ON public.measurements TO {READER}")
    assert led() == []
    server.execute(sql.SQL(f"GRANT {READER} TO {VIEWER}"))
    assert led() == [(VIEWER, READER)]
    server.execute(sql.SQL(f"REVOKE {READER} FROM {VIEWER}"))
    run(owner, f"GRANT SELECT ON public.measurements TO {VIEWER}")
    assert led() == []
    run(owner, f"REVOKE ALL ON public.measurements FROM {READER}, {VIEWER}")


@pytest.mark.usefixtures("readers")
def test_who_may_read_all_data_gets_a_policy_too(server: Server, owner: Database) -> None:
    server.execute(sql.SQL(f"GRANT pg_read_all_data TO {READER}"))
    try:
        assert READER in owner.run(partial(policies.readers, app_role=APP)).granted
    finally:
        server.execute(sql.SQL(f"REVOKE pg_read_all_data FROM {READER}"))
    assert READER not in owner.run(partial(policies.readers, app_role=APP)).granted


def test_the_functions_of_a_cluster_do_the_same_on_one_server(
    database: Database, owner: Database
) -> None:
    run(owner, functions.KNOW_RIGHTS + functions.READ_SHARDS + functions.NAME_SHARDS)
    (truck,) = trucks(database, 1)
    name = f"SELECT fleetsync.storage_table('{truck}'), fleetsync.is_distributed()"
    assert run(owner, name) == [("public.measurements", False)]
    span = f"'{truck}', '2026-02-10', '2026-02-11'"
    assert run(database, f"SELECT fleetsync.measured_channels({span})") == [(1,)]
    minute = f"'{truck}', 1, '2026-02-10', '2026-02-11'"
    both = f"""
SELECT (SELECT array_agg(m) FROM fleetsync.measured_minutes({minute}) m)
    = (SELECT array_agg(m) FROM fleetsync.raw_minutes({minute}) m)
"""  # noqa: S608
    assert run(database, both) == [(True,)]
    bytes_of = "SELECT * FROM fleetsync.part_bytes('public.measurements_2026_02')"
    before = run(owner, bytes_of)
    run(owner, functions.NAME_TABLE)
    assert run(owner, bytes_of) == before


def test_the_way_back_leaves_the_functions_as_the_migrations_make_them(owner: Database) -> None:
    def known() -> list[tuple[Any, ...]]:
        def read(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(FUNCTIONS, (list(OF_ONE_SERVER),))
            return sorted((name, " ".join(text.split())) for name, text in cursor.fetchall())

        return owner.run(read)

    before = known()
    run(owner, functions.READ_SHARDS + functions.NAME_SHARDS)
    assert known() != before
    run(owner, functions.NAME_TABLE)
    assert known() == before


def test_without_citus_that_is_all_that_is_in_the_way(owner: Database) -> None:
    found = owner.run(partial(obstacles.of_distribution, order=Order(APP)))
    assert len(found) == 1
    assert owner.run(obstacles.of_the_way_back) == []
    assert owner.run(lambda cursor: list(health.check_cluster(cursor))) == []


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE POLICY staff ON measurements USING ((SELECT 1) = 1)", "staff .* a sub-select"),
        ("CREATE POLICY staff ON measurements USING (channel_id > 5)", "staff .* is somebody's"),
        ("CREATE STATISTICS seen ON channel_id, time FROM measurements", "seen .* to postgres"),
        ("ALTER TABLE measurements ADD id bigserial", r"measurements\.id takes its numbers"),
        (
            "ALTER TABLE measurements ADD id bigint GENERATED ALWAYS AS IDENTITY",
            r"measurements\.id takes its numbers",
        ),
        (
            "ALTER TABLE measurements ADD id bigserial, ADD UNIQUE (vehicle_id, channel_id, time),"
            " DROP CONSTRAINT measurements_pkey, ADD PRIMARY KEY (id, vehicle_id, time)",
            r"measurements\.id takes its numbers",
        ),
        (
            "CREATE POLICY of_month ON measurements_2026_02 USING ((SELECT 1) = 1)",
            "of_month of measurements_2026_02 has a sub-select",
        ),
        (
            "CREATE UNIQUE INDEX once ON measurements_2026_02 (channel_id, time)",
            "once of measurements_2026_02 does not contain vehicle_id",
        ),
        (
            "CREATE RULE kept AS ON DELETE TO measurements_2026_02 DO INSTEAD NOTHING",
            "measurements_2026_02 has the rule kept",
        ),
        (
            "ALTER TABLE measurements_2026_02 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "measurements_2026_02 has row level security of its own, which is forced",
        ),
        (
            "ALTER TABLE measurements_2026_02 OWNER TO postgres",
            f"measurements_2026_02 belongs to postgres, and measurements to {OWNER}",
        ),
        (
            "CREATE SCHEMA apart; GRANT USAGE ON SCHEMA apart TO PUBLIC;"
            " ALTER TABLE measurements_2026_02 SET SCHEMA apart",
            rf"apart\.measurements_2026_02 is in a schema in which {OWNER} may make nothing",
        ),
    ],
)
def test_what_others_have_made_is_named_and_the_remedy_mends_it(
    server: Server, database_name: str, database: Database, owner: Database, made: str, told: str
) -> None:
    version = int(server.query("postgres", "SHOW server_version_num")[0][0])
    if "IDENTITY" in made and version < 170_000:
        pytest.skip("partitioned tables have no such columns before PostgreSQL 17")
    trucks(database, 1)
    for statement in ("DROP POLICY measurements_superuser ON measurements", made):
        server.execute(sql.SQL(statement), database=database_name)
    if "POLICY" not in made or "2026_02" in made:
        run(owner, owner.run(policies.missing_usual))
    (misfit,) = owner.run(lambda cursor: list(foreign.misfits(cursor)))
    assert re.search(told, misfit.text)
    who, _, remedy = misfit.remedy.partition(": ")
    role = {"as owner": OWNER, "as a superuser": "postgres"}[who]
    server.query(database_name, remedy, user=role)
    assert owner.run(lambda cursor: list(foreign.misfits(cursor))) == []
    assert run(database, "SELECT count(*) FROM measurements") == [(1,)]


def misfits(owner: Database) -> list[str]:
    return owner.run(lambda cursor: [str(each) for each in foreign.misfits(cursor)])


def test_views_of_others_are_named_there_only_if_workers_get_them_and_back_in_any_case(
    server: Server, database_name: str, owner: Database
) -> None:
    for made in (
        "CREATE VIEW seen AS SELECT * FROM measurements",
        "CREATE VIEW joined AS SELECT v.name FROM seen JOIN vehicles v ON v.id = vehicle_id",
    ):
        server.execute(sql.SQL(made), database=database_name)
    run(owner, "CREATE VIEW own AS SELECT * FROM measurements")
    there = misfits(owner)
    assert [told.partition(",")[0] for told in there] == ["seen"]
    assert "belongs to postgres" in there[0]
    assert "SELECT pg_get_viewdef('seen') returns, DROP VIEW seen" in there[0]
    back = owner.run(lambda cursor: [each.text for each in foreign.misfits_back(cursor)])
    assert [told.partition(",")[0] for told in back] == ["joined", "seen"]


def test_a_view_where_the_owner_may_make_nothing_is_named_and_the_remedy_mends_it(
    server: Server, database_name: str, owner: Database
) -> None:
    for made in (
        "CREATE SCHEMA aside",
        "CREATE VIEW aside.seen AS SELECT * FROM measurements",
        f"ALTER VIEW aside.seen OWNER TO {OWNER}",
    ):
        server.execute(sql.SQL(made), database=database_name)
    (told,) = misfits(owner)
    assert f"aside.seen, which reads measurements, is in a schema in which {OWNER}" in told
    server.execute(sql.SQL(told.partition("as a superuser: ")[2]), database=database_name)
    assert misfits(owner) == []


@pytest.mark.usefixtures("readers")
def test_a_view_that_is_granted_to_who_reads_nothing_else_is_named_and_the_remedy_mends_it(
    owner: Database,
) -> None:
    run(owner, "CREATE VIEW seen AS SELECT * FROM measurements")
    run(owner, f"GRANT SELECT ON measurements TO {VIEWER}")
    run(owner, f"GRANT SELECT ON seen TO {VIEWER}, {READER}")
    (told,) = misfits(owner)
    assert f"seen, which reads measurements, is granted to {READER}" in told
    run(owner, told.partition("as owner: ")[2])
    assert misfits(owner) == []
    assert owner.run(lambda cursor: list(views.misfits_back(cursor))) == []
    run(owner, "DROP VIEW seen", f"REVOKE ALL ON measurements FROM {VIEWER}")


def test_a_view_that_calls_a_function_over_rows_of_the_table_is_named(owner: Database) -> None:
    run(
        owner,
        "CREATE FUNCTION few() RETURNS SETOF measurements LANGUAGE sql"
        " AS 'SELECT * FROM public.measurements'",
        "CREATE VIEW seen AS SELECT * FROM few()",
    )
    (told,) = misfits(owner)
    assert "seen, which reads measurements, calls few(), which takes or returns its rows" in told
    run(owner, "DROP VIEW seen")
    assert misfits(owner) == []


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            "CREATE FUNCTION few() RETURNS SETOF measurements LANGUAGE sql"
            " AS 'SELECT * FROM public.measurements'",
            r"function few\(\) needs measurements, and would be dropped",
        ),
        ("CREATE TABLE other (row_of measurements)", "column row_of of table other needs"),
        ("CREATE TABLE other (rows_of measurements[])", "column rows_of of table other needs"),
        (
            "CREATE POLICY measured ON vehicles AS RESTRICTIVE"
            " USING (id IN (SELECT vehicle_id FROM measurements))",
            "policy measured on table vehicles needs measurements",
        ),
        (
            "CREATE VIEW seen AS SELECT * FROM measurements;"
            " CREATE FUNCTION few(seen) RETURNS float8 LANGUAGE sql AS 'SELECT 1.0'",
            r"function few\(seen\) needs seen",
        ),
    ],
)
def test_what_the_way_back_would_drop_is_named(owner: Database, made: str, told: str) -> None:
    assert owner.run(lambda cursor: list(foreign.misfits_back(cursor))) == []
    run(owner, made)
    assert misfits(owner) == []
    (misfit,) = owner.run(lambda cursor: list(foreign.misfits_back(cursor)))
    assert re.search(told, misfit.text)


def test_a_number_that_may_be_null_is_told_and_not_in_the_way(
    owner: Database,
) -> None:
    run(
        owner,
        "ALTER TABLE measurements ADD id bigserial",
        "ALTER TABLE measurements ALTER COLUMN id DROP NOT NULL",
    )
    assert owner.run(lambda cursor: list(columns.misfits(cursor))) == []
    (told,) = owner.run(lambda cursor: list(columns.remarks(cursor)))
    assert re.search(r"measurements\.id .* stays null", told.text)


def test_row_level_security_of_a_month_that_binds_no_owner_is_not_in_the_way(
    database: Database, owner: Database
) -> None:
    trucks(database, 1)
    run(owner, "ALTER TABLE measurements_2026_02 ENABLE ROW LEVEL SECURITY")
    run(owner, "CREATE POLICY few ON measurements_2026_02 USING (channel_id > 5)")
    assert misfits(owner) == []
    assert owner.run(foreign.policies_for_everybody) == []


def test_a_table_without_partitions_takes_room_and_is_not_empty(
    database: Database, owner: Database
) -> None:
    trucks(database, 1)
    ((partitioned,),) = run(owner, room._HERE)
    run(
        owner,
        "ALTER TABLE measurements DETACH PARTITION measurements_2026_02",
        "ALTER TABLE measurements RENAME TO measurements_was",
        "ALTER TABLE measurements_2026_02 RENAME TO measurements",
    )
    assert run(owner, room._HERE) == [(partitioned,)]
    assert run(owner, steps._IS_EMPTY) == [(False,)]


def test_that_shards_of_a_table_without_a_primary_key_are_hard_to_move_is_told(
    database: Database, owner: Database
) -> None:
    trucks(database, 1)
    assert owner.run(lambda cursor: list(remarks.identity(cursor))) == []
    run(owner, "ALTER TABLE measurements DROP CONSTRAINT measurements_pkey")
    (told,) = owner.run(lambda cursor: list(remarks.identity(cursor)))
    run(owner, told.remedy.partition(": ")[2])
    assert owner.run(lambda cursor: list(remarks.identity(cursor))) == []


def test_a_policy_that_only_keeps_out_is_not_in_the_way(owner: Database) -> None:
    run(owner, "CREATE POLICY few ON measurements AS RESTRICTIVE USING (channel_id > 5)")
    assert owner.run(lambda cursor: list(foreign.misfits(cursor))) == []
    assert owner.run(foreign.policies_for_everybody) == []
