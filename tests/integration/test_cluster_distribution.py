"""`migrate --distribute` on a real cluster: the steps, the way back, what stands in the way."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from fleetsyncd.database import access, measurements, replicas, vehicles
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.schema.distribution import (
    functions,
    health,
    obstacles,
    policies,
    remarks,
    room,
)
from fleetsyncd.database.schema.distribution.obstacles import Order
from fleetsyncd.database.schema.lock_waits import PatientSession
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import MigrationFailed
from fleetsyncd.findings import Level
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from tests.clustered import bring_back, distribute, in_the_way, migrated, owner_of

NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
OLGA = UUID(int=1)
ROWS = Measurements.from_rows(
    (NOON + timedelta(seconds=n), channel, n / 4) for n in range(50) for channel in (1, 7)
)
COUNT = "SELECT count(*), sum(value) FROM public.measurements WHERE vehicle_id = %s::uuid"
READER, VIEWER = "cluster_reader", "cluster_member"
MOVE = """
SELECT citus_move_shard_placement(shardid, %s, 5432, %s, 5432, 'force_logical')
FROM citus_shards WHERE table_name = 'public.measurements'::regclass AND nodename = %s LIMIT 1
"""
CHANNELS = "SELECT fleetsync.measured_channels(%s::uuid, %s, 'infinity') ORDER BY 1"
ADD_NODE = "SELECT citus_add_node(%s, 5432)"
FOR_EVERYBODY = "SELECT has_function_privilege('public', %s::regprocedure, 'EXECUTE')"
WRITE = """
SELECT fleetsync.store_measurements(
    gen_random_uuid(), '{1}', '{2026-02-10}', '{666}', null, null)
"""
VIEWS = """
COMMENT ON TABLE measurements IS 'of all vehicles';
COMMENT ON COLUMN measurements.value IS 'as it was measured';
COMMENT ON CONSTRAINT measurements_pkey ON measurements IS 'once';
CREATE VIEW seen WITH (security_barrier) AS SELECT * FROM measurements;
COMMENT ON VIEW seen IS 'a view';
ALTER VIEW seen ALTER COLUMN value SET DEFAULT 5;
CREATE RULE nothing AS ON UPDATE TO seen DO INSTEAD NOTHING;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER inserted INSTEAD OF INSERT ON seen FOR EACH ROW EXECUTE FUNCTION f();
SET app.user_role = 'superuser';
CREATE MATERIALIZED VIEW counted WITH (fillfactor = 70) AS
    SELECT vehicle_id, channel_id, count(*) FROM seen GROUP BY 1, 2;
