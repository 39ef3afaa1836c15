"""The conversion to a hidden table and the way back, under daemons that go on writing."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import connection, make_dsn

from fleetsyncd.database import measurements, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.schema.hidden import copying, hypertable, obstacles
from fleetsyncd.database.schema.hidden.conversion import State
from fleetsyncd.database.schema.lock_waits import Patience, PatientSession
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import MigrationFailed
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from fleetsyncd.times import month_of, utc_now
from tests.hidden import bring_back, hide
from tests.integration.test_adoption import INSTALLATION, as_owner
from tests.integration.test_retention import query

Row = tuple[int, datetime, float]
DELETE = "DELETE FROM public.measurements WHERE channel_id = %s AND time = %s"
UPDATE = "UPDATE public.measurements SET value = 9 WHERE channel_id = {} AND time = '{}'"
ROOT = Path(__file__).parents[2]
CONVERT = """
import json, logging, sys
from fleetsyncd.database.schema.hidden import conversion
from fleetsyncd.settings import DatabaseSettings
from tests.hidden import best
logging.basicConfig(level="INFO")
conversion.convert(DatabaseSettings(json.loads(sys.argv[1])), lambda _cursor: [], best)
"""
STORED = "SELECT channel_id, time, value FROM public.measurements"


class Killed(BaseException):
    """Ends a conversion as SIGKILL does: nothing is cleaned up."""


class Fleet:
    """A vehicle, the rows that must be stored of it, and how they are written."""

    def __init__(self, server: Server, name: str, database: Database) -> None:
        self.server, self.name, self.database = server, name, database
        self.start = month_of(utc_now()) - timedelta(days=40)
        self.rows: set[Row] = set()
        self._seconds = 0
        self.truck = self._add("Truck-01", 1)
        self.other = self._add("Truck-02", 2)
        Partitions(database).ensure(self.start, utc_now())

    def _add(self, name: str, number: int) -> UUID:
        host = f"10.0.0.{number}"
        return self.database.run(lambda c: vehicles.add_vehicle(c, name, host, 8001, None))

    def add(self) -> None:
        """Store three rows, one of them of the month before."""
        self._seconds += 1
        at = utc_now().replace(microsecond=0) - timedelta(days=1) + self._seconds * SECOND
        rows = [(self.start + self._seconds * SECOND, 1, 0.5), (at, 1, 1.5), (at, 2, 2.5)]
        page = Measurements.from_rows(rows)
        store = partial(measurements.add_measurements, vehicle_id=self.truck, rows=page)
        assert [self.database.run(store) for _ in range(2)] == [3, 0]
        self.rows |= {(channel, time, value) for time, channel, value in rows}

    def change(self) -> None:
        """Delete a row, and change another's value."""
        self.add()
        gone, other, *_ = sorted(self.rows)
        query(self.database, DELETE, *gone[:2])
        # The daemon's role may not: another service does.
        as_owner(self.server, self.name, UPDATE.format(*other))
        self.rows = self.rows - {gone, other} | {(*other[:2], 9.0)}

    def stored(self) -> list[Row]:
        return query(self.database, STORED)

    def assert_all_is_there(self) -> None:
        assert sorted(self.stored()) == sorted(self.rows)


SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@pytest.fixture
def fleet(server: Server, database_name: str, database: Database) -> Fleet:
    made = Fleet(server, database_name, database)
    for _ in range(3):
        made.add()
    return made


@contextmanager
def before_each_statement(act: Callable[[int], object]) -> Iterator[None]:
    """Do something before each statement of a conversion, which is given its number."""
    execute, number = PatientSession.execute, 0

    def watched(self: PatientSession, what: str, statement: str) -> None:
        nonlocal number
        act(number)
        number += 1
        execute(self, what, statement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PatientSession, "execute", watched)
        yield


