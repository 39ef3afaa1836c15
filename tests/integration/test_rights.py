"""What the daemon's role may not do, and what the functions that lend it rights refuse."""

from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import Server

FORBIDDEN = [
    "CREATE SCHEMA mine",
    "CREATE TABLE public.mine (id int)",
    "CREATE TABLE fleetsync.mine (id int)",
    "CREATE FUNCTION fleetsync.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "DROP TABLE public.measurements",
    "DROP FUNCTION fleetsync.ensure_month(date)",
    "DROP SCHEMA fleetsync",
    "TRUNCATE public.measurements",
    "ALTER TABLE public.vehicles DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE public.vehicles ADD COLUMN mine int",
    "DROP POLICY vehicles_owner ON public.vehicles",
    "UPDATE public.measurements SET value = 0",
    "UPDATE public.sync_journal SET status = 'ok'",
    "INSERT INTO public.vehicle_access SELECT gen_random_uuid(), id FROM public.vehicles",
    "DELETE FROM fleetsync.migration",
    "SET ROLE fleet_owner",
    "COPY public.vehicles TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_daemons_role_may_not(server: Server, database_name: str, statement: str) -> None:
    connection = psycopg2.connect(make_dsn(**server.parameters(database_name)))
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.user_role', 'superuser', false)")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)


def ask(database: Database, statement: str) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement)
        return cursor.fetchall()

    return database.run(work)


def test_the_daemons_role_owns_nothing_and_has_no_privilege(database: Database) -> None:
    assert ask(
        database,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,"
        " EXISTS (SELECT FROM pg_class WHERE relowner = r.oid),"
        " EXISTS (SELECT FROM pg_proc WHERE proowner = r.oid),"
        " EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)"
        " FROM pg_roles r WHERE rolname = current_user",
    ) == [(False,) * 8]


def test_every_function_that_lends_rights_pins_its_path_and_is_not_for_everybody(
    database: Database,
) -> None:
    functions = ask(
        database,
        "SELECT proname::text, proconfig::text, has_function_privilege('public', oid, 'EXECUTE')"
        " FROM pg_proc WHERE prosecdef AND pronamespace = 'fleetsync'::regnamespace",
    )
    assert "ensure_month" in {name for name, _, _ in functions}
    for name, settings, for_everybody in functions:
        assert "search_path=pg_catalog, pg_temp" in settings, name
        assert not for_everybody, name