CREATE UNIQUE INDEX once ON counted (vehicle_id, channel_id);
CREATE STATISTICS together ON vehicle_id, channel_id FROM counted;
ALTER MATERIALIZED VIEW counted ALTER COLUMN channel_id SET STATISTICS 400;
CREATE MATERIALIZED VIEW again AS SELECT * FROM counted;
CREATE MATERIALIZED VIEW empty AS SELECT * FROM counted WITH NO DATA;
"""
GRANTS = (
    "GRANT SELECT ON seen TO PUBLIC",
    f"GRANT INSERT ON seen TO {APP} WITH GRANT OPTION",
    f"GRANT SELECT (channel_id) ON counted TO {APP}",
    f"REVOKE TRIGGER ON seen FROM {OWNER}",
    f"ALTER DEFAULT PRIVILEGES GRANT SELECT, TRUNCATE ON TABLES TO {APP}",
)
BELONGS_TO_VIEWS = """
SELECT c.relname, c.reloptions, c.relispopulated,
    ARRAY(SELECT a::text FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) a ORDER BY 1),
    ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index
          WHERE indrelid = c.oid AND c.relkind = 'm'),
    ARRAY(SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t
          WHERE tgrelid = c.oid AND c.relkind = 'v'),
    ARRAY(SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE ev_class = c.oid),
    ARRAY(SELECT pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s WHERE stxrelid = c.oid),
    ARRAY(SELECT (attacl::text, attstattarget, atthasdef)::text FROM pg_attribute
          WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum),
    ARRAY(SELECT description FROM pg_description WHERE objoid = c.oid ORDER BY objsubid),
    (SELECT obj_description(oid) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p')
FROM pg_class c
WHERE c.relname IN ('measurements', 'seen', 'counted', 'again', 'empty') ORDER BY 1
"""
WITHOUT_PARTITIONS = f"""
SET app.user_role = 'superuser';
CREATE TABLE whole (LIKE measurements INCLUDING ALL);
INSERT INTO whole SELECT * FROM measurements;
DROP TABLE measurements;
ALTER TABLE whole RENAME TO measurements;
ALTER TABLE measurements ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, DELETE ON measurements TO {APP};
{policies.TO_EVERYBODY}
"""  # noqa: S608  made of this project's own text
FORCED = """
SELECT relrowsecurity AND relforcerowsecurity FROM pg_class
WHERE relkind = 'r' AND relname ~ '^measurements(_[0-9]+)?$'
"""
STATISTICS = "CREATE STATISTICS public.{} ON channel_id, time FROM measurements"
WORKERS = "SELECT count(DISTINCT nodename) FROM citus_shards WHERE citus_table_type = 'distributed'"


@pytest.fixture
def name(cluster: CitusCluster, cluster_database_name: str) -> str:
    """Return a migrated database of the cluster; measurements are a table of the coordinator."""
    migrated(cluster, cluster_database_name)
    return cluster_database_name


@pytest.fixture
def lone_database_name(cluster: CitusCluster) -> Iterator[str]:
    """Return a database of each node that none of them knows to be one of a cluster."""
    name = "cluster_of_before"
    for node in cluster.nodes:
        Server.create_database(node, name)
    yield name
    cluster.drop_database(name)


@pytest.fixture
def database(cluster: CitusCluster, name: str) -> Iterator[Database]:
    opened = Database(DatabaseSettings(cluster.parameters(name), pool_size=4))
    yield opened
    opened.close()


@pytest.fixture
def trucks(database: Database) -> list[UUID]:
    """Return vehicles with a hundred rows each."""
    Partitions(database).ensure(NOON, NOON)
    made = [
        database.run(
            partial(vehicles.add_vehicle, name=f"T-{n}", host=f"10.8.0.{n}", port=80, key=None)
        )
        for n in range(6)
    ]
    for truck in made:
        assert add(database, truck, ROWS) == 100
    return made


def stored(database: Database, truck: UUID) -> tuple[int, float]:
    def read(cursor: Cursor) -> tuple[int, float]:
        cursor.execute(COUNT, (str(truck),))
        row: tuple[int, float] = cursor.fetchall()[0]
        return row

    return database.run(read)


def add(database: Database, truck: UUID, rows: Measurements, newest: datetime | None = None) -> int:
    return database.run(lambda cursor: measurements.add_measurements(cursor, truck, rows, newest))


def make_reader(cluster: CitusCluster) -> None:
    """Make a role that has no right yet, on every node."""
    for node in cluster.nodes:
        node.query("postgres", f"DROP ROLE IF EXISTS {READER}")
        node.query("postgres", f"CREATE ROLE {READER} LOGIN")


def as_role(cluster: Server, name: str, role: str, *texts: str) -> list[tuple[object, ...]]:
    """Run each text as a query string of its own, in one transaction; return the last result."""
    with (
        closing(psycopg2.connect(make_dsn(**cluster.parameters(name, role)))) as connection,
        connection.cursor() as cursor,
    ):
        for text in texts:
            cursor.execute(text)
        return cursor.fetchall()


def test_rows_are_the_same_before_it_on_the_workers_and_after_the_way_back(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    before = [stored(database, truck) for truck in trucks]
    assert len(distribute(cluster, name)) == 7
    assert [stored(database, truck) for truck in trucks] == before
    assert cluster.query(name, WORKERS) == [(len(cluster.workers),)]
    late = Measurements.from_rows([(NOON + timedelta(hours=1), 1, 5.0)])
    assert distribute(cluster, name) == []
    assert add(database, trucks[0], late) == 1
    assert len(bring_back(cluster, name)) == 3
    assert [stored(database, truck) for truck in trucks[1:]] == before[1:]
    assert stored(database, trucks[0])[0] == before[0][0] + 1
    assert bring_back(cluster, name) == []
    assert add(database, trucks[0], late) == 0


def test_a_copy_of_access_that_the_daemon_may_not_read_is_told_and_another_distribution_mends_it(
    cluster: CitusCluster, name: str, database: Database
) -> None:
    def told() -> list[Level]:
        return [each.level for each in database.run(lambda c: list(health.check_cluster(c)))]

    distribute(cluster, name)
    assert told() == [Level.OK]
    revoke = f"REVOKE SELECT ON fleetsync.access_copy FROM {APP}"  # noqa: S608  a constant
    cluster.query(name, revoke, user=OWNER)
    assert told() == [Level.WARNING]
    assert distribute(cluster, name) == ["the copy of vehicle_access"]
    assert told() == [Level.OK]


def kill_before(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the program end before its statement of this number, once."""
    executed = 0
    execute = PatientSession.execute

    def killed(session: PatientSession, what: str, statement: str, lock_sec: float) -> None:
        nonlocal executed
        executed += 1
        if executed == number:
            raise KeyboardInterrupt
        execute(session, what, statement, lock_sec)

    monkeypatch.setattr(PatientSession, "execute", killed)


@pytest.mark.parametrize("killed_before", range(1, 11))
def test_a_distribution_that_was_killed_goes_on_and_the_daemon_stores_meanwhile(
    cluster: CitusCluster,
    name: str,
    database: Database,
    trucks: list[UUID],
    monkeypatch: pytest.MonkeyPatch,
    killed_before: int,
) -> None:
    kill_before(monkeypatch, killed_before)
    with pytest.raises(KeyboardInterrupt):
        distribute(cluster, name)
    minute = NOON + timedelta(minutes=1)
    more = Measurements.from_rows((minute + timedelta(seconds=n), 1, 5.0) for n in range(9))
    for truck in trucks:
        assert stored(database, truck)[0] == 100
        assert add(database, truck, more, minute) == 9
        assert add(database, truck, more) == 0
    distribute(cluster, name)
    assert {stored(database, truck)[0] for truck in trucks} == {109}


@pytest.mark.parametrize("killed_before", [1, 2, 3])
def test_a_way_back_that_was_killed_goes_on_and_the_daemon_reads_and_stores_meanwhile(
    cluster: CitusCluster,
    name: str,
    database: Database,
    trucks: list[UUID],
    monkeypatch: pytest.MonkeyPatch,
    killed_before: int,
) -> None:
    distribute(cluster, name)
    kill_before(monkeypatch, killed_before)
    with pytest.raises(KeyboardInterrupt):
        bring_back(cluster, name)

    def channels(cursor: Cursor) -> list[tuple[int]]:
        cursor.execute(CHANNELS, (str(trucks[0]), NOON))
        return cursor.fetchall()

    assert database.run(channels) == [(1,), (7,)]
    late = Measurements.from_rows([(NOON + timedelta(hours=1), 1, 5.0)])
    assert add(database, trucks[0], late) == 1
    bring_back(cluster, name)
    assert [stored(database, truck)[0] for truck in trucks] == [101] + [100] * 5
    assert database.run(channels) == [(1,), (7,)]


def check(cluster: CitusCluster, name: str, *options: str) -> tuple[int, str]:
    """Return exit code and output of `fleetsyncd migrate --check`, run as the owner."""
    environment = {**os.environ, **cluster.environment(name, OWNER)}
    command = [sys.executable, "-m", "fleetsyncd", "migrate", "--check", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_check_tells_what_is_in_the_way_and_what_is_to_be_known(
    cluster: CitusCluster, name: str
) -> None:
    code, told = check(cluster, name, "--distribute")
    assert (code, "nothing is in the way" in told) == (0, True)
    assert f"to know: whether every node lets {APP} in was not tried" in told
    distribute(cluster, name)
    code, told = check(cluster, name, "--distribute", "--shards", "3")
    assert (code, "in the way: measurements are in 8 shards already" in told) == (1, True)
    staff = "CREATE POLICY staff ON measurements USING (channel_id > 5)"
    cluster.query(name, staff, user=OWNER)
    code, told = check(cluster, name, "--undistribute")
    assert (code, "to know: the policy staff stays" in told) == (0, True)


@pytest.mark.parametrize(("left", "is_enough"), [(1.9, False), (2.1, True)])
@pytest.mark.parametrize("most_wal", ["1GB", "0"])
def test_a_node_without_room_for_its_rows_and_their_wal_is_in_the_way_there_and_back(
    cluster: CitusCluster,
    name: str,
    database: Database,
    trucks: list[UUID],
    monkeypatch: pytest.MonkeyPatch,
    left: float,
    is_enough: bool,
    most_wal: str,
) -> None:
    times = left if most_wal != "0" else left / 2  # without WAL, the rows alone

    def room_for(needed: int) -> None:
        sizes = f"SELECT {int(needed * times)} || ' ' || pg_size_bytes('{most_wal}')"
        monkeypatch.setattr(room, "_ROOM", sizes)

    assert sum(stored(database, truck)[0] for truck in trucks) == 600
    room_for(cluster.query(name, room._HERE)[0][0] // len(cluster.workers))
    told = in_the_way(cluster, name)
    assert [told.count(f"the worker {worker.host}:5432 has") for worker in cluster.workers] == (
        [0, 0] if is_enough else [1, 1]
    )
    assert (told == "") == is_enough
    monkeypatch.undo()
    distribute(cluster, name)
    room_for(cluster.query(name, room._ON_WORKERS)[0][0])
    with closing(Database(owner_of(cluster, name))) as owner:
        back = list(map(str, owner.run(obstacles.of_the_way_back)))
    if is_enough:
        assert back == []
    else:
        assert re.fullmatch(rf"the coordinator {cluster.host}:5432 has .*", "".join(back))


def test_nothing_is_in_the_way_of_a_usual_table(cluster: CitusCluster, name: str) -> None:
    assert in_the_way(cluster, name) == ""
    assert in_the_way(cluster, name, Order(APP, online=True)) == ""


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            "CREATE POLICY staff ON measurements USING ((SELECT 1) = 1)",
            r"policy staff .* sub-select.*DROP POLICY staff",
        ),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            " CREATE TRIGGER foreign_one BEFORE INSERT ON measurements FOR EACH ROW"
            " EXECUTE FUNCTION f()",
            "trigger foreign_one",
        ),
        (
            "ALTER TABLE measurements ADD CONSTRAINT tied FOREIGN KEY (vehicle_id)"
            " REFERENCES vehicles",
            "foreign key tied",
        ),
        ("GRANT SELECT ON measurements TO PUBLIC", "PUBLIC may read"),
        (
            "CREATE POLICY staff ON measurements USING (current_setting('app.user_role') = 'boss')",
            "policy staff .* is somebody's",
        ),
    ],
)
def test_what_others_have_made_is_named_and_nothing_is_changed(
    cluster: CitusCluster, name: str, made: str, told: str
) -> None:
    cluster.query(name, made, user=OWNER)
    with pytest.raises(MigrationFailed, match=told):
        distribute(cluster, name)
    assert not cluster.query(name, "SELECT FROM pg_dist_partition")


