"""Who may see which vehicle: set by the tables' owner, seen by a service under RLS."""

import json
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from fleetsyncd.demo import embedded
from tests.acceptance.conftest import Installation

OWNER = {"DB_USER": embedded.OWNER}
USER = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture(autouse=True)
def _fleet(installation: Installation) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port)"
        " SELECT 'Truck-0' || n, '10.8.0.1', n FROM generate_series(1, 3) n"
    )


def seen_by(installation: Installation, user: str) -> list[str]:
    """Return the vehicles that a web service's role sees for a user."""
    role = "fleet_portal"
    statements = (
        "DO $$ BEGIN CREATE ROLE fleet_portal LOGIN; EXCEPTION WHEN duplicate_object THEN END $$",
        "GRANT SELECT ON public.vehicles, public.vehicle_access TO fleet_portal",
    )
    installation.server.execute(*map(sql.SQL, statements), database=installation.database_name)
    parameters = installation.server.parameters(installation.database_name, role)
    with closing(psycopg2.connect(make_dsn(**parameters))) as connection:
        cursor: Any = connection.cursor()
        cursor.execute(
            "SELECT set_config('app.user_role', 'owner', true),"
            " set_config('app.user_id', %s, true)",
            (user,),
        )
        cursor.execute("SELECT name FROM public.vehicles ORDER BY name")
        return [name for (name,) in cursor.fetchall()]


def test_a_user_sees_what_the_owner_has_granted_and_no_more(installation: Installation) -> None:
    assert seen_by(installation, USER) == []
    code, output, errors = installation.command(
        "access", "grant", USER, "Truck-01", "Truck-03", **OWNER
    )
    assert (code, output, errors) == (0, f"granted: {USER} sees 2 vehicle(s) more\n", "")
    assert seen_by(installation, USER) == ["Truck-01", "Truck-03"]
    assert seen_by(installation, OTHER) == []
    # Again, and then taken back.
    again = installation.command("access", "grant", USER, "--all", **OWNER)[1]
    assert again == f"granted: {USER} sees 1 vehicle(s) more\n"
    less = installation.command("access", "revoke", USER, "Truck-01", **OWNER)[1]
    assert less == f"revoked: {USER} sees 1 vehicle(s) fewer\n"
    assert seen_by(installation, USER) == ["Truck-02", "Truck-03"]
    assert installation.command("access", "revoke", USER, "--all", **OWNER)[0] == 0
    assert seen_by(installation, USER) == []


def test_the_list_says_who_may_see_what_also_to_the_daemons_role(
    installation: Installation,
) -> None:
    installation.command("access", "grant", USER, "Truck-02", **OWNER)
    installation.command("access", "grant", OTHER, "Truck-01", **OWNER)
    code, output, _ = installation.command("access", "list")
    assert (code, [line.split()[:2] for line in output.splitlines()]) == (
        0,
        [["USER", "VEHICLE"], [USER, "Truck-02"], [OTHER, "Truck-01"]],
    )
    listed = json.loads(installation.command("access", "list", "--user", OTHER, "--json")[1])
    assert [(each["user_id"], each["vehicle"]) for each in listed] == [(OTHER, "Truck-01")]
    assert UUID(listed[0]["vehicle_id"])


@pytest.mark.parametrize("verb", ["grant", "revoke"])
def test_the_daemons_role_is_told_whose_business_it_is(
    installation: Installation, verb: str
) -> None:
    code, _, errors = installation.command("access", verb, USER, "Truck-01")
    assert (code, errors.count("\n")) == (2, 1)
    assert f"run it with DB_USER={embedded.OWNER}" in errors
    assert "INSERT and DELETE on public.vehicle_access" in errors


def test_a_role_that_was_granted_the_table_needs_no_owner(installation: Installation) -> None:
    grant = "GRANT INSERT, DELETE ON public.vehicle_access TO fleet_app"
    installation.server.execute(sql.SQL(grant), database=installation.database_name)
    assert installation.command("access", "grant", USER, "Truck-01")[0] == 0
    assert seen_by(installation, USER) == ["Truck-01"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("grant", "nobody", "Truck-01"), "not a valid UUID"),
        (("grant", USER, "Truck-99"), "no vehicle is called Truck-99"),
        (("grant", USER), "name the vehicles, or give --all"),
        (("revoke", USER, "Truck-01", "--all"), "name the vehicles, or give --all"),
    ],
    ids=["no id", "unknown", "none", "both"],
)
def test_a_wrong_argument_is_one_line_and_changes_nothing(
    installation: Installation, arguments: tuple[str, ...], message: str
) -> None:
    code, _, errors = installation.command("access", *arguments, **OWNER)
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors
    assert installation.rows("SELECT count(*) FROM vehicle_access") == [(0,)]


def test_an_adopted_table_without_keys_gets_no_row_twice_and_asks_its_own_users(
    installation: Installation,
) -> None:
    installation.server.execute(
        sql.SQL("ALTER TABLE public.vehicle_access DROP CONSTRAINT vehicle_access_pkey"),
        sql.SQL("CREATE TABLE public.users (id uuid PRIMARY KEY)"),
        sql.SQL("INSERT INTO public.users VALUES ({})").format(sql.Literal(USER)),
        sql.SQL("ALTER TABLE public.vehicle_access ADD FOREIGN KEY (user_id) REFERENCES users"),
        sql.SQL("GRANT SELECT ON public.users TO {}").format(sql.Identifier(embedded.OWNER)),
        database=installation.database_name,
    )  # fmt: skip
    ((vehicle_id,),) = installation.rows("SELECT id::text FROM vehicles WHERE name = 'Truck-01'")
    for more in (1, 0):
        named = ("Truck-01", vehicle_id, "Truck-01")
        told = installation.command("access", "grant", USER, *named, **OWNER)
        assert told == (0, f"granted: {USER} sees {more} vehicle(s) more\n", "")
    assert installation.rows("SELECT count(*) FROM vehicle_access") == [(1,)]
    code, _, errors = installation.command("access", "grant", OTHER, "Truck-01", **OWNER)
    assert (code, errors.count("\n")) == (2, 1)
    assert f"(user_id)=({OTHER}) is not present" in errors


def test_equal_rows_of_an_adopted_table_are_told_once(installation: Installation) -> None:
    installation.server.execute(
        sql.SQL("ALTER TABLE public.vehicle_access DROP CONSTRAINT vehicle_access_pkey"),
        sql.SQL(
            "INSERT INTO vehicle_access SELECT {}::uuid, id FROM vehicles, generate_series(1, 3)"
            " WHERE name <> 'Truck-03'"
        ).format(sql.Literal(USER)),
        database=installation.database_name,
    )  # fmt: skip
    listed = json.loads(installation.command("access", "list", "--json")[1])
    assert [each["vehicle"] for each in listed] == ["Truck-01", "Truck-02"]
    told = installation.command("access", "revoke", USER, "Truck-01", "Truck-01", **OWNER)[1]
    assert told == f"revoked: {USER} sees 1 vehicle(s) fewer\n"
    assert installation.command("access", "revoke", USER, "--all", **OWNER)[1] == told
    assert installation.rows("SELECT count(*) FROM vehicle_access") == [(0,)]