def test_what_is_written_during_a_conversion_is_there_afterwards(fleet: Fleet) -> None:
    for move in (hide, bring_back):
        with before_each_statement(lambda _number: fleet.change()):
            assert move(fleet.server, fleet.name)
        fleet.assert_all_is_there()
        fleet.change()
        fleet.assert_all_is_there()


def test_a_conversion_that_is_killed_anywhere_goes_on_and_so_does_the_way_back(
    fleet: Fleet,
) -> None:
    def kill(at: int, number: int) -> None:
        fleet.change()
        if number == at:
            raise Killed

    for move in (hide, bring_back):
        kills = 0
        while True:
            # The first statement of a call, then the second, since what is done stays done.
            with before_each_statement(partial(kill, kills % 2)):
                try:
                    move(fleet.server, fleet.name)
                except Killed:
                    kills += 1
                    fleet.assert_all_is_there()
                    assert kills < 50
                else:
                    break
        assert kills > 3
        fleet.assert_all_is_there()


def test_a_process_that_is_killed_while_it_copies_has_lost_nothing(fleet: Fleet) -> None:
    parameters = fleet.server.parameters(fleet.name, OWNER)
    command = [sys.executable, "-c", CONVERT, json.dumps(parameters)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as converting:
        assert converting.stderr is not None
        first = next(line for line in converting.stderr if "copied" in line)
        converting.kill()
    assert "1 of " in first
    fleet.change()
    fleet.assert_all_is_there()
    hide(fleet.server, fleet.name)
    fleet.assert_all_is_there()
    assert not hide(fleet.server, fleet.name)


def copied_until(fleet: Fleet) -> list[tuple[datetime | None]]:
    upto = "SELECT upto FROM fleetsync.copied WHERE vehicle_id = '{}' ORDER BY upto"
    return as_owner(fleet.server, fleet.name, upto.format(fleet.truck))


def test_a_vehicles_rows_are_copied_in_slices_and_go_on_at_the_last_one(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who needs a new chunk waits for one slice, and not for a month of a vehicle."""
    monkeypatch.setattr(copying, "FIRST_SLICE", DAY)
    monkeypatch.setattr(copying, "LONGEST_SLICE", DAY)
    days = [fleet.start - timedelta(days=n) for n in range(400, 395, -1)]
    Partitions(fleet.database).ensure(days[0], days[-1])
    rows = [
        (day + n * SECOND, channel, 1.5) for day in days for n in range(9) for channel in (1, 2)
    ]
    page = Measurements.from_rows(rows)
    fleet.database.run(lambda c: measurements.add_measurements(c, fleet.truck, page))
    fleet.rows |= {(channel, time, value) for time, channel, value in rows}
    copied: list[int] = []

    def stop(number: int) -> None:
        if number:
            copied.append(
                as_owner(fleet.server, fleet.name, "SELECT count(*) FROM fleetsync.samples")[0][0]
            )
        if number == 4:
            raise Killed

    with before_each_statement(stop), pytest.raises(Killed):
        hide(fleet.server, fleet.name)
    assert copied == [0, 18, 36, 54]
    assert copied_until(fleet) == [(days[3],)]
    fleet.change()
    assert hide(fleet.server, fleet.name)
    fleet.assert_all_is_there()


def test_a_row_that_is_deleted_while_it_is_copied_does_not_come_back(fleet: Fleet) -> None:
    """The deletion is open when the copy comes to its vehicle: that one gives way."""
    dsn = make_dsn(**fleet.server.parameters(fleet.name))
    with closing(psycopg2.connect(dsn)) as deleting, deleting.cursor() as cursor:

        def delete(number: int) -> None:
            if number == 1:
                cursor.execute("SET app.user_role = 'superuser'")
                cursor.execute("DELETE FROM public.measurements WHERE channel_id = 2")

        with before_each_statement(delete), pytest.raises(MigrationFailed, match="no moment"):
            hide(fleet.server, fleet.name, patience=Patience(0.1, 0.02))
        deleting.commit()
    assert hide(fleet.server, fleet.name)
    fleet.rows = {row for row in fleet.rows if row[0] != 2}
    fleet.assert_all_is_there()


def test_a_month_that_comes_into_being_meanwhile_is_copied(fleet: Fleet) -> None:
    early = fleet.start - timedelta(days=90)

    def make_month(number: int) -> None:
        if number == 3:
            Partitions(fleet.database).ensure(early, early)
            row = (early, 1, 7.5)
            page = Measurements.from_rows([row])
            fleet.database.run(lambda c: measurements.add_measurements(c, fleet.truck, page))
            fleet.rows.add((1, early, 7.5))

    with before_each_statement(make_month):
        assert hide(fleet.server, fleet.name)
    fleet.assert_all_is_there()


def test_writers_and_readers_go_on_through_the_switch(fleet: Fleet) -> None:
    ends = [False]

    def write() -> int:
        count = 0
        while not ends[0] or count < 5:
            fleet.add()
            assert len(fleet.stored()) >= len(fleet.rows) - 3
            count += 1
        return count

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            for move in (hide, bring_back):
                assert move(fleet.server, fleet.name)
        finally:
            ends[0] = True
        assert writing.result(60) >= 5
    fleet.assert_all_is_there()


def begin_with_the_name(fleet: Fleet) -> tuple[connection, list[str]]:
    """Begin a transaction that has looked up where rows are stored, as a writer does."""
    writing = psycopg2.connect(make_dsn(**fleet.server.parameters(fleet.name, OWNER)))
    with writing.cursor() as cursor:
        cursor.execute("SET app.user_role = 'superuser'")
        cursor.execute("SELECT fleetsync.storage_table(%s)", (str(fleet.truck),))
        ((table,),) = cursor.fetchall()
    return writing, table.split(".")


def test_a_writer_that_has_looked_up_the_table_finds_it_after_the_way_back(fleet: Fleet) -> None:
    hide(fleet.server, fleet.name)
    writing, table = begin_with_the_name(fleet)
    with closing(writing), ThreadPoolExecutor(1) as threads:
        returning = threads.submit(bring_back, fleet.server, fleet.name)
        is_table = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'public.measurements'::regclass"
        while as_owner(fleet.server, fleet.name, is_table) != [(True,)]:
            assert not returning.done()
        with pytest.raises(TimeoutError):
            returning.result(0.5)
        with writing.cursor() as cursor:
            at = fleet.start + DAY
            add = sql.SQL("INSERT INTO {} VALUES (%s, 1, %s, 4)").format(sql.Identifier(*table))
            cursor.execute(add, (str(fleet.truck), at))
        writing.commit()
        assert returning.result(30) is State.HIDDEN
    fleet.rows.add((1, at, 4.0))
    fleet.assert_all_is_there()
    gone = f"SELECT to_regclass('{'.'.join(table)}') IS NULL"
    assert as_owner(fleet.server, fleet.name, gone) == [(True,)]


def test_a_transaction_that_does_not_end_is_named_and_the_way_back_ended_later(
    fleet: Fleet,
) -> None:
    hide(fleet.server, fleet.name)
    writing, table = begin_with_the_name(fleet)
    with closing(writing):
        told = rf"measurements are a table again, waited in vain .*pid {writing.info.backend_pid}"
        with pytest.raises(MigrationFailed, match=told):
            bring_back(fleet.server, fleet.name, Patience(0.3, 0.02))
    fleet.change()
    assert bring_back(fleet.server, fleet.name) is State.TABLE
    gone = f"SELECT to_regclass('{'.'.join(table)}') IS NULL"
    assert as_owner(fleet.server, fleet.name, gone) == [(True,)]
    fleet.assert_all_is_there()


def test_a_conversion_that_is_under_way_is_taken_back(fleet: Fleet) -> None:
    def stop(number: int) -> None:
        if number == 2:
            raise Killed

    with before_each_statement(stop), pytest.raises(Killed):
        hide(fleet.server, fleet.name)
    assert bring_back(fleet.server, fleet.name) is State.CONVERTING
    assert bring_back(fleet.server, fleet.name) is State.TABLE
    fleet.change()
    fleet.assert_all_is_there()
    assert hide(fleet.server, fleet.name)
    with before_each_statement(stop), pytest.raises(Killed):
        bring_back(fleet.server, fleet.name)
    # The way back is taken back, too.
    assert hide(fleet.server, fleet.name)
    assert not hide(fleet.server, fleet.name)
    fleet.change()
    fleet.assert_all_is_there()


def test_no_month_is_dropped_while_rows_are_copied(fleet: Fleet) -> None:
    dropped: list[str] = []

    def drop(_number: int) -> None:
        keep = RetentionPolicy(None, None, 1)
        retention = Retention(fleet.database, keep, tell=dropped.append, warn=dropped.append)
        query(
            fleet.database,
            "INSERT INTO fleetsync.retention (kind, keep, since) VALUES"
            " ('measurements', 1, now() - interval '2 days') ON CONFLICT DO NOTHING",
        )
        list(retention.steps(utc_now))

    early = fleet.start - timedelta(days=40)
    Partitions(fleet.database).ensure(early, early)
    page = Measurements.from_rows([(early, 1, 7.5)])
    fleet.database.run(lambda c: measurements.add_measurements(c, fleet.truck, page))
    fleet.rows.add((1, early, 7.5))
    with before_each_statement(drop):
        assert hide(fleet.server, fleet.name)
    assert not [text for text in dropped if "dropped" in text]
    fleet.assert_all_is_there()


def test_roles_and_policies_of_any_form_are_the_views_and_there_again_afterwards(
    fleet: Fleet,
) -> None:
    policies = (
        "SELECT policyname::text, cmd, qual FROM pg_policies WHERE schemaname = 'public'"
        " AND tablename = 'measurements' ORDER BY 1"
    )
    may_read = "SELECT has_table_privilege('Fleet-Reader', 'public.measurements', 'SELECT')"
    as_owner(
        fleet.server,
        fleet.name,
        "CREATE POLICY guests ON public.measurements FOR SELECT USING (EXISTS ("
        "SELECT FROM public.vehicle_access a WHERE a.vehicle_id = measurements.vehicle_id"
        " AND (SELECT current_setting('app.user_role', true)) = 'guest'))",
    )
    fleet.server.execute(sql.SQL('CREATE ROLE "Fleet-Reader"'))
    try:
        as_owner(fleet.server, fleet.name, 'GRANT SELECT ON public.measurements TO "Fleet-Reader"')
        before = as_owner(fleet.server, fleet.name, policies)
        assert hide(fleet.server, fleet.name)
        assert as_owner(fleet.server, fleet.name, may_read) == [(True,)]
        fleet.assert_all_is_there()
        assert bring_back(fleet.server, fleet.name) is State.HIDDEN
        assert as_owner(fleet.server, fleet.name, may_read) == [(True,)]
        assert as_owner(fleet.server, fleet.name, policies) == before
    finally:
        drop = sql.SQL('DROP OWNED BY "Fleet-Reader"; DROP ROLE "Fleet-Reader"')
        fleet.server.execute(drop, database=fleet.name)


def test_months_and_policies_are_there_again_after_the_way_back(fleet: Fleet) -> None:
    policies = (
        "SELECT policyname::text, cmd, qual FROM pg_policies WHERE schemaname = 'public'"
        " AND tablename = 'measurements' ORDER BY 1"
    )
    rights = "SELECT relacl::text FROM pg_class WHERE oid = 'public.measurements'::regclass"
    # None before PostgreSQL 17.
    maintained = (
        "SELECT count(*) > 0 FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.oid = (SELECT max(inhrelid) FROM pg_inherits"
        " WHERE inhparent = 'public.measurements'::regclass) AND a.privilege_type = 'MAINTAIN'"
    )
    before = [as_owner(fleet.server, fleet.name, each) for each in (policies, rights, maintained)]
    hide(fleet.server, fleet.name)
    assert as_owner(fleet.server, fleet.name, policies) == []
    assert bring_back(fleet.server, fleet.name) is State.HIDDEN
    after = [as_owner(fleet.server, fleet.name, each) for each in (policies, rights, maintained)]
    assert after == before
    owner = DatabaseSettings(fleet.server.parameters(fleet.name, OWNER))
    assert migrate.migrate(owner, APP) == migrate.Migrated([], [])
    Partitions(fleet.database).ensure_ahead(utc_now())
    fleet.add()
    fleet.assert_all_is_there()


POLICIES = (
    "SELECT policyname::text, cmd, qual FROM pg_policies WHERE schemaname = 'public'"
    " AND tablename = 'measurements' ORDER BY 1"
)
NARROW = (
    "((SELECT current_setting('app.user_role', true)) = 'owner' AND channel_id <> 2"
    " AND vehicle_id IN (SELECT a.vehicle_id FROM vehicle_access a))"
)
GUESTS = (
    "EXISTS (SELECT FROM public.vehicle_access a WHERE a.vehicle_id = {}.vehicle_id"
    " AND (SELECT current_setting('app.user_role', true)) = 'guest')"
)

ACCESS = "INSERT INTO vehicle_access (user_id, vehicle_id) VALUES (gen_random_uuid(), '{}')"


def shown(fleet: Fleet) -> dict[str, list[Row]]:
    """Return what each role of the policies reads."""
    found: dict[str, list[Row]] = {}
    for role in ("superuser", "owner", "guest", ""):

        def read(cursor: Cursor, role: str = role) -> list[Row]:
            cursor.execute("SELECT set_config('app.user_role', %s, true)", (role,))
            cursor.execute(f"{STORED} ORDER BY channel_id, time")
            return cursor.fetchall()

        found[role] = fleet.database.run(read)
    return found


def test_who_reads_what_does_not_depend_on_the_table_of_before(fleet: Fleet) -> None:
    """Its owner may drop it, and the policies of an installation may be its own."""
    as_owner(fleet.server, fleet.name, ACCESS.format(fleet.truck))
    policies = as_owner(fleet.server, fleet.name, POLICIES)
    guests = f"CREATE POLICY guests ON measurements FOR SELECT USING ({GUESTS})"
    for own in (
        [],
        ["DROP POLICY measurements_owner ON measurements", guests.format("measurements")],
        [f"CREATE POLICY measurements_owner ON measurements FOR SELECT USING {NARROW}"],
    ):
        as_owner(fleet.server, fleet.name, *own)
        before = shown(fleet)
        hide(fleet.server, fleet.name)
        as_owner(fleet.server, fleet.name, "DROP TABLE fleetsync.measurements_before")
        assert shown(fleet) == before
        bring_back(fleet.server, fleet.name)
        as_owner(fleet.server, fleet.name, "DROP TABLE fleetsync.samples_before")
        assert shown(fleet) == before
        assert bool(own) is (as_owner(fleet.server, fleet.name, POLICIES) != policies)
    assert {role for role, rows in before.items() if rows} == {"superuser", "owner", "guest"}
    assert {row[0] for row in before["owner"]} == {1}
    fleet.change()
    fleet.assert_all_is_there()


def test_a_view_that_was_changed_shows_the_same_after_the_way_back(fleet: Fleet) -> None:
    as_owner(fleet.server, fleet.name, ACCESS.format(fleet.truck))
    hide(fleet.server, fleet.name)
    view = (
        'CREATE OR REPLACE VIEW measurements AS SELECT vehicle_id, channel_id, "time", value FROM'
        " fleetsync.samples AS measurements_before WHERE "
    )
    superuser = "(SELECT current_setting('app.user_role', true)) = 'superuser'"
    as_owner(fleet.server, fleet.name, f"{view} {superuser} OR {NARROW}")
    before = shown(fleet)
    assert {row[0] for row in before["owner"]} == {1}
    assert bring_back(fleet.server, fleet.name) is State.HIDDEN
    assert shown(fleet) == before


def test_a_view_of_another_form_is_in_the_way_back(fleet: Fleet) -> None:
    hide(fleet.server, fleet.name)
    view = "CREATE OR REPLACE VIEW measurements AS SELECT vehicle_id, channel_id, time, value FROM"
    as_owner(fleet.server, fleet.name, f"{view} fleetsync.samples s WHERE channel_id = 1")
    with pytest.raises(MigrationFailed, match="has another form") as told:
        bring_back(fleet.server, fleet.name)
    remedy = str(told.value).split("as owner: ")[1].split(", and which")[0]
    as_owner(fleet.server, fleet.name, f"{remedy} channel_id = 1")
    assert bring_back(fleet.server, fleet.name) is State.HIDDEN


def test_a_detached_month_is_in_the_way_back(fleet: Fleet) -> None:
    hide(fleet.server, fleet.name)
    month = f"measurements_{utc_now():%Y_%m}"
    as_owner(fleet.server, fleet.name, f"CREATE TABLE public.{month} ()")
    with pytest.raises(MigrationFailed, match=f"there is {month}, which is no part") as told:
        bring_back(fleet.server, fleet.name)
    remedy = str(told.value).split("as owner: ")[1].splitlines()[0]
    assert remedy == f"ALTER TABLE {month} RENAME TO {month}_detached"
    as_owner(fleet.server, fleet.name, remedy)
    assert bring_back(fleet.server, fleet.name) is State.HIDDEN


def test_a_second_conversion_wants_the_remains_of_the_first_out_of_the_way(fleet: Fleet) -> None:
    hide(fleet.server, fleet.name)
    bring_back(fleet.server, fleet.name)
    with pytest.raises(MigrationFailed, match=r"DROP TABLE fleetsync\.measurements_before, if"):
        hide(fleet.server, fleet.name)
    remains = ("fleetsync.measurements_before", "fleetsync.samples_before")
    as_owner(fleet.server, fleet.name, *(f"DROP TABLE {each}" for each in remains))
    assert hide(fleet.server, fleet.name)
    fleet.assert_all_is_there()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("ALTER TABLE measurements ADD COLUMN quality int", "has the column quality"),
        ("CREATE INDEX by_value ON measurements (value)", "has the index by_value"),
        ("ALTER TABLE measurements DISABLE ROW LEVEL SECURITY", "has no row level security"),
        (
            "CREATE POLICY staff ON measurements FOR INSERT WITH CHECK (true)",
            "the policy staff of measurements is for INSERT",
        ),
        (
            "CREATE POLICY staff ON measurements USING (true)",
            "the policy staff of measurements is for writing",
        ),
        (
            f"CREATE POLICY staff ON measurements FOR SELECT TO {APP} USING (true)",
            "the policy staff of measurements is for some roles only",
        ),
        (
            "CREATE POLICY staff ON measurements AS RESTRICTIVE USING (true)",
            "the policy staff of measurements is a restrictive one",
        ),
        (
            "CREATE TRIGGER theirs AFTER DELETE ON measurements FOR EACH STATEMENT"
            " EXECUTE FUNCTION fleetsync.only_superusers_write()",
            "has the trigger theirs",
        ),
        (
            "ALTER TABLE measurements ADD CONSTRAINT tied FOREIGN KEY (vehicle_id)"
            " REFERENCES vehicles",
            "the foreign key tied ties measurements to vehicles",
        ),
        (
            "CREATE RULE theirs AS ON DELETE TO measurements DO ALSO NOTHING",
            "has the rule theirs",
        ),
        ("CREATE TABLE fleetsync.samples (n int)", "there is fleetsync.samples"),
    ],
)
def test_what_a_view_could_not_keep_is_refused_by_name(fleet: Fleet, made: str, told: str) -> None:
    as_owner(fleet.server, fleet.name, made)
    with pytest.raises(MigrationFailed, match=told):
        hide(fleet.server, fleet.name)
    fleet.change()
    fleet.assert_all_is_there()


@pytest.mark.parametrize(
    ("made", "told", "remedy"),
    [
        ("CREATE VIEW theirs AS SELECT * FROM measurements", "theirs reads measurements", ""),
        (
            "CREATE FUNCTION newest() RETURNS timestamptz LANGUAGE sql"
            " BEGIN ATOMIC SELECT max(time) FROM measurements; END",
            r"the function newest\(\) depends on measurements",
            "DROP ROUTINE newest()",
        ),
        (
            "CREATE FUNCTION newest(n int) RETURNS SETOF measurements LANGUAGE sql"
            " AS 'SELECT * FROM measurements LIMIT n'",
            r"the function newest\(integer\) depends on measurements",
            "DROP ROUTINE newest(integer)",
        ),
        (
            "CREATE POLICY theirs ON vehicles FOR SELECT USING (EXISTS ("
            "SELECT FROM measurements m WHERE m.vehicle_id = vehicles.id))",
            "the policy theirs on table vehicles depends on measurements",
            "DROP POLICY theirs ON vehicles",
        ),
        (
            "CREATE TABLE notes (id int, row measurements)",
            "the column row of table notes depends on measurements",
            'ALTER TABLE notes DROP COLUMN "row"',
        ),
        (
            "CREATE TABLE notes (id int, many measurements[])",
            "the column many of table notes depends on measurements",
            "ALTER TABLE notes DROP COLUMN many",
        ),
        (
            "CREATE PUBLICATION everything FOR ALL TABLES",
            "the publication everything is one of all tables",
            "DROP PUBLICATION everything",
        ),
        (
            "CREATE PUBLICATION theirs FOR TABLES IN SCHEMA public",
            "the publication theirs is one of all tables of the schema public",
            "ALTER PUBLICATION theirs DROP TABLES IN SCHEMA public",
        ),
        (
            "CREATE PUBLICATION theirs FOR TABLES IN SCHEMA fleetsync",
            "the publication theirs is one of all tables of the schema fleetsync",
            "ALTER PUBLICATION theirs DROP TABLES IN SCHEMA fleetsync",
        ),
    ],
)
def test_what_goes_with_the_table_itself_is_in_the_way_there_and_back(
    fleet: Fleet, made: str, told: str, remedy: str
) -> None:
    for move in (hide, bring_back):
        fleet.server.execute(sql.SQL(made), database=fleet.name)
        with pytest.raises(MigrationFailed, match=told) as refused:
            move(fleet.server, fleet.name)
        named = str(refused.value).split("as owner: ")[1].split(", and ")[0].splitlines()[0]
        assert named.startswith(remedy)
        dropped = sql.SQL(named if remedy else "DROP VIEW theirs")
        fleet.server.execute(dropped, database=fleet.name)
        if "PUBLICATION" in made:
            drop = f"DROP PUBLICATION IF EXISTS {made.split()[2]}"
            fleet.server.execute(sql.SQL(drop), database=fleet.name)
        fleet.server.execute(sql.SQL("DROP TABLE IF EXISTS notes"), database=fleet.name)
        assert move(fleet.server, fleet.name)
        fleet.assert_all_is_there()


def test_a_publication_of_the_hidden_table_is_in_the_way_back(fleet: Fleet) -> None:
    hide(fleet.server, fleet.name)
    made = sql.SQL("CREATE PUBLICATION theirs FOR TABLE fleetsync.samples")
    fleet.server.execute(made, database=fleet.name)
    told = "ALTER PUBLICATION theirs DROP TABLE fleetsync.samples"
    with pytest.raises(MigrationFailed, match=told):
        bring_back(fleet.server, fleet.name)


def test_a_foreign_layout_is_refused_and_told_as_a_whole(
    server: Server, empty_database: str
) -> None:
    as_owner(server, empty_database, INSTALLATION)
    migrate.migrate(DatabaseSettings(server.parameters(empty_database, OWNER)), APP)
    with pytest.raises(MigrationFailed) as refused:
        hide(server, empty_database)
    lines = str(refused.value).splitlines()
    for told in ("the column id", "the foreign key", "the index measurements_pkey"):
        assert any(told in line and "as owner: " in line for line in lines), lines


def test_nobody_may_truncate_what_is_being_copied(fleet: Fleet) -> None:
    def stop(number: int) -> None:
        if number == 2:
            raise Killed

    with before_each_statement(stop), pytest.raises(Killed):
        hide(fleet.server, fleet.name)
    with pytest.raises(psycopg2.errors.ObjectInUse, match="while they are copied"):
        as_owner(fleet.server, fleet.name, "TRUNCATE measurements")


def test_room_for_a_second_copy_is_asked_for_where_it_is_known(fleet: Fleet) -> None:
    def told(free: int | None) -> list[str]:
        found = fleet.database.run(lambda cursor: list(obstacles.misfits(cursor, free)))
        return [each.text for each in found if "a second copy" in each.text]

    assert [len(told(free)) for free in (None, 10**12, 0)] == [0, 0, 1]
    assert "0 B are left" in told(0)[0]


def test_room_for_the_rows_of_a_table_is_asked_for_on_the_way_back(fleet: Fleet) -> None:
    hide(fleet.server, fleet.name)

    def told(free: int | None) -> list[str]:
        found = fleet.database.run(lambda c: list(obstacles.way_back_misfits(c, free)))
        return [each.text for each in found]

    assert [len(told(free)) for free in (None, 10**12, 0)] == [0, 0, 1]
    assert told(0)[0].startswith("measurements as a table need ")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("'2.17.2', true, 'timescale', 'public'", "TimescaleDB 2.17.2 is older than 2.18"),
        ("'1.7.5', true, 'timescale', 'public'", "TimescaleDB 1.7.5 is older than 2.18"),
        ("'2.29.2', true, 'apache', 'public'", "timescaledb.license is apache"),
        ("'2.29.2', false, '', NULL", "this database lacks the extension"),
        ("'2.18.0-dev', true, 'timescale', 'public'", None),
        ("'3.0.0', true, 'timescale', 'public'", None),
    ],
)
def test_an_extension_that_will_not_do_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch, found: str, told: str | None
) -> None:
    monkeypatch.setattr(hypertable, "_EXTENSION", f"SELECT {found}")
    texts = [each.text for each in database.run(lambda c: list(hypertable.misfits(c)))]
    assert [text.startswith(told or "") for text in texts] == ([] if told is None else [True])


def test_no_child_of_a_table_is_to_be_taken_from_it(fleet: Fleet) -> None:
    as_owner(
        fleet.server,
        fleet.name,
        "ALTER TABLE measurements RENAME TO months",
        "CREATE TABLE measurements (LIKE months INCLUDING ALL)",
        "CREATE TABLE chunk () INHERITS (measurements)",
    )
    found = fleet.database.run(lambda cursor: list(obstacles.misfits(cursor, None)))
    (told,) = found
    assert "is in 1 tables that inherit from it, such as chunk" in told.text
    assert "NO INHERIT" not in told.remedy


def test_without_a_policy_by_which_daemons_read_and_write_nothing_is_converted(
    fleet: Fleet,
) -> None:
    as_owner(
        fleet.server,
        fleet.name,
        "DROP POLICY measurements_superuser ON measurements",
        "CREATE POLICY seen ON measurements FOR SELECT"
        " USING ((SELECT current_setting('app.user_role', true)) = 'superuser')",
    )
    with pytest.raises(MigrationFailed, match="no policy FOR ALL TO PUBLIC that lets"):
        hide(fleet.server, fleet.name)