def test_after_the_remedy_of_a_number_rows_are_stored_without_it(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    cluster.query(name, "ALTER TABLE measurements ADD id bigserial", user=OWNER)
    told = in_the_way(cluster, name)
    assert "measurements.id takes its numbers from a sequence" in told
    cluster.query(name, told.partition("as owner: ")[2], user=OWNER)
    assert in_the_way(cluster, name) == ""
    assert "measurements.id takes its numbers from a sequence" in to_know(cluster, name)
    distribute(cluster, name)
    late = Measurements.from_rows([(NOON + timedelta(hours=1), 1, 5.0)])
    assert add(database, trucks[0], late) == 1
    assert stored(database, trucks[0])[0] == 101


def test_views_that_cannot_be_made_anew_are_in_the_way_there_and_back(
    cluster: CitusCluster, name: str, trucks: list[UUID], database: Database
) -> None:
    cluster.query(name, "CREATE VIEW seen AS SELECT * FROM measurements")
    cluster.query(name, "CREATE MATERIALIZED VIEW counted AS SELECT * FROM measurements")
    with pytest.raises(MigrationFailed, match=r"seen, which reads .* belongs to postgres"):
        distribute(cluster, name)
    assert "counted" not in in_the_way(cluster, name)
    online = in_the_way(cluster, name, Order(APP, online=True))
    assert [online.count(f"{view}, which reads") for view in ("seen", "counted")] == [1, 1]
    cluster.query(name, f"ALTER VIEW seen OWNER TO {OWNER}")
    distribute(cluster, name)
    with pytest.raises(MigrationFailed, match=r"counted, which reads .* belongs to postgres"):
        bring_back(cluster, name)
    cluster.query(name, "DROP MATERIALIZED VIEW counted")
    bring_back(cluster, name)
    assert {stored(database, truck)[0] for truck in trucks} == {100}


@pytest.mark.parametrize("online", [False, True])
def test_comments_and_what_belongs_to_views_are_kept_there_and_back(
    cluster: CitusCluster, name: str, trucks: list[UUID], online: bool
) -> None:
    cluster.query(name, VIEWS, user=OWNER)
    for grant in GRANTS:
        cluster.query(name, grant, user=OWNER)
    before = cluster.query(name, BELONGS_TO_VIEWS)
    rows = sorted(cluster.query(name, "TABLE again"))
    assert len(rows) == 2 * len(trucks)
    for move in (partial(distribute, order=Order(APP, 8, online)), bring_back):
        move(cluster, name)
        assert cluster.query(name, BELONGS_TO_VIEWS) == before
        for view in ("counted", "again"):
            assert sorted(cluster.query(name, f"TABLE {view}")) == rows


def test_what_was_begun_online_and_goes_on_otherwise_keeps_what_belongs_to_views(
    cluster: CitusCluster, name: str, trucks: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.query(name, VIEWS, user=OWNER)
    before = cluster.query(name, BELONGS_TO_VIEWS)
    execute = PatientSession.execute

    def killed(session: PatientSession, what: str, statement: str, lock_sec: float) -> None:
        if what.startswith("the rows on the workers"):
            raise KeyboardInterrupt
        execute(session, what, statement, lock_sec)

    monkeypatch.setattr(PatientSession, "execute", killed)
    with pytest.raises(KeyboardInterrupt):
        distribute(cluster, name, Order(APP, 8, online=True))
    monkeypatch.undo()
    assert cluster.query(name, BELONGS_TO_VIEWS) == before
    distribute(cluster, name)
    assert cluster.query(name, BELONGS_TO_VIEWS) == before
    assert len(cluster.query(name, "TABLE again")) == 2 * len(trucks)


def test_after_the_remedy_of_a_view_that_is_granted_it_can_be_granted_again(
    cluster: CitusCluster, name: str
) -> None:
    make_reader(cluster)
    grant = f"GRANT SELECT ON seen TO {READER}"
    for made in ("CREATE VIEW seen AS SELECT * FROM measurements", grant):
        cluster.query(name, made, user=OWNER)
    told = in_the_way(cluster, name)
    assert f"is granted to {READER}" in told
    cluster.query(name, told.partition("as owner: ")[2], user=OWNER)
    distribute(cluster, name)
    cluster.query(name, grant, user=OWNER)
    cluster.query(name, f"DROP OWNED BY {READER}")


def test_what_others_have_made_of_a_month_is_named_and_after_the_remedies_it_goes_on(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    month = "measurements_2026_02"
    Partitions(database).ensure(NOON + timedelta(days=30), NOON + timedelta(days=30))
    for made in (
        "CREATE UNIQUE INDEX once ON measurements_2026_03 (channel_id, time)",
        f"CREATE POLICY own ON {month} USING ((SELECT 1) = 1)",
        f"ALTER TABLE {month} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {month} OWNER TO postgres",
    ):
        cluster.query(name, made)
    told = in_the_way(cluster, name).splitlines()
    assert len(told) == 4
    for remedy in sorted(each.rpartition("as ")[2] for each in told):
        who, _, statement = remedy.partition(": ")
        user = {"owner": OWNER, "a superuser": "postgres"}[who]
        cluster.query(name, statement, user=user)
    assert len(distribute(cluster, name)) == 7
    assert {stored(database, truck)[0] for truck in trucks} == {100}


def test_roles_that_a_node_does_not_know_are_named(cluster: CitusCluster, name: str) -> None:
    assert "nobody_knows cannot log in to the node" in in_the_way(
        cluster, name, Order("nobody_knows")
    )
    assert "DB_APP_ROLE is not set" in in_the_way(cluster, name, Order(None))


@pytest.fixture
def shut_out(cluster: CitusCluster) -> Iterator[Server]:
    """Return a worker to which the daemon's role cannot log in."""
    worker = cluster.workers[0]
    rules = worker.cluster.socket_folder / "pg_hba.conf"
    usual = rules.read_text()

    def reload(text: str, *, lets_in: bool) -> None:
        rules.write_text(text)
        worker.query("postgres", "SELECT pg_reload_conf()")
        while is_let_in(worker) is not lets_in:
            pass  # the server reads them soon after it was told to

    reload(f"local all {APP} reject\n{usual}", lets_in=False)
    yield worker
    reload(usual, lets_in=True)


def is_let_in(server: Server) -> bool:
    """Tell whether the daemon's role may log in."""
    try:
        server.connect("postgres", APP).close()
    except psycopg2.OperationalError:
        return False
    return True


def to_know(cluster: CitusCluster, name: str) -> str:
    """Return what `migrate --distribute --check` tells besides."""
    with closing(Database(owner_of(cluster, name))) as owner:
        told = owner.run(lambda cursor: remarks.of_distribution(cursor, Order(APP)))
    return "\n".join(map(str, told))


def test_a_node_that_does_not_let_the_daemon_in_is_named_before(
    cluster: CitusCluster, name: str, database: Database, shut_out: Server
) -> None:
    told = database.run(lambda cursor: list(health.check_cluster(cursor)))
    assert [each.level for each in told] == [Level.FAULT]
    assert f"no answer of the node {shut_out.host}" in told[0].text
    assert in_the_way(cluster, name) == ""  # the owner cannot know
    assert "`fleetsyncd doctor`" in to_know(cluster, name)
    cluster.query("postgres", f"GRANT {APP} TO {OWNER}")
    try:
        assert f"{APP} gets no answer of the node {shut_out.host}" in in_the_way(cluster, name)
        assert to_know(cluster, name) == ""
    finally:
        cluster.query("postgres", f"REVOKE {APP} FROM {OWNER}")


def test_an_owner_of_vehicles_sees_its_rows_only_and_a_worker_without_a_word_is_an_error(
    cluster: CitusCluster, name: str, trucks: list[UUID]
) -> None:
    make_reader(cluster)
    as_owner = Database(owner_of(cluster, name))
    as_owner.run(lambda c: c.execute(f"GRANT SELECT ON measurements TO {READER}"))
    as_owner.run(lambda c: access.grant(c, OLGA, trucks[:1]))
    distribute(cluster, name)
    as_owner.run(lambda c: access.grant(c, OLGA, trucks[1:2]))
    as_owner.close()
    everything = "SELECT count(*) FROM measurements"
    role = "SET LOCAL app.user_role = 'owner'"
    told = ("SET citus.propagate_set_commands = 'local'", role, f"SET LOCAL app.user_id = '{OLGA}'")
    assert as_role(cluster, name, READER, *told, everything) == [(200,)]
    someone = f"SET LOCAL app.user_id = '{UUID(int=2)}'"
    assert as_role(cluster, name, READER, *told[:2], someone, everything) == [(0,)]
    with pytest.raises(psycopg2.Error, match="was not told of"):
        as_role(cluster, name, READER, role, everything)
    untold = f"SELECT set_config('app.user_id', '{OLGA}', true)"
    with pytest.raises(psycopg2.Error, match=r"was not told of app\.user_id"):
        as_role(cluster, name, READER, *told[:2], untold, everything)
    everybody = "SET LOCAL app.user_role = 'superuser'"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match=f"{READER} sees"):
        as_role(cluster, name, READER, told[0], everybody, everything)
    cluster.query(name, f"DROP OWNED BY {READER}")


def test_a_member_of_readers_that_is_to_see_all_rows_is_named_and_sees_them_after_the_remedy(
    cluster: CitusCluster, name: str, trucks: list[UUID]
) -> None:
    for node in cluster.nodes:
        for role in (VIEWER, READER):
            node.query("postgres", f"DROP ROLE IF EXISTS {role}")
            node.query("postgres", f"CREATE ROLE {role} LOGIN")
        node.query("postgres", f"GRANT {READER} TO {VIEWER}")
        node.query("postgres", f"ALTER ROLE {VIEWER} SET app.user_role = 'superuser'")
    cluster.query(name, f"GRANT SELECT ON measurements TO {READER}", user=OWNER)
    told = in_the_way(cluster, name)
    assert f"{VIEWER} begins with app.user_role = superuser" in told
    assert f"TO {VIEWER}" in told
    cluster.query(name, f"GRANT SELECT ON measurements TO {VIEWER}", user=OWNER)
    for number, node in enumerate(cluster.nodes):
        told = in_the_way(cluster, name)
        assert told.count(f"{VIEWER} is a member of {READER}") == 1
        assert [told.count(each.host) for each in cluster.nodes] == [0] * number + [1] * (
            3 - number
        )
        node.query("postgres", told.rpartition(": ")[2])
    assert in_the_way(cluster, name) == ""
    distribute(cluster, name)
    role = "SET LOCAL app.user_role = 'superuser'"
    told_workers = "SET citus.propagate_set_commands = 'local'"
    count = "SELECT count(*) FROM measurements"
    rows = 100 * len(trucks)
    assert as_role(cluster, name, VIEWER, told_workers, role, count) == [(rows,)]
    cluster.query(name, f"DROP OWNED BY {VIEWER}, {READER}")


def test_a_daemon_of_an_older_version_is_named(
    cluster: CitusCluster, name: str, database: Database
) -> None:
    older = replicas.Replica(30, host="old.example", migration="0028.hidden-table")
    now = replicas.Replica(30, host="new.example", migration=migrate.expected_migrations()[-1])
    for replica in (older, now):
        database.run(partial(replicas.write_heartbeat, replica=replica, cycle_sec=1.0, vehicles=2))
    told = in_the_way(cluster, name)
    assert "older version runs on old.example" in told
    assert "new.example" not in told


def test_online_the_rows_are_the_same(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    before = [stored(database, truck) for truck in trucks]
    distribute(cluster, name, Order(APP, shards=4, online=True))
    assert [stored(database, truck) for truck in trucks] == before
    assert {add(database, truck, ROWS) for truck in trucks} == {0}
    bring_back(cluster, name)
    assert [stored(database, truck) for truck in trucks] == before


def test_a_table_without_partitions_goes_there_and_back_and_its_policies_stay_forced(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    cluster.query(name, WITHOUT_PARTITIONS, user=OWNER)
    assert "leave --online out" in in_the_way(cluster, name, Order(APP, online=True))
    assert in_the_way(cluster, name) == ""
    assert "the coordinator's own copy of the rows, dropped" in distribute(cluster, name)
    late = Measurements.from_rows([(NOON + timedelta(hours=1), 1, 5.0)])
    for truck in trucks:
        assert add(database, truck, late) == 1
        assert add(database, truck, ROWS) == 0
    assert {stored(database, truck)[0] for truck in trucks} == {101}
    visible = "SET citus.override_table_visibility = off;"
    forced = [each for node in cluster.nodes for each in node.query(name, visible + FORCED)]
    assert set(forced) == {(True,)}
    assert len(forced) == len(cluster.nodes) + 8
    bring_back(cluster, name)
    assert cluster.query(name, FORCED) == [(True,)]
    assert {stored(database, truck)[0] for truck in trucks} == {101}


def test_after_a_move_the_way_back_drops_what_that_has_left(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    before = [stored(database, truck) for truck in trucks]
    distribute(cluster, name)
    source, target = (worker.host for worker in cluster.workers[:2])
    cluster.query(name, MOVE, source, target, source)
    bring_back(cluster, name)
    assert [stored(database, truck) for truck in trucks] == before
    distribute(cluster, name)
    assert [stored(database, truck) for truck in trucks] == before


def test_a_step_that_a_node_refuses_names_the_node(cluster: CitusCluster, name: str) -> None:
    worker = cluster.workers[1]
    for statement in (
        "CREATE SCHEMA IF NOT EXISTS fleetsync",
        "CREATE TABLE fleetsync.access_copy ()",
    ):
        worker.query(name, f"SET citus.enable_ddl_propagation = off; {statement}")
    with pytest.raises(MigrationFailed, match=rf"access_copy.*\(on the node {worker.host}:"):
        distribute(cluster, name)
    worker.query(name, "SET citus.enable_ddl_propagation = off; DROP TABLE fleetsync.access_copy")
    assert distribute(cluster, name)


def test_statistics_of_others_are_in_the_way_there_and_back(
    cluster: CitusCluster, name: str, database: Database, trucks: list[UUID]
) -> None:
    cluster.query(name, STATISTICS.format("before"))
    with pytest.raises(MigrationFailed, match=r"before .* belong to postgres.*OWNER TO") as refused:
        distribute(cluster, name)
    cluster.query(name, str(refused.value).partition("as a superuser: ")[2])
    distribute(cluster, name)
    cluster.query(name, STATISTICS.format("after"))
    with pytest.raises(MigrationFailed, match=r"after .* belong to postgres") as refused:
        bring_back(cluster, name)
    cluster.query(name, str(refused.value).partition("as a superuser: ")[2])
    bring_back(cluster, name)
    assert {stored(database, truck)[0] for truck in trucks} == {100}


def test_another_number_of_shards_is_refused_with_what_changes_it(
    cluster: CitusCluster, name: str
) -> None:
    distribute(cluster, name)
    told = "in 8 shards already, and --shards asks for 4: leave --shards out; or .*--undistribute"
    with pytest.raises(MigrationFailed, match=told):
        distribute(cluster, name, Order(APP, shards=4))
    assert re.search(told, in_the_way(cluster, name, Order(APP, shards=4)))
    assert distribute(cluster, name, Order(APP)) == []
    assert distribute(cluster, name) == []


def test_who_may_read_by_policies_for_everybody_is_named_before_the_way_back(
    cluster: CitusCluster, name: str
) -> None:
    make_reader(cluster)
    cluster.query(name, f"GRANT SELECT ON measurements TO {READER}", user=OWNER)
    distribute(cluster, name)
    staff = "CREATE POLICY staff ON measurements USING (channel_id > 5)"
    cluster.query(name, staff, user=OWNER)
    owner = Database(owner_of(cluster, name))
    told = "\n".join(map(str, owner.run(remarks.of_the_way_back)))
    owner.close()
    assert "the policy staff stays" in told
    assert f"{READER} can see all rows afterwards" in told
    cluster.query(name, f"DROP OWNED BY {READER}")


def test_an_empty_table_gets_a_month_first_so_that_moved_parts_keep_their_key(
    cluster: CitusCluster, name: str, database: Database
) -> None:
    assert "a month" in distribute(cluster, name)
    source, target = (worker.host for worker in cluster.workers[:2])
    cluster.query(name, MOVE, source, target, source)
    Partitions(database).ensure(NOON, NOON)
    assert cluster.query(name, "SELECT to_regclass('measurements_2026_02') IS NULL") == [(False,)]


def test_on_no_worker_may_a_role_write_that_was_not_granted_it(
    cluster: CitusCluster, lone_database_name: str
) -> None:
    name = lone_database_name
    migrated(cluster, name)  # so it is where a database of before becomes one of a cluster
    for node in cluster.nodes:
        node.query(name, "CREATE EXTENSION citus")
        node.query("postgres", f"DROP ROLE IF EXISTS {READER}")
        node.query("postgres", f"CREATE ROLE {READER} LOGIN")
    cluster.query(name, "SELECT citus_set_coordinator_host(%s, 5432)", cluster.host)
    cluster.query(name, ADD_NODE, cluster.workers[0].host)
    grants = "USAGE ON SCHEMA public, fleetsync", "SELECT ON measurements"
    for grant in grants:
        cluster.query(name, f"GRANT {grant} TO {READER}", user=OWNER)
    distribute(cluster, name)
    cluster.query(name, ADD_NODE, cluster.workers[1].host)
    assert cluster.workers[0].query(name, FOR_EVERYBODY, functions.STORE) == [(False,)]
    role = "SET LOCAL app.user_role = 'superuser'"
    for node in cluster.nodes:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_role(node, name, READER, role, WRITE)
    cluster.query(name, f"DROP OWNED BY {READER}")


def test_policies_are_one_for_each_role(cluster: CitusCluster, name: str) -> None:
    distribute(cluster, name)
    readers = Database(owner_of(cluster, name))
    known = readers.run(lambda c: policies.readers(c, APP))
    assert readers.run(lambda c: policies.are_by_role(c, known))
    readers.close()
    assert not set(known.everything) & set(known.granted)


def test_the_writing_function_is_delegated_with_the_vehicle(
    cluster: CitusCluster, name: str
) -> None:
    distribute(cluster, name)
    assert cluster.query(name, functions.IS_DELEGATED) == [(True,)]
    bring_back(cluster, name)
    distribute(cluster, name)
    assert cluster.query(name, functions.IS_DELEGATED) == [(True,)]
