"""A pooler before PostgreSQL: in session mode everything works, in others it is refused."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleetsyncd.database import pooler
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.session import Session
from fleetsyncd.database.shard_locks import SHARDS, ShardLocks
from fleetsyncd.demo.embedded import APP, Server
from fleetsyncd.errors import DatabaseLost, PoolerUnfit
from fleetsyncd.settings import DatabaseSettings
from tests.integration.rig import rig
from tests.pgbouncer import HOST, pgbouncer


def behind(port: int, database: str) -> Database:
    parameters = {"host": HOST, "port": str(port), "dbname": database, "user": APP}
    return Database(DatabaseSettings(parameters))


@pytest.fixture
def pooled(
    server: Server, database_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Database]:
    with pgbouncer(server, tmp_path, request.param) as port:
        database = behind(port, database_name)
        yield database
        database.close()


def advisory_locks(server: Server, database: str) -> Any:
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*)::int FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE locktype = 'advisory' AND datname = %s",
            (database,),
        )
        return cursor.fetchall()[0][0]


def test_a_direct_connection_is_found_fit(database: Database) -> None:
    pooler.require_own_backend(database)


@pytest.mark.parametrize("pooled", ["transaction"], indirect=True)
def test_transaction_mode_is_refused_with_the_remedy_and_no_lock_is_left_in_the_pool(
    server: Server, database_name: str, pooled: Database
) -> None:
    with pytest.raises(PoolerUnfit, match="pool_mode = session"):
        pooler.require_own_backend(pooled)
    with closing(ShardLocks(pooled)) as locks, pytest.raises(PoolerUnfit):
        locks.read()
    assert advisory_locks(server, database_name) == 0


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        ("statement", {}),
        ("transaction", {"server_round_robin": "1"}),
        ("transaction", {"default_pool_size": "1"}),
    ],
)
def test_every_kind_of_sharing_is_found(
    server: Server, database_name: str, tmp_path: Path, mode: str, settings: dict[str, str]
) -> None:
    with (
        pgbouncer(server, tmp_path, mode, **settings) as port,
        closing(behind(port, database_name)) as database,
        closing(behind(port, database_name)) as other,
    ):
        if mode == "transaction" and "server_round_robin" in settings:
            with database.transaction() as one, other.transaction() as two:
                assert pooler.backend(one) != pooler.backend(two), "two to take turns"
        # In statement mode the connection breaks before anything can be told.
        kind = DatabaseLost if mode == "statement" else PoolerUnfit
        with pytest.raises(kind, match="pool_mode = session"):
            pooler.require_own_backend(database)


def test_a_pooler_without_a_connection_to_spare_is_told_to_have_more(
    server: Server, database_name: str, tmp_path: Path
) -> None:
    settings = {"default_pool_size": "1", "query_wait_timeout": "1"}
    with (
        pgbouncer(server, tmp_path, "session", **settings) as port,
        closing(behind(port, database_name)) as database,
        pytest.raises(DatabaseLost, match="pool_size"),
    ):
        pooler.require_own_backend(database)


@pytest.mark.parametrize("pooled", ["session"], indirect=True)
def test_in_session_mode_shards_are_held_and_freed_at_the_end(
    server: Server, database_name: str, pooled: Database
) -> None:
    with closing(ShardLocks(pooled)) as locks:
        locks.take(range(SHARDS))
        assert len(locks.read().mine) == SHARDS
    with closing(ShardLocks(pooled)) as others:
        assert len(others.read().others) == 0
    assert advisory_locks(server, database_name) <= 1


@pytest.mark.parametrize("pooled", ["session", "transaction"], indirect=True)
def test_cycles_store_the_same_through_a_pooler(pooled: Database) -> None:
    with rig(pooled) as it:
        assert it.cycle().outcome == "ok"
        assert it.cycle(after=30).outcome == "ok"
        assert it.compare().clean


def test_a_pooler_whose_mode_is_changed_meanwhile_is_noticed(
    server: Server, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "require_own_backend", lambda _database: None)
    with (
        pgbouncer(server, tmp_path, "transaction", server_round_robin="1") as port,
        closing(behind(port, database_name)) as database,
        closing(Session(database, lambda _cursor: None)) as session,
    ):
        with database.transaction() as busy:
            pooler.backend(busy)
            session.run(pooler.backend)

        def run_twice() -> None:
            session.run(pooler.backend)
            session.run(pooler.backend)

        with pytest.raises(PoolerUnfit):
            run_twice()


@pytest.mark.parametrize(("mode", "fits"), [("session", True), ("transaction", False)])
def test_the_schema_is_made_through_a_pooler_in_session_mode_only(
    server: Server, empty_database: str, tmp_path: Path, mode: str, fits: bool
) -> None:
    with pgbouncer(server, tmp_path, mode, owned=empty_database) as port:
        parameters = {"host": HOST, "port": str(port), "dbname": "owned", "user": "fleet_owner"}
        settings = DatabaseSettings(parameters)
        if fits:
            assert migrate.migrate(settings, APP).migrations == migrate.expected_migrations()
        else:
            with pytest.raises(PoolerUnfit, match="pool_mode = session"):
                migrate.migrate(settings, APP)


def test_what_runs_in_a_session_sees_one_backend(database: Database) -> None:
    def pid(cursor: Cursor) -> int:
        return pooler.backend(cursor)

    with closing(Session(database, lambda _cursor: None)) as session:
        assert session.run(pid) == session.run(pid)
